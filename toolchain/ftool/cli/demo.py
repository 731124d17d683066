"""`ftool demo`: every step from recipe to prediction, on data that ships with ftool."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ftool.cli.options import echo_report, json_option

if TYPE_CHECKING:
    from ftool.demo import DemoReport


@click.command()
@click.argument(
    "folder", default="intents", type=click.Path(file_okay=False, path_type=Path), metavar="[NAME|FOLDER]"
)
@json_option
def demo(folder: Path, as_json: bool) -> None:
    """Run every step on data that ships with ftool: new, train, export, parity, bench, report, predict.

    NAME is the demo to run, intents (the default) or dates; its model folder is models/NAME. If FOLDER is given
    instead, the demo with the same name as the folder is run, or intents if there is none. An existing recipe is used
    unchanged. Exit status 1 means that the accuracy gate or parity failed.
    """
    from ftool.demo import TEXTS
    from ftool.demo import demo as run_demo

    name = folder.name if folder.name in TEXTS else "intents"
    if str(folder) == folder.name and not folder.exists():
        if folder.name not in TEXTS:
            raise click.UsageError(f"there is no demo {folder.name!r}; choose {' or '.join(TEXTS)}")
        folder = Path("models") / folder
    report = run_demo(folder, name)
    echo_report(report.to_json, lambda: _report_text(report, folder), as_json=as_json)
    if not report.passed:
        raise SystemExit(1)


def _report_text(report: "DemoReport", folder: Path) -> str:
    from ftool.bench.report import sentences
    from ftool.demo import answer_text, summary
    from ftool.terminal import format_table

    if report.bench is None:
        return f"the bundle failed the accuracy gate: {report.export.advice}"
    lines = ["", format_table(summary(report)), "", *sentences(report.bench.to_json()), ""]
    lines += [f"{text!r} -> {answer_text(answer)}" for text, answer in report.predictions]
    lines += ["", f"The bundle is in {folder / 'bundle'}. Open the report in a browser: {report.report}"]
    return "\n".join(lines)
