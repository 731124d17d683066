"""Fixtures: a model folder in which everything was measured."""

import shutil
from pathlib import Path

import pytest
from tests.helpers.cli import succeeds, told
from tests.helpers.report_folders import HOSTILE, add_wrong_answers, frontier, write_bench
from tests.helpers.shared import BuiltOnce
from tests.helpers.tiny_models import TinyModels

from ftool.evaluation.records import model_hash
from ftool.workspace import ModelFolder, write_json

CANDIDATES = (
    "int8",
    "int8-4bit-embeddings",
    "int8-static",
    "w8",
    "w4",
    "int8-rows",
    "w8-4bit-embeddings",
    "fp32",
)


@pytest.fixture(scope="session")
def measured(exported: TinyModels, made_once: BuiltOnce) -> Path:
    """A classifier's model folder with every report; a test that changes it copies it first."""

    def measure(folder: Path) -> None:
        shutil.copytree(exported["text-classification"], folder, dirs_exist_ok=True)
        succeeds("evaluate", folder, "--on", "bundle", "--by", "label", "--min-examples", 5)
        told("parity", folder)
        model = ModelFolder(folder)
        timings = write_bench(model, of=model_hash(model, "bundle"))
        write_json(model.ladder / "frontier.json", frontier(CANDIDATES, timings))

    return made_once("measured", measure)


@pytest.fixture
def model(measured: Path, tmp_path: Path) -> Path:
    """A copy of the folder in which everything was measured."""
    return Path(shutil.copytree(measured, tmp_path / "model"))


@pytest.fixture
def hostile(model: Path) -> Path:
    """Such a folder with wrong answers whose texts try to break the page."""
    add_wrong_answers(ModelFolder(model), HOSTILE)
    return model
