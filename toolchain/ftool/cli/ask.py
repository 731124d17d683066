"""`ftool ask`: answer a question from a knowledge base."""

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ftool.cli.options import Number, device_option, echo_report, json_option, threads_option
from ftool_runtime.ask_defaults import MODES

if TYPE_CHECKING:
    from ftool_runtime.session.onnx_session import Device


@click.command()
@click.argument("knowledge_base", type=click.Path(path_type=Path), metavar="KB.db")
@click.argument("question")
@click.option("-k", "passages", type=click.IntRange(min=1), default=5, show_default=True, metavar="N",
              help="Number of passages to read.")  # fmt: skip
@click.option("--mode", type=click.Choice(MODES),
              help="How passages are ranked; by default fused if KB.db has embeddings, otherwise bm25.")  # fmt: skip
@click.option(
    "--embedder", metavar="BUNDLE", help="The embedder, instead of the one that KB.db names; or none."
)
@click.option(
    "--reader", metavar="BUNDLE", help="The reader, instead of the one that KB.db names, if any; or none."
)
@click.option(
    "--reranker",
    metavar="BUNDLE",
    help="A bundle that scores pairs of texts, such as a cross-encoder's: it orders the best 30 passages anew.",
)
@click.option("--min-score", type=Number(0, 1), metavar="S",
              help="Answer only if the best passage scores at least S; by default from 0.05 for a few passages "
              "to 0.18 for 100,000; 0 for always.")  # fmt: skip
@click.option(
    "--exact", is_flag=True, help="Compare with all passages, even if KB.db has an approximate index."
)
@threads_option
@device_option
@json_option
def ask(
    knowledge_base: Path,
    question: str,
    passages: int,
    mode: str | None,
    embedder: str | None,
    reader: str | None,
    reranker: str | None,
    min_score: float | None,
    exact: bool,
    threads: int | None,
    device: "Device",
    as_json: bool,
) -> None:
    """Answer QUESTION from the documents in KB.db, and show where the answer was found.

    The passages that best match the question are found by words and by meaning. The reader extracts the answer from
    these passages or says that there is none. Without a reader, the passages are the answer, each after
    its score. If even the best one does not fit, nothing is found; the exit status is 0 all the same.

    \b
    ftool ask kb.db "How long are messages kept?"
    ftool ask kb.db "How long are messages kept?" --reader models/reader --json
    """
    from ftool.search.embed import model_bundle
    from ftool_runtime.tools.output import answer_lines
    from ftool_runtime.tools.output import ask as ask_base

    flags = Namespace(
        knowledge_base=knowledge_base,
        question=question,
        k=passages,
        mode=mode,
        embedder=model_bundle(embedder),
        reader=model_bundle(reader),
        reranker=model_bundle(reranker),
        min_score=min_score,
        exact=exact,
    )
    answer = ask_base(flags, threads=threads, device=device)
    echo_report(answer.to_json, lambda: "\n".join(answer_lines(answer)), as_json=as_json)
