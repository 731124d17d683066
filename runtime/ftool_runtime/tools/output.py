"""Write the answers of models and knowledge bases, as JSON lines or as readable text."""

import argparse
import contextlib
import itertools
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

from ftool_runtime.atomic import replacing
from ftool_runtime.decoding.stream import TextStream
from ftool_runtime.errors import InputError
from ftool_runtime.models.base import Model
from ftool_runtime.models.generator import Generator
from ftool_runtime.models.text_generator import TextGenerator
from ftool_runtime.text.printable import for_stream, json_text, printable

if TYPE_CHECKING:
    from ftool_runtime.knowledge import FoundAnswer

NONE: Final = "none"  # the value of --embedder or --reader for not using such a model
_TABLES: Final = (".csv", ".psv", ".tsv", ".xlsx", ".parquet", ".arrow", ".feather")
_SHOWN: Final = 300  # the largest number of characters of a passage that are printed


@dataclass(slots=True)
class Counts:
    """The numbers of inputs of which an answer is not the whole answer.

    Attributes:
        truncated: the texts that were longer than the model's limit, and were cut.
        blank: the inputs with an empty text, whose answer is null.
    """

    truncated: int = 0
    blank: int = 0


Refuse = Callable[[int, InputError], None]  # takes the position of an input, from 0, and why it has no answer


def write_answers(
    model: Model[Any, Any],
    batches: Iterable[Sequence[Any]],
    out: TextIO,
    *,
    refuse: Refuse | None = None,
    **options: Any,
) -> Counts:
    """Write one JSON line for each input to `out`, in order; an input that is None is blank, and its line is null.

    `out` is flushed after each batch, so that a program at the other end of a pipe does not wait. `options` are options
    of `model.predict_batches`; for an option that is None, the model's default is used.

    With `refuse`, an input that the model can't read is told to it, and its line is null; the position counts blank
    inputs too. Otherwise, and for every other problem, raises the errors of a call; the number of the text in an error
    does not count blank inputs.
    """
    options = {name: value for name, value in options.items() if value is not None}
    kept, asked = itertools.tee(batches)
    counts = Counts()
    written = 0
    for texts, answers in zip(kept, _answers(model, asked, refuse, options), strict=True):
        for position, (text, answer) in enumerate(zip(texts, answers, strict=True), written):
            if isinstance(answer, InputError):
                assert refuse is not None  # otherwise the error was raised
                refuse(position, answer)
            elif text is None:
                counts.blank += 1
            else:
                out.write(json_text(answer.to_json(text)) + "\n")
                counts.truncated += answer.truncated
                continue
            out.write("null\n")
        written += len(texts)
        out.flush()
    return counts


def _answers(
    model: Model[Any, Any], batches: Iterable[Sequence[Any]], refuse: Refuse | None, options: dict[str, Any]
) -> Iterator[list[Any]]:
    """Yield, for each batch, the answer to every input: None to a blank one, an InputError to one that is refused."""
    given, asked = itertools.tee(batches)
    texts = ([text for text in batch if text is not None] for batch in asked)
    found = model.predict_batches(texts, **options) if refuse is None else _tried(model, texts, options)
    for batch, answers in zip(given, found, strict=True):
        remaining = iter(answers)
        yield [None if text is None else next(remaining) for text in batch]


def _tried(
    model: Model[Any, Any], batches: Iterable[Sequence[Any]], options: dict[str, Any]
) -> Iterator[list[Any]]:
    """Yield the answers to each batch, or the InputError for an input that the model can't read."""
    for texts in batches:
        answers: list[Any] = [None] * len(texts)
        left = list(range(len(texts)))
        while left:
            try:
                (found,) = model.predict_batches([[texts[place] for place in left]], **options)
            except InputError as error:
                if error.row is None:
                    raise
                answers[left.pop(error.row)] = error
            else:
                for place, answer in zip(left, found, strict=True):
                    answers[place] = answer
                break
        yield answers


@contextlib.contextmanager
def output_to(path: Path | None) -> Iterator[TextIO]:
    """Yield a file for output: standard output if `path` is None, otherwise a new file that replaces `path`.

    The file at `path` is replaced when the block ends, and only if the block does not raise an error.

    Raises InputError if `path` is None and standard output is closed, or if the suffix of `path` is that of a table.
    """
    if path is not None:
        if path.suffix.lower() in _TABLES:
            raise InputError(
                f"{path}: answers are written as JSON lines, not as {path.suffix}; call the file "
                f"{path.with_suffix('.jsonl').name}"
            )
        with replacing(path) as file:
            yield file
    elif sys.stdout is None:
        raise InputError("standard output is closed; name a file with --output")
    else:
        yield sys.stdout


def stream_answers(
    model: Generator, batches: Iterable[Iterable[str | None]], out: TextIO, options: dict[str, Any]
) -> Counts:
    """Write each answer while it is generated, then a newline; for an input that is None, only a newline."""
    counts = Counts()
    for texts in batches:
        for text in texts:
            if text is None:
                out.write("\n")
                counts.blank += 1
                continue
            stream = model.stream(text, **options)
            write_stream(stream, out)
            counts.truncated += stream.result.truncated
    return counts


def write_stream(stream: TextStream, out: TextIO) -> None:
    """Write an answer to `out` while it is generated. Ctrl-C closes the stream and then ends the program."""
    with stream:
        for chunk in stream:
            out.write(for_stream(chunk, out))
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
    prefix_cache: Path | None = None,
    as_json: bool = False,
) -> None:
    """Answer each of `lines` as a turn of one conversation, and write the answers, as JSON lines if `as_json`.

    `prefix_cache` is a file for the caches of the message `system`, as for `TextGenerator.session`.

    A turn that can't be answered, such as a message that is too long, is reported on standard error, and the chat
    continues. Raises InputError if the model can't chat or an option is wrong. Also raises InputError at the end if a
    turn could not be answered, unless standard input is a terminal.
    """
    if not isinstance(model, TextGenerator):
        raise InputError("this model can't chat; use predict")
    refused = 0
    with model.session(system, prefix_cache=prefix_cache) as session:
        for line in lines:
            if not line.strip():
                continue
            message = line.rstrip("\n")
            try:
                if as_json:
                    answer = session.say(message, **options).to_json(message)
                    out.write(json_text(answer) + "\n")
                    out.flush()
                else:
                    write_stream(session.stream(message, **options), out)
            except InputError as error:
                if error.row is None:
                    raise
                refused += 1
                sys.stderr.write(printable(f"Error: {error}") + "\n")
    if refused and not _on_a_terminal():
        raise InputError(f"turns that could not be answered: {refused}; the lines above say why")


def _on_a_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def asked_lines() -> Iterator[str]:
    """Yield the lines of standard input, after a prompt for each line if the input is a terminal.

    Raises InputError if standard input is closed.
    """
    if sys.stdin is None:
        raise InputError("standard input is closed; a chat reads its lines from there")
    while True:
        if _on_a_terminal():
            sys.stderr.write("> ")
            sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            return
        yield line


def ask(options: argparse.Namespace, **loading: Any) -> "FoundAnswer":
    """Return the answer to the question in `options`, the flags of the command `ask`.

    In the mode bm25 no embedder is loaded. `loading` has arguments for `ftool_runtime.load`.
    """
    from ftool_runtime.knowledge import RECORDED, KnowledgeBase

    def chosen(model: str | None) -> str | None:
        return None if model == NONE else model or RECORDED

    embedder = None if options.mode == "bm25" else chosen(options.embedder)
    with KnowledgeBase.open(
        options.knowledge_base,
        embedder=embedder,
        reader=chosen(options.reader),
        reranker=None if options.reranker == NONE else options.reranker,
        exact=options.exact,
        **loading,
    ) as base:
        return base.ask(options.question, options.k, mode=options.mode, min_score=options.min_score)


def answer_lines(answer: "FoundAnswer") -> Iterator[str]:
    """Yield lines of text: the answer and its place in the documents, or the passages if there is no answer."""
    if answer.text is not None:
        yield " ".join(answer.text.split())
        where = f"{answer.document}, characters {answer.start} to {answer.end}"
        yield f"  {where}" + (f", {answer.heading}" if answer.heading else "")
        return
    if not answer.passages:
        if answer.best_score is None:
            yield "nothing found: no passage contains any of the words"
        else:
            yield f"nothing found: not even the best passage fits (its score is {answer.best_score:.2f})"
        return
    if answer.read:
        yield "no answer in the documents; the best passages:"
    for passage in answer.passages:
        text = " ".join(passage.text.split())
        where = f"{passage.document}, characters {passage.start} to {passage.end}"
        score = passage.score if passage.rerank_score is None else passage.rerank_score
        yield ", ".join([f"{score:.2f}  {where}", *filter(None, [passage.heading])])
        yield f"  {text[:_SHOWN]}" + ("…" if len(text) > _SHOWN else "")


def drop_output() -> None:
    """Discard buffered output if standard output is broken; otherwise Python would print an error at exit."""
    if sys.stdout is None:
        return
    with contextlib.suppress(OSError, ValueError):
        try:
            sys.stdout.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
