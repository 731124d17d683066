"""Shells complete commands, options and values."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from ftool.cli import main


def completed(*words: str) -> list[str]:
    """What a shell offers for the last of the words after `ftool`; "<dir>" and "<file>" where it completes paths."""
    *before, incomplete = words
    items = ShellComplete(main, {}, "ftool", "_FTOOL_COMPLETE").get_completions(list(before), incomplete)
    return [one.value if one.type == "plain" else f"<{one.type}>" for one in items]


def test_commands_and_options_are_completed() -> None:
    assert completed("ex") == ["export"]
    assert {"train", "predict", "doctor"} <= set(completed(""))
    assert "--precision" in completed("export", "--pre")
    assert completed("trian", "x") == []


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("new", "m", "--task", "text-"), ["text-classification", "text-ranking", "text-generation"]),
        (("export", "m", "--precision", "int8"), ["int8", "int8-rows", "int8-static"]),
        (("new", "m", "--base", "mini"), ["minilm"]),
        (("new", "m", "--task", "translation", "--base", "scratch:t5-t"), ["scratch:t5-tiny"]),
        (("new", "m", "--base", "checkpoints/"), ["<dir>"]),
        (("new", "m", "--data", "builtin:"), ["builtin:dates", "builtin:intents"]),
        (("new", "m", "--data", "ban"), ["<file>"]),
        (("train", "mod"), ["<dir>"]),
        (("predict", "mod"), ["<dir>"]),
        (("train", "m", "--set", "train.epo"), ["train.epochs="]),
        (("train", "m", "--set", "train.samples"), ["train.samples=multi", "train.samples=single"]),
        (("train", "m", "--set", "train.samples=s"), ["train.samples=single"]),
        (("train", "m", "--set", "export.allow_drift="), ["export.allow_drift=true", "export.allow_drift=false"]),
        (("train", "m", "--set", "train.epochs="), []),
    ],
)  # fmt: skip
def test_values_are_completed(words: tuple[str, ...], offered: list[str]) -> None:
    assert completed(*words) == offered


def test_settings_are_those_of_the_task(tmp_path: Path) -> None:
    call = ("new", "m", "--task", "translation", "--base", "scratch:t5-tiny", "--set")
    assert "generation.num_beams=" in completed(*call, "generation.")
    assert completed("new", "m", "--task", "text-classification", "--set", "generation.") == []
    (tmp_path / "recipe.toml").write_text('[data]\npath = "builtin:intents"\n', encoding="utf-8")
    assert completed("train", str(tmp_path), "--set", "generation.") == []
    assert completed("train", str(tmp_path), "--base", "scratch:") == ["<dir>"]


def test_every_setting_is_offered_once() -> None:
    offered = completed("train", "m", "--set", "")
    assert len(offered) == len(set(offered)) > 50


def test_completing_a_command_imports_none() -> None:
    code = (
        "import sys\nfrom ftool.cli import main\nfrom click.shell_completion import ShellComplete\n"
        "items = ShellComplete(main, {}, 'ftool', '_FTOOL_COMPLETE').get_completions([], 'tr')\n"
        "print([one.value for one in items], 'ftool.cli.train' in sys.modules, 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['train'] False False\n"


@pytest.mark.parametrize("shell", ["zsh", "fish"])  # bash asks the shell for its version
def test_the_script_for_a_shell_is_printed(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_FTOOL_COMPLETE", f"{shell}_source")
    code = "from ftool.cli import main; main(prog_name='ftool')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "_FTOOL_COMPLETE" in done.stdout
