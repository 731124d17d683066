"""`ftool report`: everything known of a model on one HTML page."""

from pathlib import Path

import click

from ftool.cli.options import bundle_argument, echo_report, json_option


@click.command()
@bundle_argument
@click.option(
    "-o", "--output", "file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.html",
    help="The file to write; reports/report.html in the model folder by default.",
)  # fmt: skip
@click.option(
    "--without-texts",
    is_flag=True,
    help="Leave out every text of the data, such as mistakes to read, for a page that others may see.",
)
@json_option
def report(folder: Path, file: Path | None, *, without_texts: bool, as_json: bool) -> None:
    """Write one HTML page on a model: quality, mistakes, calibration, slices, parity, speed.

    The page is one file that loads nothing, for screen, phone and paper. It shows what the model folder holds, and
    names the command for what is missing; it measures nothing, and opens no model.

    \b
    ftool report models/intents
    ftool report models/intents -o intents.html --without-texts
    """
    from ftool.report.write import write_report

    path = write_report(folder, file, texts=not without_texts)
    echo_report(lambda: {"report": str(path)}, lambda: f"report: {path}", as_json=as_json)
