"""`ftool merge`: its report, its file, and what it refuses."""

from pathlib import Path
from typing import Any

import pytest
from tests.helpers.cli import ftool, told
from tests.helpers.teachable import teachable_bundle
from tests.helpers.tiny_bundles import write_bundle

import ftool_runtime as ft


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def make(**given: Any) -> Path:
        folder = tmp_path_factory.mktemp("bundle")
        write_bundle(folder, **given)
        return folder

    return teachable_bundle(make)


def _head(bundle: Path, path: Path, text: str) -> Path:
    with ft.TextClassifier.load(bundle, threads=1) as model:
        model.teach(text, "duration", max_loss_rise=10)
        model.share_head(path)
    return path


def test_heads_are_averaged_into_a_file_that_devices_adopt(bundle: Path, tmp_path: Path) -> None:
    heads = [_head(bundle, tmp_path / f"{text}.head", text) for text in ("minutes", "minutes off")]
    output = tmp_path / "round1.head"

    report = told("merge", bundle, *heads, "-o", output, "--max-loss-rise", "10")

    assert report["devices"] == 2
    assert report["lessons"] == {"duration": 2}
    assert set(report["loss_rises"]) == {str(head) for head in heads}
    with ft.TextClassifier.load(bundle, threads=1) as model:
        model.adopt_head(output)
        assert model("minutes").label == "duration"


def test_what_can_not_be_merged_is_named_and_nothing_is_written(bundle: Path, tmp_path: Path) -> None:
    head, output = _head(bundle, tmp_path / "one.head", "minutes"), tmp_path / "all.head"
    for arguments, words in (
        ((head, head), "is given twice"),
        ((head, "--base", head), "began with the bundle's own head"),
        ((head, "--max-loss-rise", "0"), "would make the model forget too much"),
    ):
        result = ftool("merge", bundle, *arguments, "-o", output)
        assert result.exit_code == 2
        assert words in result.stderr
        assert not output.exists()
