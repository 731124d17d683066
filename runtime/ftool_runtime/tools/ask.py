"""`ask` on the command line: a question to a knowledge base, and its answer for people."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ftool_runtime.knowledge import FoundAnswer

ASK_MODES: Final = ("bm25", "embeddings", "fused")
NONE: Final = "none"  # an embedder or a reader to do without

_SHOWN = 300  # characters of a passage


def add_ask_flags(parser: argparse.ArgumentParser) -> None:
    """The arguments of `python -m ftool_runtime ask`."""
    parser.add_argument("knowledge_base", type=Path, metavar="KB", help="the file that `ftool index` wrote")
    parser.add_argument("question", metavar="QUESTION", help="what to ask")
    parser.add_argument("-k", type=int, default=5, metavar="N", help="passages to read (default 5)")
    parser.add_argument(
        "--mode",
        choices=ASK_MODES,
        help="how passages are ranked (default: fused where there are embeddings)",
    )
    for model in ("embedder", "reader"):
        parser.add_argument(
            f"--{model}",
            metavar="BUNDLE",
            help=f"the {model}, where it is not the one that KB names; or none",
        )


def ask(options: argparse.Namespace, **loading: Any) -> "FoundAnswer":
    """The answer to what the flags ask; by words alone no embedder is loaded. `loading` is for `ftool_runtime.load`."""
    from ftool_runtime.knowledge import RECORDED, KnowledgeBase

    def chosen(model: str | None) -> str | None:
        return None if model == NONE else model or RECORDED

    embedder = None if options.mode == "bm25" else chosen(options.embedder)
    with KnowledgeBase.open(
        options.knowledge_base, embedder=embedder, reader=chosen(options.reader), **loading
    ) as base:
        return base.ask(options.question, options.k, mode=options.mode)


def answer_lines(answer: "FoundAnswer") -> Iterator[str]:
    """An answer for people: what it says and where it stands, or the passages where there is none."""
    if answer.text is not None:
        yield " ".join(answer.text.split())
        where = f"{answer.document}, characters {answer.start} to {answer.end}"
        yield f"  {where}" + (f", {answer.heading}" if answer.heading else "")
        return
    if answer.read or not answer.passages:
        yield "no answer in the documents" + ("; what comes nearest:" if answer.passages else "")
    for passage in answer.passages:
        text = " ".join(passage.text.split())
        yield f"{passage.document}, characters {passage.start} to {passage.end}" + (
            f", {passage.heading}" if passage.heading else ""
        )
        yield f"  {text[:_SHOWN]}" + ("…" if len(text) > _SHOWN else "")
