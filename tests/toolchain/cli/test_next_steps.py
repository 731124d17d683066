"""A command that others follow ends with them, as a shell takes them."""

import re
import shutil
from pathlib import Path

import pytest
from tests.helpers.cli import ftool, succeeds
from tests.helpers.tiny_models import TinyModels

from ftool.cli.next_steps import command, next_step


def last_line(*arguments: object) -> str:
    return succeeds(*arguments).stdout.splitlines()[-1]


def test_a_call_is_written_as_a_shell_takes_it() -> None:
    assert command("predict", Path("my models/a"), "your text") == "ftool predict 'my models/a' 'your text'"
    assert command("export", Path()) == "ftool export"  # the current folder is the default
    assert next_step("ftool a", "ftool b") == "Next: ftool a, or ftool b"


def test_each_step_names_the_next(
    exported: TinyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Path(shutil.copytree(exported["text-classification"], tmp_path / "m"))
    monkeypatch.chdir(tmp_path)
    assert last_line("data", "m") == "Next: ftool train m"
    assert last_line("train", "m") == "Next: ftool export m, or ftool evaluate m --mistakes"
    assert last_line("evaluate", "m", "--mistakes") == "Next: ftool export m"
    assert (
        last_line("evaluate", "m", "--on", "bundle") == "Next: ftool parity m, or ftool predict m 'your text'"
    )
    monkeypatch.chdir(model)
    assert last_line("export", "--max-drop", "0.2") == "Next: ftool parity, or ftool predict 'your text'"
    assert last_line("parity") == "Next: ftool bench, or ftool predict 'your text'"
    assert "Next: ftool" not in ftool("evaluate", "--json").stdout


def test_the_table_of_parity_tells_minima_from_maxima(exported: TinyModels, tmp_path: Path) -> None:
    model = Path(shutil.copytree(exported["text-classification"], tmp_path / "m"))
    lines = succeeds("parity", model).stdout.splitlines()
    allowed = {
        line[:24].partition(":")[0].strip(): re.search(r"at (least|most)", line)
        for line in lines
        if " at " in line[24:]
    }
    found = {name: match[1] for name, match in allowed.items() if match}
    assert found["same answers"] == "least"
    assert found["alone or in a batch"] == "most"
