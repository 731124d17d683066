"""A text generator for Chinese, which has no spaces between words, is exported, compared with torch, and timed."""

import json
import logging
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.helpers.cli import ftool

from ftool.bench.run import texts_to_time
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.recipe.sections import TrainSettings
from ftool.train_model import train
from ftool_runtime.text.generation_tokenizer import GenerationTokenizer

CHARACTERS = "天地人你我他春夏秋冬山水火木金土日月星云风雨雪花鸟鱼虫草书画琴棋"


def write_texts(path: Path, texts: Sequence[str]) -> None:
    rows = [json.dumps({"text": text}, ensure_ascii=False) for text in texts]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder whose texts fill its context of 48 tokens; its run/ has hardly learnt."""
    folder, rng = tmp_path_factory.mktemp("writer"), random.Random(0)
    data = folder / "data"
    data.mkdir()
    for split, count in (("train", 40), ("validation", 6), ("test", 6)):
        texts = ["".join(rng.choices(CHARACTERS, k=100)) for _ in range(count)]
        write_texts(data / f"{split}.jsonl", texts)
    made = Recipe(
        task="text-generation",
        base="scratch:gpt2-tiny",
        data=DataSettings(path=str(data)),
        train=TrainSettings(epochs=0.2, threads=1, vocabulary_size=400, max_length=48, max_target_length=16),
    )
    made.write(folder / "recipe.toml")
    train(made, folder)
    return folder


@pytest.fixture(scope="module")
def exported(writer: Path) -> tuple[Path, str]:
    """The folder with its bundle, and what export said."""
    result = ftool("export", writer, "--precision", "fp32")
    assert result.exit_code == 0, result.output
    return writer, result.output


def test_export_and_parity_say_that_tokens_are_compared(
    exported: tuple[Path, str], caplog: pytest.LogCaptureFixture
) -> None:
    folder, said = exported
    assert "same next tokens as torch: 100.00%" in said
    with caplog.at_level(logging.INFO):
        ftool("export", folder, "--precision", "fp32")
    told = [
        record.getMessage()
        for record in caplog.records
        if record.getMessage().startswith("fp32, leaving out nothing: ")
    ]
    assert len(told) == 1
    assert "same next tokens: 100.00% over " in told[0]
    result = ftool("parity", folder)
    assert "same next tokens" in result.output
    assert "same answers" not in result.output


def test_a_text_without_spaces_leaves_room_for_its_answer(exported: tuple[Path, str]) -> None:
    folder, _ = exported
    result = ftool("bench", folder, "--against", "none", "--rounds", 1, "--texts", 2, "--json")
    assert result.exit_code == 0, result.output
    for engine in json.loads(result.stdout)["engines"].values():
        assert engine["tokens_per_s"] > 0


def test_the_beginning_has_at_most_half_of_the_context(exported: tuple[Path, str], tmp_path: Path) -> None:
    folder, _ = exported
    given = ["天地人" * 60, "天 地\n人", "x" * 500, "  two words", "คำไทยไม่มีช่องว่าง" * 9]
    data = tmp_path / "data"
    data.mkdir()
    for split in ("train", "validation", "test"):
        write_texts(
            data / f"{split}.jsonl", [f"{split} {text}" if split != "test" else text for text in given]
        )
    recipe = Recipe(task="text-generation", base="scratch:gpt2-tiny", data=DataSettings(path=str(data)))
    tokens = GenerationTokenizer(folder / "bundle" / "tokenizer.json")
    found = texts_to_time(recipe, "test", folder / "bundle")
    assert len(found) == len(given)
    for whole, beginning in zip(given, found, strict=True):
        assert isinstance(beginning, str)
        assert beginning
        assert whole.strip().startswith(beginning)
        assert tokens.count(beginning) <= 24  # of 48
    assert found[1] == given[1]  # short enough to be the whole
