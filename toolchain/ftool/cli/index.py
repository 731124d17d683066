"""`ftool index`: add documents to a knowledge base."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ftool.cli.next_steps import command, next_step
from ftool.cli.options import echo_report, json_option, threads_option

if TYPE_CHECKING:
    from ftool.search.build import Built

_SHOWN = 20  # most failed files that are listed

_log = logging.getLogger(__name__)


@click.command()
@click.argument("documents", nargs=-1, type=click.Path(path_type=Path), metavar="[DOCS]...")
@click.option("-o", "--output", "knowledge_base", required=True, metavar="KB.db",
              type=click.Path(dir_okay=False, path_type=Path),
              help="The knowledge base to create or update.")  # fmt: skip
@click.option("--embedder", metavar="BUNDLE",
              help="A bundle, minilm, or none to search by words only; minilm by default.")  # fmt: skip
@click.option(
    "--reader", metavar="BUNDLE", help="The question answering bundle that `ftool ask` extracts answers with."
)
@click.option("--delete", "deleted", multiple=True, metavar="NAME", help="Delete this document first.")
@click.option(
    "--sync", is_flag=True, help="Delete the documents of DOCS whose files are gone, empty or binary."
)
@click.option("--passage-tokens", "tokens", type=int, metavar="N",
              help="Most tokens in a passage, at least 16; 200 by default.")  # fmt: skip
@click.option("--overlap", type=int, metavar="N",
              help="Most tokens shared by two neighbouring passages; a fifth of a passage by default.")  # fmt: skip
@click.option("--approximate/--no-approximate", default=None,
              help="Add or delete an index for a fast search of very many passages; it may miss some.")  # fmt: skip
@click.option("--encoding", metavar="NAME", help="Encoding of all files; detected by default.")
@click.option("--column", metavar="NAME", help="The key of the text in JSONL files.")
@threads_option
@json_option
def index(
    documents: tuple[Path, ...],
    knowledge_base: Path,
    deleted: tuple[str, ...],
    sync: bool,
    encoding: str | None,
    column: str | None,
    as_json: bool,
    **settings: Any,
) -> None:
    """Add DOCS, files or folders, to the knowledge base KB.db, from which `ftool ask` answers.

    Text (.txt), Markdown (.md), HTML, JSONL and EPUB are read, and PDF, Word, PowerPoint and Excel files if
    ftool[documents] is installed. Documents that have changed are replaced, each completely or
    not at all; unchanged documents are left as they are. A document's name is its path as given. Exit status 2 means
    that some of the content could not be read; everything else is in KB.db.

    \b
    ftool index docs -o kb.db
    ftool index docs -o kb.db --sync --reader models/reader
    ftool index -o kb.db --delete docs/old.md
    ftool index -o kb.db --approximate
    """
    from ftool.errors import DocumentError
    from ftool.search.build import IndexSettings, build_index
    from ftool.search.files import ReadSettings

    if not documents and not deleted and not settings["reader"] and settings["approximate"] is None:
        raise click.UsageError("name the files or folders to index, or what to --delete")
    reading = ReadSettings(encoding=encoding, column=column)
    built = build_index(
        knowledge_base,
        documents,
        IndexSettings(reading=reading, **settings),
        delete=deleted,
        sync=sync,
    )
    echo_report(
        lambda: {"knowledge_base": str(knowledge_base), **_values(built)},
        lambda: "\n".join(_report_lines(knowledge_base, built)),
        as_json=as_json,
        then=next_step(command("ask", knowledge_base, "your question")),
    )
    if built.report.failed:
        raise DocumentError(_failures(built.report.failed))


def _values(built: "Built") -> dict[str, Any]:
    meta = built.meta
    return {
        "documents": built.documents,
        "passages": built.passages,
        "embedder": meta.embedder or None,
        "fingerprint": meta.fingerprint or None,
        "reader": meta.reader or None,
        "approximate": built.approximate.to_json() if built.approximate is not None else None,
        **built.report.to_json(),
    }


def _failures(failed: Mapping[str, str]) -> str:
    """Return the error message for files that could not be indexed in full.

    `failed` maps files to reasons. If there are several files, their reasons are logged as warnings.
    """
    reasons = [
        reason if reason.startswith(f"{name}:") or f" of {name} left out: " in reason else f"{name}: {reason}"
        for name, reason in failed.items()
    ]
    if len(reasons) == 1:
        return f"1 file could not be indexed in full: {reasons[0]}"
    for reason in reasons[:_SHOWN]:
        _log.warning("%s", reason)
    if len(reasons) > _SHOWN:
        _log.warning("and %s", _counted(len(reasons) - _SHOWN, "more file"))
    return f"{len(reasons)} files could not be indexed in full; the warnings above say why"


def _report_lines(path: Path, built: "Built") -> list[str]:
    report = built.report
    counts = {name: getattr(report, name) for name in ("added", "replaced", "unchanged", "deleted")}
    lines = [
        f"{path}: {_counted(built.documents, 'document')}, {_counted(built.passages, 'passage')}",
        ", ".join(f"{count} {name}" for name, count in counts.items()) + f", in {report.seconds:.1f} s",
    ]
    if report.left_out:
        reasons = sorted(report.left_out.items(), key=lambda item: -item[1])
        lines.append("left out: " + ", ".join(f"{count} {reason}" for reason, count in reasons))
    if built.approximate is not None:
        index = built.approximate
        lines.append(
            f"approximate index: {_counted(index.passages, 'passage')}, {index.bytes / 2**20:.1f} MB, "
            f"finds {index.recall:.3f} of the nearest passages, in {index.seconds:.1f} s"
        )
    return lines


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
