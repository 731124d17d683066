"""The line "Next: ..." below a command's result: the commands that usually follow, ready to be copied."""

import shlex
from pathlib import Path

from ftool.tasks.base import Task

SAMPLE = "your text"  # an input in examples of `ftool predict`


def command(name: str, *arguments: object) -> str:
    """Return a call of an ftool command as a shell takes it; the current folder, which is the default, is left out."""
    words = [shlex.quote(str(argument)) for argument in arguments if argument != Path()]
    return " ".join(["ftool", name, *words])


def next_step(*commands: str) -> str:
    """Return the line that names the commands which usually follow, the most usual one first."""
    return f"Next: {', or '.join(commands)}"


def after_training(folder: Path, row: Task, *, mistakes: bool = True) -> str:
    """Return the line after a trained model was measured; `mistakes` says whether to offer the list of its mistakes."""
    looking = [command("evaluate", folder, "--mistakes")] if mistakes and row.label_errors else []
    return next_step(command("export", folder), *looking)
