"""Baselines beside a trained model: what they score, what is said, and where it is stored."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.helpers.files import write_jsonl
from tests.helpers.tiny_models import TinyModels

from ftool.data.dataset import Dataset, Split
from ftool.data.load import load_dataset
from ftool.data.rows.questions import Question
from ftool.data.rows.tagged_text import TaggedText
from ftool.evaluation.baselines import BaselineReport, FittedBaseline, compare_with_baselines
from ftool.evaluation.confidence_intervals import Estimate
from ftool.evaluation.evaluate import evaluate
from ftool.evaluation.statistics import averaged
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.recipe.sections import TrainSettings
from ftool.tasks.registry import find_task
from ftool.train_model import train
from ftool.training.baselines.linear import TextTargets, constant_logits, fit_linear
from ftool.training.baselines.linear_tags import LinearTags


def baselines_of(
    tmp_path: Path, rows: list[dict[str, Any]], task: str = "text-classification", **settings: Any
) -> dict[str, FittedBaseline]:
    """The baselines of a task, trained on every third row, tuned on the next of each and tested on the third."""
    for number, name in enumerate(("train", "validation", "test")):
        write_jsonl(tmp_path / f"{name}.jsonl", rows[number::3])
    recipe = Recipe(task=task, data=DataSettings(path=str(tmp_path), **settings))
    fit = recipe.row.baselines
    assert fit is not None
    data = load_dataset(recipe.row.reader, recipe.data)
    return {one.name: one for one in fit(data, data.test, recipe)}


def score(baseline: FittedBaseline) -> float:
    statistics = baseline.statistics()
    return float(statistics.metrics(np.ones((1, len(statistics)), dtype=np.int64))[statistics.main][0])


def thirds(
    train: list[dict[str, Any]], validation: list[dict[str, Any]], test: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Rows that `baselines_of` divides into these splits, which are equally long."""
    return [row for rows in zip(train, validation, test, strict=True) for row in rows]


ANIMALS = ("cat", "dog", "cow")
KINDS: dict[
    str, tuple[list[dict[str, Any]], float, float]
] = {  # rows, score of the constant, least of the linear
    "labels": (
        [
            {"text": f"a {ANIMALS[(i // 3) % 3]} number {i}", "label": ANIMALS[(i // 3) % 3]}
            for i in range(90)
        ],
        1 / 3,
        1.0,
    ),
    "several labels": (
        [
            {"text": f"{a} and {b} {i}", "labels": sorted({a, b})}
            for i in range(90)
            for a, b in [(ANIMALS[(i // 3) % 3], ANIMALS[(i // 9) % 3])]
        ],
        5 / 7,  # each label applies to 5 of 9 texts
        0.9,
    ),
    "pairs": (
        [
            {"text": f"the {a} eats", "text_pair": f"a {b} sleeps", "label": "same" if a == b else "other"}
            for i in range(270)
            for a, b in [(ANIMALS[(i // 3) % 3], ANIMALS[(i // 9) % 3])]
        ],
        2 / 3,
        0.9,
    ),
    "one script without spaces": (
        [{"text": f"{'天气很好' if i % 2 else '音乐不错'}{i}吗", "label": "ab"[i % 2]} for i in range(90)],
        0.5,
        1.0,
    ),
    "signs alone": (
        [{"text": "!!!" if i % 2 else "???", "label": "ab"[i % 2]} for i in range(90)],
        0.5,
        1.0,
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_baselines_answer_every_kind_of_classification(tmp_path: Path, kind: str) -> None:
    rows, constant, linear = KINDS[kind]
    found = baselines_of(tmp_path, rows)
    assert score(found["majority"]) == pytest.approx(constant, abs=0.01)
    assert score(found["tfidf_linear"]) >= linear


def test_baselines_answer_numbers(tmp_path: Path) -> None:
    rows = [{"text": "good " * (i % 7) + f"film {i}", "score": (i % 7) + 0.5} for i in range(120)]
    found = baselines_of(tmp_path, rows, label="score")
    assert score(found["tfidf_linear"]) > 0.9


def tagged(text: str, tags: str) -> dict[str, Any]:
    return {"tokens": text.split(), "tags": tags.split()}


def test_a_tagger_is_compared_with_the_most_frequent_tag_of_each_word(tmp_path: Path) -> None:
    """In training, Paris is mostly a place, Hilton is always inside a name, and Rome is unknown."""
    train = [
        tagged("in Paris", "O B-place"),
        tagged("to Paris", "O B-place"),
        tagged("Paris Hilton", "B-person I-person"),
    ]
    test = [
        tagged("to Paris now", "O B-place O"),  # right
        tagged("in Rome", "O B-place"),  # missed
        tagged(
            "Hilton sang", "B-person O"
        ),  # right: an entity that begins with I is read by conlleval's rules
    ]
    found = baselines_of(tmp_path, thirds(train, train, test), task="token-classification")
    assert score(found["majority"]) == 0
    assert score(found["frequent_tags"]) == pytest.approx(2 * 2 / (3 + 2))
    accuracy = found["frequent_tags"].statistics().metrics(np.ones((1, 3), dtype=np.int64))["accuracy"]
    assert accuracy[0] == pytest.approx(6 / 7)
    assert found["frequent_tags"].learnt_from == 3


def test_a_tagger_is_compared_with_a_linear_model_on_words_and_neighbours(tmp_path: Path) -> None:
    """A capitalised word behind "in" is a place and behind "by" a person; the names of the test are new."""
    names = ["Abcd", "Efgh", "Ijkl", "Mnop", "Qrst", "Uvwx"]
    train, test = (
        [
            tagged(f"song {word} {name} today", f"O O B-{kind} O")
            for name in part
            for word, kind in (("in", "place"), ("by", "person"))
        ]
        for part in (names[:3], names[3:])
    )
    found = baselines_of(tmp_path, thirds(train, train, test), task="token-classification")
    assert score(found["linear_words"]) == 1
    assert score(found["frequent_tags"]) == 0  # no word is known


def test_a_linear_tagger_learns_from_a_part_of_large_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftool.training.baselines.linear_tags._MOST_WORK", 40)
    texts = [TaggedText("in Paris", ((0, 2), (3, 8)), ("O", "B-place"))] * 20  # 40 words, two tags
    assert LinearTags.fit(texts, seed=0).learnt_from == 10
    alike = [TaggedText("in Paris", ((0, 2), (3, 8)), ("O", "O"))] * 3
    assert LinearTags.fit(alike, seed=0).answer(alike[:1]) == [["O", "O"]]


def asked(question: str, context: str, *answers: str) -> dict[str, Any]:
    starts = [context.index(one) for one in answers]
    return {
        "question": question,
        "context": context,
        "answers": {"text": list(answers), "answer_start": starts},
    }


CATS = "The cat sleeps all day. A dog barks at night. The cow gives milk."
ANSWERED = asked("When does the dog bark, at night?", CATS, "at night")  # 2 of the 5 words of its sentence
UNRELATED = asked("Who wrote Hamlet?", CATS)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([ANSWERED] * 3, {"shared_words": 2 * 2 / (4 + 2)}),  # articles do not count
        (
            [ANSWERED, UNRELATED, UNRELATED],
            {"no_answer": 2 / 3, "shared_words": (2 + 2 * 2 / (4 + 2)) / 3},
        ),
    ],
    ids=["all answered", "some without answer"],
)
def test_a_reader_is_compared_with_the_sentence_of_most_shared_words(
    tmp_path: Path, rows: list[dict[str, Any]], expected: dict[str, float]
) -> None:
    found = baselines_of(tmp_path, thirds(rows, rows, rows), task="question-answering")
    assert {name: score(one) for name, one in found.items()} == pytest.approx(expected)


def test_a_rare_word_counts_more_than_frequent_ones(tmp_path: Path) -> None:
    context = "It is in the old house. It is in the new house. Zebras live there."
    rows = [asked("is zebras", context, "Zebras live there"), ANSWERED]
    found = baselines_of(tmp_path, thirds(rows, rows, rows), task="question-answering")
    statistics = found["shared_words"].statistics()
    exact = statistics.metrics(np.array([[1, 0]]))["exact_match"]
    assert exact[0] == 1


SEARCHES: dict[str, tuple[list[dict[str, Any]], float]] = {
    "pairs": (
        [
            {"anchor": "who sells rice", "positive": "rice is sold here"},
            {"anchor": "who plays the drum", "positive": "a drum in the hall"},
            {"anchor": "is it cold", "positive": "snow falls"},  # shares no word, so its passage comes last
        ],
        (1 + 1 + 1 / 3) / 3,
    ),
    "scored": (
        [
            {"sentence1": "red apple", "sentence2": "red apple", "score": 5},
            {"sentence1": "red apple", "sentence2": "red pear", "score": 3},
            {"sentence1": "red apple", "sentence2": "blue sky", "score": 0},
        ],
        1.0,
    ),
}


@pytest.mark.parametrize("kind", SEARCHES)
def test_an_embedder_is_compared_with_the_cosine_of_tfidf(tmp_path: Path, kind: str) -> None:
    rows, expected = SEARCHES[kind]
    found = baselines_of(tmp_path, thirds(rows, rows, rows), task="feature-extraction")
    assert {name: score(one) for name, one in found.items()} == pytest.approx({"tfidf_cosine": expected})


@pytest.mark.parametrize(
    ("task", "name"), [("token-classification", "frequent_tags"), ("question-answering", "shared_words")]
)
def test_baselines_answer_the_examples_that_the_model_has_answered(task: str, name: str) -> None:
    """A model's split may leave examples out, such as texts without tokens."""
    row = find_task(task)
    text = TaggedText("in Paris", ((0, 2), (3, 8)), ("O", "B-place"))
    question = Question("When?", CATS, ("at night",), (CATS.index("at night"),), id="1")
    example: Any = text if task == "token-classification" else question
    split = Split([example] * 3, "here")
    data = Dataset(
        splits={"train": split, "validation": split, "test": split}, facts={"unanswerable": False}, sha256=""
    )
    assert row.baselines is not None
    found = {
        one.name: one
        for one in row.baselines(data, split.take([0, 2]), Recipe(task=task, data=DataSettings(path="none")))
    }
    assert len(found[name].statistics()) == 2


def test_a_label_that_all_or_no_sampled_texts_have_is_answered() -> None:
    train_on = TextTargets(["red", "blue", "red blue"], np.array([[1, 0, 1], [1, 0, 0], [1, 0, 1]]))
    logits = fit_linear(train_on, 3, regression=False, seed=0).logits(["red", "green"])
    assert (logits[:, 0] > 0).all()
    assert (logits[:, 1] < 0).all()


def test_the_constant_answer_is_the_most_frequent_label() -> None:
    train_on = TextTargets(["a", "b", "c"], np.array([2, 0, 2]))
    assert constant_logits(train_on, 2, 3, regression=False).argmax(axis=1).tolist() == [2, 2]


def test_large_data_is_sampled_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftool.training.baselines.linear._MOST_WORK", 200)
    texts = [f"text {number}" for number in range(100)]  # 690 characters, two labels
    train_on = TextTargets(texts, np.arange(100) % 2)
    assert fit_linear(train_on, 2, regression=False, seed=0).learnt_from == 15


def compared(model: list[int], baseline: list[int]) -> BaselineReport:
    """A model beside one baseline, by which of their answers are right."""
    fitted = FittedBaseline(
        name="tfidf_linear",
        title="a linear model on TF-IDF",
        statistics=lambda: averaged({"accuracy": np.array(baseline)}, main="accuracy", shares=("accuracy",)),
        learnt_from=10,
    )
    own = averaged({"accuracy": np.array(model)}, main="accuracy", shares=("accuracy",))
    return compare_with_baselines(lambda: [fitted], own, [], "add examples")


@pytest.mark.parametrize(
    ("model", "baseline", "verdict"),
    [
        ([1] * 50, [0] * 25 + [1] * 25, "This model beats the baseline."),
        (
            [1] * 50,
            [0] + [1] * 49,
            "This model does not clearly beat a linear model on TF-IDF (difference +0.0200",
        ),
        (
            [1] * 50,
            [1] * 50,
            "This model and a linear model on TF-IDF both score 1: only harder test examples",
        ),
        (
            [0] * 20 + [1] * 30,
            [1] * 50,
            "This model does not beat a linear model on TF-IDF (difference -0.4000",
        ),
    ],
    ids=["better", "within chance", "both perfect", "worse"],
)
def test_the_verdict_says_plainly_whether_the_model_is_better(
    model: list[int], baseline: list[int], verdict: str
) -> None:
    report = compared(model, baseline)
    assert report.verdict().startswith(verdict)
    assert report.to_json()["beats_all"] == (verdict == "This model beats the baseline.")
    if "does not" in verdict:
        assert report.verdict().endswith("Next: add examples.")


def test_the_same_answers_get_the_stored_verdict_and_others_no_difference() -> None:
    report = compared([1] * 50, [0] + [1] * 49)
    stored = json.loads(json.dumps(report.to_json()))
    same, other = (
        BaselineReport.from_json(
            stored, averaged({"accuracy": np.array(right)}, main="accuracy", shares=("accuracy",))
        )
        for right in ([1] * 50, [0] * 2 + [1] * 48)
    )
    assert same.to_json() == stored
    assert [one.advantage for one in other.baselines.values()] == [None]
    assert "does not beat a linear model on TF-IDF" in other.verdict()
    better = BaselineReport.from_json(
        {**stored, "models": {"majority": {**stored["models"]["tfidf_linear"], "value": 0.5}}},
        averaged({"accuracy": np.array([0] * 2 + [1] * 48)}, main="accuracy", shares=("accuracy",)),
    )
    assert better.verdict() == (
        "This model scores higher than the baseline; whether by chance is told by `ftool train` alone."
    )


def test_the_difference_is_paired() -> None:
    """Examples that are hard for both do not widen the interval: 2 of 100 answers differ, both for the better."""
    hard = [0] * 49 + [1] * 49
    gap = compared([*hard, 1, 1], [*hard, 0, 0]).baselines["tfidf_linear"].advantage
    assert gap is not None
    assert gap.value == pytest.approx(0.02)
    assert gap.low >= 0
    assert gap.high <= 0.06  # twice the unpaired interval would reach 0.15


def test_a_training_stores_and_shows_baselines_and_evaluate_shows_them_again(
    tiny_base: Path, topics: Path, tmp_path: Path
) -> None:
    recipe = Recipe(
        base=str(tiny_base),
        data=DataSettings(path=str(topics)),
        train=TrainSettings(method="head", threads=1),
    )
    recipe.write(tmp_path / "recipe.toml")
    report = train(recipe, tmp_path)
    stored = json.loads((tmp_path / "run" / "metrics.json").read_text())["baselines"]
    assert stored["metric"] == "accuracy"
    assert stored["models"]["tfidf_linear"]["value"] == 1.0
    assert stored["models"]["majority"]["value"] == pytest.approx(1 / 3)
    assert stored["models"]["tfidf_linear"]["advantage"]["value"] == pytest.approx(
        report.test.metrics["accuracy"] - 1.0
    )
    assert "does not beat a linear model on TF-IDF" in report.table()
    assert "--set train.method=full" in report.table()

    again = evaluate(tmp_path)
    assert again.baselines is not None
    assert "a linear model on TF-IDF" in again.table()
    assert again.baselines.model.value == report.test.metrics["accuracy"]
    assert evaluate(tmp_path, split="validation").baselines is None  # they were not measured there


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("question-answering", "shared_words"),
        ("translation", "nearest"),
        ("feature-extraction", "tfidf_cosine"),
    ],
)
def test_every_task_stores_and_shows_baselines(trained: TinyModels, task: str, name: str) -> None:
    stored = json.loads((trained[task] / "run" / "metrics.json").read_text())["baselines"]
    assert name in stored["models"]
    assert stored["models"][name]["low"] <= stored["models"][name]["value"] <= stored["models"][name]["high"]
    assert "--mistakes" not in stored["next_step"]  # the command is not for this task
    again = evaluate(trained[task])
    assert again.baselines is not None
    assert stored["models"][name]["title"] in again.table()


def test_a_score_that_is_not_known_is_not_beaten() -> None:
    report = compared([1] * 50, [0] * 50)
    unknown = replace(
        report.baselines["tfidf_linear"], score=Estimate(np.nan, np.nan, np.nan), advantage=None
    )
    assert unknown.beaten_by(report.model)


def test_a_model_without_a_score_beats_no_baseline() -> None:
    """A regressor that gives the same number to all texts has no correlation with the right ones."""
    report = compared([1] * 50, [0] * 50)
    none = Estimate(np.nan, np.nan, np.nan)
    unknown = replace(report.baselines["tfidf_linear"], advantage=none)
    constant = replace(unknown, score=none)
    found = replace(report, model=none, baselines={"majority": constant, "tfidf_linear": unknown})
    assert found.verdict() == "This model does not beat a linear model on TF-IDF. Next: add examples."
    assert len(found.unbeaten) == 2
