"""`ftool push`: publish a bundle on the Hugging Face hub."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ftool.cli.options import bundle_argument, echo_report, json_option

if TYPE_CHECKING:
    from ftool.push import PushReport


@click.command()
@bundle_argument
@click.option(
    "--to", "repository", required=True, metavar="HUB_ID", help="The repository, such as my-name/my-model."
)
@click.option(
    "--language",
    "languages",
    multiple=True,
    metavar="CODE",
    help="A language of the texts, such as en; can be repeated.",
)
@click.option(
    "--dataset", "datasets", multiple=True, metavar="HUB_ID",
    help="Hub id of the data that the model was trained on; can be repeated.",
)  # fmt: skip
@click.option("--private", is_flag=True, help="Create the repository as a private one; refuse a public one.")
@click.option("--revision", metavar="BRANCH", help="The branch to write to; main by default.")
@click.option("--message", default="Publish with ftool", show_default=True, help="The commit's message.")
@click.option("--dry-run", is_flag=True, help="Send nothing; print the model card and the files.")
@json_option
def push(
    folder: Path,
    repository: str,
    languages: tuple[str, ...],
    datasets: tuple[str, ...],
    private: bool,
    revision: str | None,
    message: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Publish a bundle on the Hugging Face hub, with a model card that the hub understands.

    Files that the repository has and the bundle lacks are deleted in the same commit. The hub's token is the one of
    `hf auth login`, or $HF_TOKEN. $HF_ENDPOINT names another hub.

    \b
    ftool push models/bank --to my-name/bank --language en --dry-run
    """
    from ftool.push import push as send
    from ftool.workspace import ModelFolder
    from ftool_export.bundle.card import Publication

    model = ModelFolder.around(folder)
    bundle = folder if model is None else model.require_bundle()
    publication = Publication(repository=repository, languages=languages, datasets=datasets)
    report = send(bundle, publication, private=private, revision=revision, message=message, dry_run=dry_run)
    echo_report(report.to_json, lambda: _report_text(report), as_json=as_json)


def _report_text(report: "PushReport") -> str:
    from ftool.terminal import format_table

    rows = [["file", "bytes"], *([path, f"{size:,}"] for path, size in report.files.items())]
    total = f"{sum(report.files.values()) / 1e6:.1f} MB"
    if report.url is None:
        return f"{report.card}\n{format_table(rows)}\n{total} for {report.repository}; nothing was sent"
    return f"{format_table(rows)}\n{total}: {report.url}"
