"""The flags of `python -m ftool_runtime` for lessons."""

import argparse
from pathlib import Path
from typing import Any

from ftool_runtime.bundle.contracts import MAX_LOSS_RISE
from ftool_runtime.errors import InputError


def add_teach_flags(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `teach`."""
    parser.add_argument("--text", metavar="TEXT", help="the text to learn from")
    parser.add_argument("--label", metavar="LABEL", help="its label, one of the model's or a new one")
    parser.add_argument(
        "--max-loss-rise",
        type=float,
        default=MAX_LOSS_RISE,
        metavar="NATS",
        help="the most by which all lessons may raise the loss on the bundle's replay (default %(default)s)",
    )
    parser.add_argument("--undo", action="store_true", help="take back the latest lesson")
    parser.add_argument("--reset", action="store_true", help="take back all lessons")
    parser.add_argument(
        "--share", type=Path, metavar="FILE", help="write the taught rows of the head, for ftool merge"
    )
    parser.add_argument(
        "--min-lessons", type=int, default=1, metavar="N", help="with --share: leave out labels with fewer"
    )
    parser.add_argument(
        "--adopt", type=Path, metavar="FILE", help="begin with a head that ftool merge has averaged"
    )
    add_lessons(parser, "the file of lessons (default: BUNDLE.lessons, beside the bundle)")


def add_lessons(parser: argparse.ArgumentParser, explanation: str) -> None:
    """Add the flag that names a file of lessons."""
    parser.add_argument("--lessons", type=Path, metavar="FILE", help=explanation)


def take_lessons(model: Any, path: Path) -> None:
    """Let a loaded model take the lessons in the file at `path`.

    Raises InputError if the model can't be taught, or the file does not exist or can't be used.
    """
    if not hasattr(model, "open_lessons"):
        raise InputError("--lessons is for classifiers")
    if not path.exists():
        raise InputError(f"{path} does not exist; `teach` writes such a file")
    model.open_lessons(path)
