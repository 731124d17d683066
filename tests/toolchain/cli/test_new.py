"""`ftool new` writes a recipe that can be trained, or nothing."""

import json
from pathlib import Path

import pytest
from click.testing import Result
from tests.helpers.cli import ftool

from ftool.recipe.recipe import Recipe
from ftool.recipe.shipped import shipped_recipe


def run(*arguments: object) -> Result:
    return ftool("new", *map(str, arguments))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.csv"
    rows = "".join(f"text {row},{'ab'[row % 2]}\n" for row in range(60))
    path.write_text("text,label\n" + rows, encoding="utf-8")
    return path


def test_new_writes_what_the_flags_say(tmp_path: Path, data: Path) -> None:
    result = run(
        tmp_path / "models" / "mine", "--data", data, "--base", "minilm", "--set", "train.method=head"
    )
    assert result.exit_code == 0, result.stderr
    assert "2 labels (single-label), base minilm" in result.stdout
    recipe = Recipe.read(tmp_path / "models" / "mine" / "recipe.toml")
    assert (recipe.data.path, recipe.train.method) == (str(data), "head")


def test_labels_that_look_alike_are_folded_on_request(tmp_path: Path) -> None:
    rows = "".join(f"text {row},{['a', 'B', 'b'][row % 3]}\n" for row in range(90))
    (tmp_path / "data.csv").write_text("text,label\n" + rows, encoding="utf-8")
    asked = ("--data", tmp_path / "data.csv", "--base", "minilm")
    assert "3 labels" in run(tmp_path / "kept", *asked).stdout
    assert "2 labels" in run(tmp_path / "folded", *asked, "--fold-labels").stdout
    assert Recipe.read(tmp_path / "folded" / "recipe.toml").data.fold_labels


def test_new_tells_what_it_found_as_json(tmp_path: Path, data: Path) -> None:
    result = run(tmp_path / "mine", "--data", data, "--json")
    told = json.loads(result.stdout)
    assert told["recipe"] == str(tmp_path / "mine" / "recipe.toml")
    assert told["data"] == {"train": 48, "validation": 6, "test": 6, "labels": 2, "multi_label": False}


@pytest.mark.parametrize(
    ("examples", "settings", "told"),
    [
        (
            10,
            (),
            "8 training examples a label are few: --set train.method=setfit may learn more from them than full",
        ),
        (10, ("train.method=head",), "may learn more from them than head"),
        (10, ("train.method=setfit",), None),
        (10, ("data.multi_label=true",), None),
        (40, (), None),
    ],
)
def test_setfit_is_suggested_for_few_examples_a_label(
    tmp_path: Path, examples: int, settings: tuple[str, ...], told: str | None
) -> None:
    rows = "".join(f"text {row},{'abc'[row % 3]}\n" for row in range(3 * examples))
    (tmp_path / "data.csv").write_text("text,label\n" + rows, encoding="utf-8")
    flags = [part for one in settings for part in ("--set", one)]
    asked = ("--data", tmp_path / "data.csv", "--base", "minilm", *flags)
    printed = run(tmp_path / "text", *asked).stdout
    assert ("train.method=setfit" in printed) == (told is not None)
    assert (told or "") in printed
    suggestions = json.loads(run(tmp_path / "json", *asked, "--json").stdout)["suggestions"]
    assert len(suggestions) == (told is not None)


@pytest.mark.parametrize(
    ("columns", "texts", "answer"),
    [
        ("text,label", "text {}", "a number, base minilm"),
        ("sentence1,sentence2,score", "text {},other {}", "a number from pairs of texts, base minilm"),
    ],
)
def test_new_says_that_the_answer_is_a_number(tmp_path: Path, columns: str, texts: str, answer: str) -> None:
    rows = "".join(f"{texts.format(row, row)},{row / 60}\n" for row in range(60))
    (tmp_path / "scores.csv").write_text(f"{columns}\n{rows}", encoding="utf-8")
    asked = ["--data", tmp_path / "scores.csv", "--base", "minilm", "--label-column", columns.split(",")[-1]]
    result = run(tmp_path / "mine", *asked)
    assert result.exit_code == 0, result.stderr
    assert f"text-classification, {answer}" in result.stdout
    told = json.loads(run(tmp_path / "other", *asked, "--json").stdout)
    assert told["data"] == {
        "train": 48,
        "validation": 6,
        "test": 6,
        "regression": True,
        "pairs": "pairs" in answer,
    }


def test_a_shipped_recipe_is_copied_word_for_word(tmp_path: Path) -> None:
    assert run(tmp_path / "mine", "--from", "intents").exit_code == 0
    written = (tmp_path / "mine" / "recipe.toml").read_text(encoding="utf-8")
    assert written == shipped_recipe("intents").read_text(encoding="utf-8")


def test_flags_describe_a_translator(tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.txt"
    pairs.write_text("".join(f"number {n}\t数 {n}\tid {n}\n" for n in range(60)), encoding="utf-8")
    result = run(
        tmp_path / "mine", "--task", "translation", "--base", "scratch:t5-mini", "--data", pairs,
        "--columns", "en,zh,id", "--source-language", "en", "--target-language", "zh",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert "translation, 48 training examples, base scratch:t5-mini" in result.stdout
    text = (tmp_path / "mine" / "recipe.toml").read_text(encoding="utf-8")
    assert 'target_language = "zh"' in text
    assert "label" not in text.replace("label_smoothing", "").replace("other labels", "")


def test_the_shipped_dates_recipe_can_be_started(tmp_path: Path) -> None:
    result = run(tmp_path / "mine", "--from", "dates", "--json")
    assert result.exit_code == 0, result.stderr
    counts = json.loads(result.stdout)["data"]
    assert counts == {"train": 20000, "validation": 500, "test": 1000, "unseen_forms": 500}


def test_a_shipped_recipe_takes_flags(tmp_path: Path) -> None:
    assert run(tmp_path / "mine", "--from", "intents", "--set", "train.epochs=1").exit_code == 0
    recipe = Recipe.read(tmp_path / "mine" / "recipe.toml")
    assert (recipe.data.path, recipe.train.epochs) == ("builtin:intents", 1)


def test_a_recipe_is_never_replaced(tmp_path: Path, data: Path) -> None:
    (tmp_path / "recipe.toml").write_text("mine", encoding="utf-8")
    result = run(tmp_path, "--data", data)
    assert result.exit_code == 2
    assert "a recipe already exists" in result.stderr
    assert (tmp_path / "recipe.toml").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ([], "no data: name it with --data"),
        (["--data", "gone.csv"], "gone.csv: there is no such file"),
        (["--data", "builtin:intents", "--base", "./gone"], "base ./gone: no such checkpoint folder"),
        (["--data", "builtin:intents", "--base", "minlm"], "did you mean minilm?"),
        (["--data", "builtin:intents", "--task", "translation"], "minilm: it can't generate text"),
        (
            ["--data", "builtin:intents", "--task", "translation", "--base", "scratch:t5-tiny"],
            "no column is known to hold the targets",
        ),
        (["--data", "builtin:intents", "--task", "translatoin"], "did you mean translation?"),
        (["--from", "dates", "--base", "scratch:t5-huge"], "give one of scratch:t5-tiny, scratch:t5-mini"),
        (["--from", "dates", "--label-column", "x"], "data.label is for text-classification"),
        (["--data", "builtin:intents", "--set", "train.epoch=1"], "did you mean train.epochs?"),
        (["--from", "intent"], "did you mean intents?"),
    ],
)
def test_what_cannot_be_trained_is_not_written(tmp_path: Path, arguments: list[str], error: str) -> None:
    result = run(tmp_path / "mine", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert error in result.stderr.splitlines()[-1]
    assert not (tmp_path / "mine").exists()


def test_a_messy_export_of_tickets_needs_only_its_path_and_a_base(tmp_path: Path, tiny_base: Path) -> None:
    words = [
        "rain",
        "sun",
        "wind",
        "cloud",
        "storm",
        "snow",
        "song",
        "band",
        "guitar",
        "drum",
        "melody",
        "choir",
    ]
    fillers = ["please", "tell me", "the", "more of", "some; and"]
    tickets = [
        (f"{fillers[n % 5]} {words[n % 12]} about {words[n % 12]}", f"Büro {n % 12}") for n in range(362)
    ]
    lines = ["Ticket text;queue", *(f'"{text}";{queue}' for text, queue in tickets)]
    lines.insert(200, ";")
    (tmp_path / "tickets.csv").write_bytes("\r\n".join(lines).encode("utf-8-sig"))

    result = run(tmp_path / "mine", "--data", tmp_path / "tickets.csv", "--base", tiny_base)
    assert result.exit_code == 0, result.stderr
    assert "12 labels (single-label)" in result.stdout
    assert "1 empty row was skipped" in result.output
    assert "texts from the column 'Ticket text', labels from 'queue'" in result.output
    trained = ftool("train", tmp_path / "mine", "--json")
    assert trained.exit_code == 0, trained.stderr
    told = json.loads(trained.stdout)
    assert sum(told["data"]["examples"].values()) == 362
    assert told["metrics"]["accuracy"] > 0.5
