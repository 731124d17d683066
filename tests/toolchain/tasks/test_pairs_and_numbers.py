"""Classification of text pairs, and regression to a number: from data to bundle."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.helpers.cli import ftool, told
from transformers import AutoModelForSequenceClassification, BertConfig

import ftool_runtime as ft
from ftool.data.label_policy import ModelFacts
from ftool.data.load import load_dataset, load_split
from ftool.data.rows.labels import LabelReader
from ftool.errors import DataError, TrainingError
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.recipe.sections import TrainSettings
from ftool.train_model import train as train_recipe
from ftool_export.checkpoints.classifier import compute_logits, load_classifier

WORDS = ["rain", "sun", "wind", "cloud", "song", "band", "drum", "choir", "soup", "cheese", "apple", "rice"]
FILLERS = ["the", "a", "please", "tell", "me", "about", "some", "more", "of", "and"]


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def write_splits(folder: Path, row: Callable[[random.Random], dict[str, Any]]) -> Path:
    rng = random.Random(5)
    for name, count in (("train", 160), ("validation", 40), ("test", 40)):
        write(folder / f"{name}.jsonl", [row(rng) for _ in range(count)])
    return folder


@pytest.fixture(scope="session")
def inferences(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two texts, of which the second's first word decides: inference as NLI data sets have it."""

    def row(rng: random.Random) -> dict[str, Any]:
        weather = rng.random() < 0.5
        word = rng.choice(WORDS[:4] if weather else WORDS[4:])
        first = " ".join(rng.sample(FILLERS, rng.randint(1, 6)))
        return {
            "premise": first,
            "hypothesis": f"{word} {rng.choice(FILLERS)}",
            "label": "weather" if weather else "other",
        }

    return write_splits(tmp_path_factory.mktemp("inferences"), row)


@pytest.fixture(scope="session")
def ratings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sentences and how much weather is in them, from 0 to 1."""

    def row(rng: random.Random) -> dict[str, Any]:
        count = rng.randint(0, 4)
        words = rng.choices(WORDS[:4], k=count) + rng.choices(WORDS[4:], k=4 - count)
        rng.shuffle(words)
        return {"text": " ".join(words), "label": count / 4}

    return write_splits(tmp_path_factory.mktemp("ratings"), row)


def trained(base: Path, data: Path, folder: Path, **train: Any) -> Path:
    settings = TrainSettings(**{"method": "head", "threads": 1} | train)
    recipe = Recipe(base=str(base), data=DataSettings(path=str(data)), train=settings)
    folder.mkdir()
    recipe.write(folder / "recipe.toml")
    train_recipe(recipe, folder, resume=False)
    return folder


@pytest.fixture(scope="session")
def inferring(tiny_base: Path, inferences: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder of pairs with a pooled head, exported in fp32."""
    folder = trained(tiny_base, inferences, tmp_path_factory.mktemp("models") / "pairs")
    told("export", folder, "--precision", "fp32")
    return folder


@pytest.fixture(scope="session")
def rating(tiny_base: Path, ratings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with a number for an answer, all weights trained, exported in int8."""
    train = {"method": "full", "epochs": 4, "learning_rate": 2e-3}
    folder = trained(tiny_base, ratings, tmp_path_factory.mktemp("models") / "rating", **train)
    told("export", folder, "--max-drop", "0.2")
    return folder


@pytest.mark.parametrize(
    ("row", "texts", "pairs"),
    [
        ({"premise": "a", "hypothesis": "b"}, "a", ["b", "b"]),
        ({"sentence1": "a", "sentence2": "b"}, "a", ["b", "b"]),
        ({"query": "a", "passage": "b"}, "a", ["b", "b"]),
        ({"text": "a", "text_pair": "b"}, "a", ["b", "b"]),
        ({"text": "a", "title": "b"}, "a", None),
        ({"question": "a", "answer": "b"}, "a", None),
    ],
)
def test_two_texts_are_found_where_two_columns_are_named_for_it(
    row: dict[str, str], texts: str, pairs: list[str] | None, tmp_path: Path
) -> None:
    path = write(tmp_path / "data.jsonl", [row | {"label": "x"}, row | {"label": "y"}])
    model = ModelFacts(("x", "y"), pairs=pairs is not None)
    split = load_split(LabelReader, DataSettings(path=path), model=model)
    assert [(one.text, one.pair) for one in split.examples] == [
        (texts, pair) for pair in pairs or (None, None)
    ]
    if pairs:
        assert split.inputs[0] == {"text": "a", "text_pair": "b"}


def test_a_column_of_second_texts_can_be_named(tmp_path: Path) -> None:
    rows = [{"title": f"t{i}", "body": f"b{i}", "label": i % 2} for i in range(40)]
    path = write(tmp_path / "data.jsonl", rows)
    data = load_dataset(LabelReader, DataSettings(path=path, text="title", text_pair="body"))
    assert data.facts["pairs"]
    assert data.train.inputs[0]["text_pair"].startswith("b")
    alone = load_dataset(LabelReader, DataSettings(path=path, text="title"))
    assert alone.sha256 != data.sha256
    with pytest.raises(DataError, match="both texts are the column 'body'"):
        load_dataset(LabelReader, DataSettings(path=path, text="body", text_pair="body"))


def test_a_premise_stays_on_one_side_and_is_no_contradiction(tmp_path: Path) -> None:
    rows = [
        {"premise": f"p{i}", "hypothesis": f"h{j}", "label": label}
        for i in range(60)
        for j, label in enumerate(["yes", "no"])
    ]
    data = load_dataset(LabelReader, DataSettings(path=write(tmp_path / "data.jsonl", rows)))
    sides = [{one.text for one in data.split(name).examples} for name in ("train", "validation", "test")]
    assert not sides[0] & sides[1]
    assert not sides[0] & sides[2]
    assert data.warnings == ()


@pytest.mark.parametrize("name", ["score", "similarity"])
def test_scores_are_labels_where_nothing_else_is(name: str, tmp_path: Path) -> None:
    rows = [{"sentence1": f"a {i}", "sentence2": f"b {i}", name: i / 8} for i in range(60)]
    data = load_dataset(LabelReader, DataSettings(path=write(tmp_path / "scored.jsonl", rows)))
    assert (data.facts["regression"], data.facts["pairs"]) == (True, True)
    first = data.train.examples[0]
    assert first.scores == (int(first.text.split()[1]) / 8,)
    named = [row | {"label": f"kind {i % 2}"} for i, row in enumerate(rows)]
    both = load_dataset(LabelReader, DataSettings(path=write(tmp_path / "both.jsonl", named)))
    assert both.labels == ("kind 0", "kind 1")


@pytest.mark.parametrize(
    ("labels", "regression"),
    [
        ([0.5, 1.0, 2.0], True),
        (["0.5", "3", "2"], True),
        ([1, 2, 3], False),
        ([1.0, 2.0, 3.0], False),  # a column of whole numbers that a gap turned to floats
        (["0.5", "high", "2"], False),
    ],
)
def test_numbers_to_meet_are_told_from_labels(labels: list[Any], regression: bool, tmp_path: Path) -> None:
    rows = [{"text": f"text {i}", "label": labels[i % 3]} for i in range(60)]
    data = load_dataset(LabelReader, DataSettings(path=write(tmp_path / "data.jsonl", rows)))
    assert data.facts["regression"] is regression
    if regression:
        assert data.labels == ()
        first = data.train.examples[0]
        assert first.scores == (float(labels[int(first.text.split()[1]) % 3]),)


@pytest.mark.parametrize("cell", ["n/a", "nan", "high"])
def test_a_stray_cell_among_scores_is_named(cell: str, tmp_path: Path) -> None:
    rows = [{"text": f"text {i}", "label": cell if i == 1 else i / 4} for i in range(30)]
    with pytest.raises(DataError, match=f"row 2 with no number in the column 'label', such as '{cell}'"):
        load_dataset(LabelReader, DataSettings(path=write(tmp_path / "data.jsonl", rows)))


def test_whole_numbers_are_met_where_the_settings_say_so(tmp_path: Path) -> None:
    rows = [{"text": f"text {i}", "label": i % 5} for i in range(60)]
    path = write(tmp_path / "data.jsonl", rows)
    data = load_dataset(LabelReader, DataSettings(path=path, regression=True))
    assert (data.facts["regression"], len(data.train), len(data.test)) == (True, 48, 6)
    with pytest.raises(DataError, match=r"row 2 with no number in the column 'label', such as 'x'"):
        load_dataset(
            LabelReader,
            DataSettings(
                path=write(tmp_path / "bad.jsonl", [rows[0], rows[1] | {"label": "x"}]), regression=True
            ),
        )


def test_a_pair_without_its_second_text_is_refused(tmp_path: Path) -> None:
    rows = [
        {"premise": "a", "hypothesis": "b", "label": "x"},
        {"premise": "a", "hypothesis": " ", "label": "y"},
    ]
    with pytest.raises(DataError, match="row 2 without a second text"):
        load_dataset(LabelReader, DataSettings(path=write(tmp_path / "data.jsonl", rows)))
    single = write(tmp_path / "single.jsonl", [{"text": "a", "label": "x"}])
    with pytest.raises(DataError, match="the model takes two texts; name the column"):
        load_split(LabelReader, DataSettings(path=single), model=ModelFacts(("x",), pairs=True))


def test_pairs_learn_what_the_second_text_alone_tells(inferring: Path) -> None:
    report = json.loads((inferring / "run" / "metrics.json").read_text())
    assert report["metrics"]["accuracy"] > 0.65  # a frozen random encoder; 0.5 by chance
    loaded = load_classifier(inferring / "run")
    assert loaded.pairs
    (row,) = loaded.rows([{"text": "the", "text_pair": "rain"}])[0]
    assert row.type_ids == [0, 0, 0, 1, 1]


def test_a_bundle_of_pairs_answers_as_its_run(inferring: Path) -> None:
    parity = told("parity", inferring)
    assert parity["passed"]
    assert parity["agreement"] == 1.0
    run, bundle = told("evaluate", inferring), told("evaluate", inferring, "--on", "bundle")
    assert bundle["metrics"]["accuracy"] == run["metrics"]["accuracy"]
    assert bundle["metrics"]["confusion_matrix"] == run["metrics"]["confusion_matrix"]
    assert ft.verify(inferring / "bundle").passed


def test_pairs_are_called_as_transformers_calls_them(inferring: Path, tmp_path: Path) -> None:
    with ft.TextClassifier.load(inferring / "bundle", threads=1) as model:
        assert model.pairs
        answer = model(("the", "rain a"))
        assert answer == model({"text": "the", "text_pair": "rain a"})
        many = model([("the", "rain a"), {"text": "more", "text_pair": "soup of"}])
        assert [one.label for one in many] == [answer.label, model(("more", "soup of")).label]
        logits = compute_logits(load_classifier(inferring / "run"), [{"text": "the", "text_pair": "rain a"}])
        np.testing.assert_allclose(model.logits([("the", "rain a")]), logits, atol=1e-4)
        for wrong in ("the", ["the"], [{"text": "the"}], [("a", "b", "c")]):
            with pytest.raises(ft.InputError, match="input 0: this model takes two texts"):
                model(wrong)
        with pytest.raises(ft.InputError, match="text 0 is empty"):
            model(("the", " "))
        long = model(("the " * 40, "rain " * 9))
        assert long.truncated
    write(tmp_path / "in.jsonl", [{"p": "the", "h": "rain a"}])
    command = ["predict", str(inferring), "--input", str(tmp_path / "in.jsonl")]
    result = ftool(*command, "--column", "text=p", "--column", "text_pair=h")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) | {"text": "the", "text_pair": "rain a"} == json.loads(result.stdout)
    both = ftool("predict", str(inferring), "the", "rain a")
    assert json.loads(both.stdout)["label"] == answer.label


def test_the_longer_of_two_texts_is_cut_first(inferring: Path) -> None:
    loaded = load_classifier(inferring / "run")
    ((row,),) = loaded.rows([{"text": "the " * 60, "text_pair": "rain sun"}])
    assert len(row.ids) == loaded.max_length
    assert row.truncated
    assert sum(row.type_ids or []) == 3  # the second text whole, and its separator


def test_a_number_is_learnt_and_measured(rating: Path) -> None:
    report = json.loads((rating / "run" / "metrics.json").read_text())
    assert set(report["metrics"]) == {"spearman", "pearson", "mse"}
    assert report["metrics"]["spearman"] > 0.5
    assert report["metrics"]["mse"] < 0.1
    bundle = told("evaluate", rating, "--on", "bundle")["metrics"]
    assert bundle["spearman"] == pytest.approx(report["metrics"]["spearman"], abs=0.1)
    text = ftool("evaluate", str(rating)).stdout
    assert "Spearman" in text
    assert "mean squared error" in text


def test_a_bundle_gives_a_score(rating: Path) -> None:
    manifest = ft.Manifest.read(rating / "bundle")
    assert (manifest.regression, manifest.labels) == (True, ())
    with ft.TextRegressor.load(rating / "bundle", threads=1) as model:
        assert (model.labels, model.regression) == ((), True)
        wet, dry = model(["rain sun wind cloud", "soup cheese apple rice"])
        assert isinstance(wet, ft.Score)
        assert wet.value > dry.value
        with pytest.raises(ft.InputError, match="are for labels; this model gives numbers"):
            model("rain", top_k=2)
    result = ftool("predict", str(rating), "rain sun")
    assert set(json.loads(result.stdout)) == {"text", "score", "truncated"}
    parity = told("parity", rating)
    assert (parity["passed"], parity["batch_effect"]) == (True, 0)


def test_a_run_of_numbers_loads_without_ftool(tiny_base: Path, ratings: Path, tmp_path: Path) -> None:
    folder = trained(tiny_base, ratings, tmp_path / "own", pooling="pooler", method="full", epochs=1)
    model = AutoModelForSequenceClassification.from_pretrained(folder / "run")
    assert (model.config.num_labels, model.config.problem_type) == (1, "regression")
    loaded = load_classifier(folder / "run")
    inputs = loaded.batch(loaded.tokenize(["rain sun"]))
    with torch.inference_mode():
        expected = model(**inputs).logits.numpy()
    np.testing.assert_allclose(compute_logits(loaded, ["rain sun"]), expected, atol=1e-5)
    told("export", folder, "--precision", "fp32")
    assert told("parity", folder)["passed"]


@pytest.mark.parametrize(
    ("written", "sigmoid"),
    [
        ({"sentence_transformers": {"version": "5.0"}}, True),
        ({"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}}, False),
        ({"sbert_ce_default_activation_function": "torch.nn.modules.activation.Sigmoid"}, True),
        ({}, None),
    ],
)
def test_a_cross_encoder_scores_pairs_behind_its_own_activation(
    written: dict[str, Any], sigmoid: bool | None, tiny_base: Path, tmp_path: Path
) -> None:
    config = BertConfig.from_pretrained(tiny_base, num_labels=1)
    torch.manual_seed(0)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_text((tiny_base / name).read_text())
    stated = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(stated | written))
    loaded = load_classifier(tmp_path)
    assert (loaded.regression, bool(loaded.pairs)) == (True, sigmoid is not None)
    assert loaded.model.sigmoid is bool(sigmoid)
    if written == {"sentence_transformers": {"version": "5.0"}}:
        command = ("export", "--checkpoint", tmp_path, "--task", "text-classification", "--precision", "fp32")
        told(*command, "-o", tmp_path / "bundle")
        from sentence_transformers import CrossEncoder

        expected = CrossEncoder(str(tmp_path), device="cpu").predict(
            [("rain", "the sun"), ("soup", "a song")]
        )
        with ft.load(tmp_path / "bundle", threads=1) as model:
            found = [one.value for one in model([("rain", "the sun"), ("soup", "a song")])]
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_settings_for_labels_are_refused_where_there_are_none(
    tiny_base: Path, ratings: Path, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="need labels, but this data has numbers"):
        trained(tiny_base, ratings, tmp_path / "x", label_smoothing=0.1)


def test_adapt_says_that_it_teaches_labels_alone(rating: Path) -> None:
    result = ftool("adapt", str(rating), "--text", "rain", "--label", "1")
    assert result.exit_code == 2
    assert "models that label single texts" in result.output
