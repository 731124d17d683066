"""Write the answers of models and knowledge bases: JSON lines, streamed text, chats and `ask`."""

import argparse
import contextlib
import itertools
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

from ftool_runtime.atomic import replacing
from ftool_runtime.decoding.stream import TextStream
from ftool_runtime.errors import InputError
from ftool_runtime.models.base import Model
from ftool_runtime.models.generator import Generator
from ftool_runtime.models.text_generator import TextGenerator

if TYPE_CHECKING:
    from ftool_runtime.knowledge import FoundAnswer

NONE: Final = "none"  # in place of an embedder or a reader: do without

_SHOWN: Final = 300  # characters of a passage


def write_answers(
    model: Model[Any, Any], batches: Iterable[Sequence[Any]], out: TextIO, **options: Any
) -> int:
    """Write one JSON line for each text to `out`, in order, and return how many were cut at the maximum length.

    Answers go out a batch at a time, for whoever waits at the other end of a pipe. `options` are those of the model's
    `predict_batches`; None leaves one to the model.
    """
    options = {name: value for name, value in options.items() if value is not None}
    kept, asked = itertools.tee(batches)
    truncated = 0
    answered: Iterator[list[Any]] = model.predict_batches(asked, **options)
    for texts, answers in zip(kept, answered, strict=True):
        for text, answer in zip(texts, answers, strict=True):
            out.write(json.dumps(answer.to_json(text), ensure_ascii=False) + "\n")
            truncated += answer.truncated
        out.flush()
    return truncated


@contextlib.contextmanager
def output_to(path: Path | None) -> Iterator[TextIO]:
    """The file at `path`, which is replaced when the block ends well; for None standard output."""
    if path is not None:
        with replacing(path) as file:
            yield file
    elif sys.stdout is None:
        raise InputError("standard output is closed; name a file with --output")
    else:
        yield sys.stdout


def stream_answers(
    model: Generator, batches: Iterable[Iterable[str]], out: TextIO, options: dict[str, Any]
) -> int:
    """Write each answer as it comes, and a line's end; returns how many texts were cut."""
    truncated = 0
    for texts in batches:
        for text in texts:
            stream = model.stream(text, **options)
            write_stream(stream, out)
            truncated += stream.result.truncated
    return truncated


def write_stream(stream: TextStream, out: TextIO) -> None:
    """Write the pieces of an answer as they come. Ctrl-C ends the answer before it ends the program."""
    with stream:
        for piece in stream:
            out.write(piece)
            out.flush()
    out.write("\n")
    out.flush()


def talk(
    model: object,
    system: str | None,
    lines: Iterable[str],
    out: TextIO,
    options: dict[str, Any],
    *,
    as_json: bool = False,
) -> None:
    """Answer `lines` in one conversation, each as it comes; `as_json` writes each answer as an object on a line.

    A turn that is refused, such as one for which no room is left, is told on standard error, and the next one follows.
    Raises InputError for a model that holds no chats, for options that no turn could be answered with, and, where the
    lines do not come from a terminal, in the end for turns that were refused.
    """
    if not isinstance(model, TextGenerator):
        raise InputError("this model answers in no chat; use predict")
    refused = 0
    with model.session(system) as session:
        for line in lines:
            if not line.strip():
                continue
            said = line.rstrip("\n")
            try:
                if as_json:
                    answer = session.say(said, **options).to_json(said)
                    out.write(json.dumps(answer, ensure_ascii=False) + "\n")
                    out.flush()
                else:
                    write_stream(session.stream(said, **options), out)
            except InputError as error:
                if error.row is None:
                    raise
                refused += 1
                sys.stderr.write(f"Error: {error}\n")
    if refused and not _on_a_terminal():
        raise InputError(f"{refused} of what was said could not be answered; the lines above say why")


def _on_a_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def asked_lines() -> Iterator[str]:
    """The lines of standard input; on a terminal each is asked for."""
    if sys.stdin is None:
        raise InputError("standard input is closed; a chat reads what is said from there")
    while True:
        if _on_a_terminal():
            sys.stderr.write("> ")
            sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            return
        yield line


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


def drop_output() -> None:
    """Let what is still buffered for a broken standard output go nowhere, or the interpreter complains at exit."""
    if sys.stdout is None:
        return
    with contextlib.suppress(OSError, ValueError):
        try:
            sys.stdout.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
