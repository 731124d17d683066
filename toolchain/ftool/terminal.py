"""Output to read on a terminal: tables as text, and one live progress display with log lines above it."""

import logging
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

import click

from ftool_runtime.text.printable import printable

if TYPE_CHECKING:  # rich takes longer to import than all of `ftool --help`
    from rich.progress import Progress

log = logging.getLogger(__name__)

_EVERY_S: Final = 30.0  # between log lines of progress, if standard error is not a terminal
_REFRESHES: Final = 4  # per second; more would slow down the training
_WIDEST: Final = 10_000  # characters; tables are never wrapped

_display: "Progress | None" = None  # the live display, if one is shown


class Show(Protocol):
    """Shows how far a task has got: the number of units done, and a few words beside the bar, such as the loss."""

    def __call__(self, number: int, note: str = "") -> None:
        """Show `number` units as done; `note` is shown only by a bar."""


def format_table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as lines of text with aligned columns; the first row is the header.

    The first column is aligned left, the other columns right. Widths are in terminal cells, so that columns with wide
    characters are aligned too.
    """
    from rich.box import Box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    ruled = Box("    \n    \n -  \n    \n    \n    \n    \n    \n", ascii=True)  # rules under the header only
    table = Table(box=ruled, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    head, *body = rows
    for index, name in enumerate(head):
        table.add_column(Text(name), justify="right" if index else "left", no_wrap=True)
    for row in body:
        table.add_row(*map(Text, row))
    console = Console(width=_WIDEST, color_system=None, force_terminal=False, legacy_windows=False)
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def print_line(text: str) -> None:
    """Print a line on standard error, above the live display if there is one; see `printable`."""
    text = printable(text)
    if _display is None:
        click.echo(text, err=True)
    else:
        _display.console.print(text, markup=False, highlight=False, emoji=False, soft_wrap=True)


def has_bars() -> bool:
    """Return whether `progress_bar` shows bars: whether standard error is a terminal that can redraw a line."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


@contextmanager
def progress_bar(
    what: str, total: int | None, unit: str, *, done: int = 0, lines: bool = True
) -> Iterator[Show]:
    """Show progress on standard error: a bar if standard error is a terminal, else a log line every half minute.

    The bar disappears at the end. Bars that exist at the same time are shown as lines of one display.

    Args:
        what: the name of the task, such as "training".
        total: the number of units; None if it is unknown.
        unit: the name of the units, in the plural.
        done: the number of units that are already done.
        lines: whether to log progress if standard error is not a terminal.

    Yields:
        A function to call with the number of units done so far.
    """
    if has_bars():
        with _live() as display:
            task = display.add_task(what, total=total, completed=done, unit=unit, note="")

            def show(number: int, note: str = "") -> None:
                display.update(task, completed=number, note=note)

            try:
                yield show
            finally:
                display.remove_task(task)
    else:
        yield _logged(what, total, unit) if lines else _shown_nowhere


@contextmanager
def _live() -> Iterator["Progress"]:
    """Yield the live display, which the outermost bar starts and ends."""
    global _display
    if _display is not None:
        yield _display
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    # Standard output is for results, so it is not redirected to the display.
    display = Progress(
        *columns,
        console=Console(stderr=True),
        transient=True,
        refresh_per_second=_REFRESHES,
        redirect_stdout=False,
    )
    with display:
        _display = display
        try:
            yield display
        finally:
            _display = None


def _shown_nowhere(number: int, note: str = "") -> None:
    """Show nothing."""


def _logged(what: str, total: int | None, unit: str) -> Show:
    last = time.monotonic()

    def log_progress(number: int, note: str = "") -> None:  # noqa: ARG001 (log lines give no notes)
        nonlocal last
        if time.monotonic() - last >= _EVERY_S:
            last = time.monotonic()
            of = "" if total is None else f" of {total}"
            log.info("%s: %d%s %s", what, number, of, unit)

    return log_progress
