"""Results kept on disk: taken up if nothing changed, made again otherwise."""

from pathlib import Path
from typing import Any

import pytest

from ftool.ladder.memo import remembered


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "work" / "result.json"
    assert remembered(path, {"key": (1, 2)}, lambda: {"value": 1}) == {"value": 1}
    return path


def make_second() -> dict[str, Any]:
    return {"value": 2}


def test_a_finished_result_is_not_made_again(file: Path) -> None:
    assert remembered(file, {"key": (1, 2)}, make_second) == {"value": 1}


def test_another_key_makes_it_again(file: Path) -> None:
    assert remembered(file, {"key": (1, 3)}, make_second) == {"value": 2}
    assert remembered(file, {"key": (1, 3)}, dict) == {"value": 2}


def test_a_result_whose_files_changed_is_made_again(file: Path) -> None:
    assert remembered(file, {"key": (1, 2)}, make_second, lambda stored: stored["value"] == 2) == {"value": 2}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"key": {"key": [1, 2]}}'])
def test_a_damaged_file_is_written_again(file: Path, content: str) -> None:
    file.write_text(content)
    assert remembered(file, {"key": (1, 2)}, make_second) == {"value": 2}
