"""`ftool evaluate --mistakes` of a tagger: entities mixed up, cut otherwise, missed or invented, and label errors."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.helpers.cli import ftool, told
from tests.helpers.files import write_jsonl

from ftool.data.rows.tag_schemes import TypedSpan
from ftool.data.rows.tagged_text import TaggedText
from ftool.evaluation.entity_mistakes import (
    OTHER_WORDS,
    Mismatch,
    find_entity_label_errors,
    find_entity_mistakes,
    mismatches,
)
from ftool.evaluation.metrics.entities import entity_score
from ftool.evaluation.mistakes import NOTHING, Mistakes
from ftool_runtime.postprocessing.entities import WordTags
from ftool_runtime.text.words import join_words

WORDS = ["Ann", "Lee", "of", "New", "York", "sang", "in", "Rome"]


def tagged(tags: str, row: int = 2) -> TaggedText:
    """The sentence of `WORDS` with entities: P and p begin and continue a person, L and l a place."""
    names = {"P": "B-person", "p": "I-person", "L": "B-place", "l": "I-place", ".": "O"}
    text, places = join_words(WORDS)
    return TaggedText(text, tuple(places), tuple(names[tag] for tag in tags), row=row)


def mistakes(
    truths: list[str], answers: list[str], certainties: list[float] | None = None, metric: str | None = None
) -> Mistakes:
    """The mistakes of a tagger that gives these tags, each sentence's with one probability."""
    given = [
        WordTags(list(tagged(answer).tags), np.full(len(answer), sureness))
        for answer, sureness in zip(answers, certainties or [0.9] * len(answers), strict=True)
    ]
    examples = [tagged(truth, row=row) for row, truth in enumerate(truths, 2)]
    return find_entity_mistakes(examples, given, split="test", metric=metric)


@pytest.mark.parametrize(
    ("truth", "answer", "confusion"),
    [
        ("Pp.Ll...", "Ll.Ll...", ("person", "place")),
        ("Pp.Ll...", "P..Ll...", ("person", "person" + OTHER_WORDS)),
        ("Pp.Ll...", "PppLl...", ("person", "person" + OTHER_WORDS)),
        ("Pp.Ll...", "L..Ll...", ("person", "place" + OTHER_WORDS)),
        ("Pp.Ll...", "...Ll...", ("person", NOTHING)),
        ("Pp.Ll...", "Pp.Ll..L", (NOTHING, "place")),
        ("...Ll...", "...LL...", ("place", "place" + OTHER_WORDS)),  # one mistake, though two answers
    ],
    ids=["kind", "too short", "too long", "kind and words", "missed", "invented", "in two parts"],
)
def test_each_kind_of_mistake_is_named_and_counted_once(
    truth: str, answer: str, confusion: tuple[str, str]
) -> None:
    found = mistakes([truth], [answer])
    assert [(one.truth, one.answer, one.count) for one in found.confusions] == [(*confusion, 1)]
    assert found.confusions[0].cost == pytest.approx(  # all of it is made good
        1 - entity_score([tagged(truth).tags], [tagged(answer).tags])
    )
    assert found.counted == "entities"


def test_one_answer_over_two_entities_is_a_mistake_for_each() -> None:
    truth, answer = [TypedSpan(0, 2, "person"), TypedSpan(3, 5, "place")], [TypedSpan(0, 5, "person")]
    assert mismatches(0, truth, answer) == [
        Mismatch(0, truth[0], answer[0]),
        Mismatch(0, truth[1], answer[0]),
    ]


@pytest.mark.parametrize("metric", [None, "f1_macro", "accuracy"])
def test_confusions_are_counted_in_what_they_cost(metric: str | None) -> None:
    truths = ["Pp.Ll...", "Pp.Ll..L", "Pp......", ".......L"]
    answers = ["...Ll...", "...Ll..P", "Pp......", "......L."]
    found = mistakes(truths, answers, metric=metric)
    counts = {(one.truth, one.answer): one.count for one in found.confusions}
    assert counts == {
        ("person", NOTHING): 2,
        ("place", "person"): 1,
        ("place", NOTHING): 1,
        (NOTHING, "place"): 1,
    }
    with_persons = ["Pp.Ll...", "Pp.Ll..P", "Pp......", "......L."]
    tags = [[tagged(one).tags for one in of] for of in (truths, answers, with_persons)]
    gain = [entity_score(tags[0], of, metric or "f1") for of in tags[1:]]
    missed = next(one for one in found.confusions if one.truth == "person")
    assert missed.cost == pytest.approx(gain[1] - gain[0])
    assert [one.cost for one in found.confusions] == sorted(
        (one.cost for one in found.confusions), reverse=True
    )
    assert found.metric == (metric or "f1")


def test_the_surest_mistakes_come_first_and_name_the_entity() -> None:
    found = mistakes(["Pp.Ll...", "Pp.Ll..."], ["Ll.Ll...", "...Ll..."], [0.6, 0.9])
    assert [(one.row, one.labels, one.answer, one.confidence) for one in found.confident] == [
        (3, ("person: Ann Lee",), (), pytest.approx(0.9)),
        (2, ("person: Ann Lee",), ("place: Ann Lee",), pytest.approx(0.6)),
    ]
    assert "labelled person: Ann Lee; answered none (90%)" in found.text("F1")
    assert mistakes(["Pp......"], ["Pp......"]).text("F1") == "no mistakes"


def test_flipped_entities_are_found() -> None:
    rng = np.random.default_rng(0)
    labels = ("O", "B-person", "I-person", "B-place", "I-place")
    kinds = ["Pp.Ll..L", "Pp......", "...Ll...", ".......L"]
    texts, words, logits, flipped = [], [], [], set()
    for row in range(200):
        truth = kinds[row % 4]
        stated = truth
        if row % 28 == 0:  # the first of the sentences
            stated, _ = truth.replace("Pp", "Ll")[:-1] + "P", flipped.add(row)
        one = tagged(stated, row=row)
        own = np.array([0, 1, 2, 3, 4, 6, 7])  # the word "sang" has no token of its own
        scores = rng.normal(size=(8, 5)).astype(np.float32)
        scores[np.arange(8), [labels.index(tag) for tag in tagged(truth).tags]] += 8
        texts.append(("train", one))
        words.append(own)
        logits.append(scores[own])
    found = find_entity_label_errors(texts, words, logits, labels, how="by hand")
    assert found.checked == 200 * 7
    assert found.counted == "words"
    rows = {one.row for one in found.found}
    assert rows <= flipped
    assert len(rows) >= 7  # of 8; confident learning estimates how many labels are wrong
    assert {(one.labels, one.answer) for one in found.found} == {
        (("place: Ann Lee",), ("person: Ann Lee",)),  # once for both words
        (("person: Rome",), ("place: Rome",)),
    }


def test_a_kind_that_is_rarely_found_is_not_judged() -> None:
    """Most places are missed, so nothing is known of them; a missed person is doubted."""
    labels = ("O", "B-person", "I-person", "B-place", "I-place")
    logits = []
    for row in range(100):
        answer = "........" if row % 10 == 0 else "Pp......" if row % 10 < 8 else "Pp.Ll..."
        scores = np.full((8, 5), -4.0, dtype=np.float32)
        scores[np.arange(8), [labels.index(tag) for tag in tagged(answer).tags]] = 4.0 - row % 3
        logits.append(scores)
    texts = [("train", tagged("Pp.Ll...", row=row)) for row in range(100)]
    found = find_entity_label_errors(texts, [np.arange(8)] * 100, logits, labels, how="by hand")
    assert {one.labels for one in found.found} == {("person: Ann Lee",)}
    assert found.not_judged == ("place",)
    shown = replace(mistakes(["Pp......"], ["........"]), label_errors=found)
    assert "not judged, because fewer than half are found: place" in shown.text("F1")


def test_the_command_lists_mistakes_and_likely_label_errors(tiny_base: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    songs, foods, others = (
        ("song", "band", "drum"),
        ("soup", "rice", "apple"),
        ("the", "a", "of", "some", "please"),
    )

    def row(wrong: bool) -> dict[str, list[str]]:
        words = [str(rng.choice(others)) for _ in range(4)] + [str(rng.choice(songs)), str(rng.choice(foods))]
        kinds = {
            **dict.fromkeys(songs, "B-music"),
            **dict.fromkeys(foods, "B-food" if not wrong else "B-music"),
        }
        order = rng.permutation(6)
        return {"tokens": [words[n] for n in order], "tags": [kinds.get(words[n], "O") for n in order]}

    data = tmp_path / "data"
    data.mkdir()
    for name, count in (("train", 60), ("validation", 15), ("test", 15)):
        write_jsonl(data / f"{name}.jsonl", [row(name == "train" and n < 3) for n in range(count)])
    trained = told(
        "train", tmp_path / "m", "--task", "token-classification", "--base", tiny_base, "--data", data,
        "--set", "train.epochs=1", "--set", "train.threads=1",
    )  # fmt: skip
    assert trained["baselines"]["models"].keys() == {"majority", "frequent_tags", "linear_words"}
    shown = ftool("evaluate", str(tmp_path / "m"), "--mistakes")
    assert trained["baselines"]["verdict"] in shown.stdout
    assert shown.exit_code == 0, shown.stderr
    assert "computing features of texts 1 to 90 of 90" in shown.stderr
    assert "judging labels: part 5 of 5" in shown.stderr
    assert "costliest confusions: label" in shown.stdout
    assert " words (by 5 simple models, each trained without the texts it judges)" in shown.stdout
    found = json.loads(ftool("evaluate", str(tmp_path / "m"), "--mistakes", "--json").stdout)["mistakes"]
    assert found["counted"] == "entities"
    assert sum(one["count"] for one in found["confusions"]) == found["wrong_answers"] > 0
    errors = found["label_errors"]
    assert errors["words_checked"] == 90 * 6
    rows = {one["row"] for one in errors["shown"] if one["split"] == "train" and one["labels"] != []}
    assert {1, 2, 3} <= rows
