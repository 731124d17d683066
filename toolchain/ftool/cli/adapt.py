"""`ftool adapt`: teach a trained model from one example."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ftool.cli.next_steps import command, next_step
from ftool.cli.options import echo_report, folder_argument, json_option

if TYPE_CHECKING:
    from ftool.adapt import AdaptReport


@click.command()
@folder_argument
@click.option("--text", required=True, metavar="TEXT", help="The example's text.")
@click.option(
    "--label",
    "labels",
    required=True,
    multiple=True,
    metavar="LABEL",
    help="Its label; repeat it for a multi-label model.",
)
@click.option(
    "--max-drop",
    type=float,
    default=0.01,
    show_default=True,
    help="Largest allowed loss of the main metric on validation; 0.01 is one point.",
)
@json_option
def adapt(folder: Path, text: str, labels: tuple[str, ...], max_drop: float, as_json: bool) -> None:
    """Teach the trained model the labels of one text, and show how the main metric on validation changes.

    Only the head is changed. If the main metric falls by more than --max-drop, the change is not kept: run/ stays as it
    was, and the exit status is 1.
    """
    from ftool import adapt as adaptation

    report = adaptation.adapt(folder, text, labels, max_drop=max_drop)
    changed = report.kept and report.lesson.updates > 0
    then = next_step(command("export", folder)) if changed else ""
    echo_report(report.to_json, lambda: _report_text(report), as_json=as_json, then=then)
    if not report.kept:
        raise SystemExit(1)


def _report_text(report: "AdaptReport") -> str:
    from ftool.terminal import format_table

    rows = [
        ["", "before", "after"],
        ["answer", _labels(report.answer_before.labels), _labels(report.answer_after.labels)],
        ["its best score", f"{report.answer_before.score:.2f}", f"{report.answer_after.score:.2f}"],
        [f"validation {report.metric}", f"{report.before:.4f}", f"{report.after:.4f}"],
    ]
    return format_table(rows) + "\n\n" + _verdict(report)


def _labels(labels: tuple[str, ...]) -> str:
    return ", ".join(labels) or "none"


def _verdict(report: "AdaptReport") -> str:
    if not report.lesson.learned:
        return f"not kept: {report.lesson.updates} updates were not enough to teach it; nothing was changed"
    if not report.kept:
        return (
            f"not kept: it costs {report.drop:.4f} on validation, more than --max-drop {report.max_drop}; "
            "add it to the training data and train again"
        )
    if report.lesson.updates == 0:
        return "the model already gives this answer; nothing was changed"
    return f"kept after {report.lesson.updates} updates of the head"
