"""Terminal output: tables as text, and one live progress display with log lines above it."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from ftool.terminal import format_table, print_line, progress_bar

BAR = re.compile(r"training [━╸╺ ]+ *\d+/\d+ updates \d:\d\d:\d\d( loss \S+)?")
CODES = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])")


def test_a_table_has_one_line_a_row_and_columns_that_line_up() -> None:
    rows = [["label", "f1 [0, 1]", "n"], ["天气", "0.50", "3"], ["[bold]a[/bold] :smile:", "1.00", "12"]]
    assert format_table(rows) == (
        "label                   f1 [0, 1]   n\n"
        "----------------------- ---------- --\n"
        "天气                         0.50   3\n"
        "[bold]a[/bold] :smile:       1.00  12"
    )


def test_a_table_is_not_wrapped() -> None:
    assert format_table([["a", "b"], ["x" * 300, "1"]]).splitlines()[-1] == "x" * 300 + "  1"


def test_a_table_without_rows_is_its_header() -> None:
    assert format_table([["a", "b"]]).splitlines()[0] == "a  b"


def test_there_is_no_bar_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("training", 3, "updates") as show:
        show(1)
        print_line("a line")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "a line\n")


class Terminal:
    """The lines of a terminal of unlimited height, by what a program writes to it."""

    def __init__(self) -> None:
        self.lines, self.row, self.column = [""], 0, 0

    def write(self, text: str) -> Iterator[list[str]]:
        """Show `text`; the lines after every line end and control code."""
        for part in re.split(r"(\x1b\[[?\d;]*[A-Za-z]|\r|\n)", text):
            if code := CODES.fullmatch(part):
                self._control(code[1], code[2])
            elif part == "\r":
                self.column = 0
            elif part == "\n":
                self.row += 1
                self.lines += [""] * (self.row + 1 - len(self.lines))
            else:
                line = self.lines[self.row].ljust(self.column)
                self.lines[self.row] = line[: self.column] + part + line[self.column + len(part) :]
                self.column += len(part)
            yield [line.rstrip() for line in self.lines]

    def _control(self, number: str, name: str) -> None:
        if name == "A":
            self.row -= int(number or 1)
        elif name == "K":
            self.lines[self.row] = "" if number == "2" else self.lines[self.row][: self.column]
        else:
            assert name in "mhl", f"unexpected control code {number}{name}"


def run_on_terminal(*arguments: str, **environment: str) -> tuple[str, str]:
    """What Python writes to a standard error that is a terminal, and to a standard output that is a pipe."""
    ours, theirs = pty.openpty()
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**kept, "TERM": "xterm", "COLUMNS": "100", **environment},
    )
    os.close(theirs)
    written = b""
    try:
        while block := os.read(ours, 65536):
            written += block
    except OSError:  # EIO: how Linux says that the other side is closed
        pass
    os.close(ours)
    stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 0, written.decode()
    return written.decode(), stdout.decode()


def final_lines(written: str) -> list[str]:
    """The terminal's lines in the end, once each state on the way had at most one bar, on a line of its own."""
    terminal, bars, lines = Terminal(), 0, [""]
    for lines in terminal.write(written):
        shown = [line for line in lines if "updates" in line]
        assert len(shown) <= 1
        assert all(line.startswith("training") for line in shown)
        bars += any(map(BAR.fullmatch, shown))
    assert bars > 0
    assert not [line for line in lines if "updates" in line]
    return lines


LOGGING = """
import logging, sys, time
from ftool.cli.logs import configure_logging
from ftool.terminal import progress_bar

configure_logging(verbose=False)
try:
    with progress_bar("training", 8, "updates") as show:
        for number in range(8):
            logging.getLogger("ftool").info("step %d [red]x[/red] :smile:", number)
            show(number + 1, "loss 0.25")
            time.sleep(0.1)
        print("a result")
        raise KeyboardInterrupt
except KeyboardInterrupt:
    logging.getLogger("ftool").warning("interrupted")
"""


@pytest.mark.parametrize("color", [True, False])
def test_log_lines_stand_above_the_bar_which_goes_in_the_end(color: bool) -> None:
    written, stdout = run_on_terminal("-c", LOGGING, **({} if color else {"NO_COLOR": "1"}))
    steps = [f"step {number} [red]x[/red] :smile:" for number in range(8)]
    assert [line for line in final_lines(written) if line] == [*steps, "Warning: interrupted"]
    assert stdout == "a result\n"
    assert "loss 0.25" in written  # beside the bar
    assert bool(re.search(r"\x1b\[[\d;]*3[0-7]", written)) is color


def test_on_a_terminal_the_loss_stands_beside_the_bar_and_scores_get_lines(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from ftool.training import progress

    state = SimpleNamespace(global_step=3, max_steps=9, is_world_process_zero=True)
    logged = (
        {"loss": 0.5, "learning_rate": 1e-4},
        {"eval_loss": 0.4, "eval_score": 0.75},
        {"train_loss": 0.5},
    )
    for bars, lines in ((True, 1), (False, 2)):
        monkeypatch.setattr(progress, "has_bars", lambda bars=bars: bars)
        report, shown = progress.ReportProgress(), []
        report._show = lambda number, note="", shown=shown: shown.append((number, note))
        caplog.clear()
        with caplog.at_level("INFO", "ftool"):
            for entry in logged:
                report.on_log(None, state, None, entry)
        report.on_step_end(None, state)
        assert shown == [(3, "loss 0.5" if bars else "")]
        assert len(caplog.messages) == lines
        assert re.fullmatch(
            r"update 3 of 9, about \d+ s left: loss on validation 0\.4, score on validation 0\.75",
            caplog.messages[-1],
        )


def test_training_on_a_terminal_keeps_bar_and_log_lines_apart(
    tiny_base: Path, topics: Path, tmp_path: Path
) -> None:
    written, stdout = run_on_terminal(
        "-m", "ftool", "train", "--task", "text-classification", "--base", str(tiny_base), "--data", str(topics),
        "--json", "--set", "train.epochs=1", str(tmp_path / "model"),
    )  # fmt: skip
    updates = [line for line in final_lines(written) if line.startswith("update ")]
    assert len(updates) > 2
    assert all(
        re.fullmatch(
            r"update \d+( of \d+)?(, about [\d.]+ (s|min|h) left)?: loss on validation \S+, score on validation \S+",
            line,
        )
        for line in updates
    )
    assert stdout.startswith("{")
    assert "\x1b" not in stdout
