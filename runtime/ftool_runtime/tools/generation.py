"""`python -m ftool_runtime` for models that generate text: flags, streamed answers, chats."""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TextIO

from ftool_runtime.decoding.stream import TextStream
from ftool_runtime.errors import InputError
from ftool_runtime.models.encoder_model import EncoderModel
from ftool_runtime.models.generator import Generator
from ftool_runtime.models.text_generator import TextGenerator
from ftool_runtime.tools.generation_flags import FLAGS


def add_generation_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of `generation_flags`; those of sampling imply it."""
    group = parser.add_argument_group("models that generate text")
    for flag in FLAGS:
        if flag.kind is bool:
            group.add_argument(flag.option, action="store_true", default=None, help=flag.help)
            continue
        group.add_argument(
            flag.option,
            dest=flag.name,
            type=flag.kind,
            metavar=flag.metavar,
            choices=flag.choices or None,
            action="append" if flag.many else "store",
            help=f"{flag.use}: {flag.help}",
        )


def generation_options(options: argparse.Namespace) -> dict[str, Any]:
    """The flags that were given, as a call's options."""
    values = {flag.name: getattr(options, flag.name) for flag in FLAGS}
    given = {name: value for name, value in values.items() if value is not None}
    if any(flag.use == "sampling" and flag.name in given for flag in FLAGS):
        given.setdefault("do_sample", True)
    return given


def answer_options(model: EncoderModel[Any, Any] | Generator, options: argparse.Namespace) -> dict[str, Any]:
    """What `predict`'s flags mean for `model`. Raises InputError for a flag of another kind of model."""
    given = generation_options(options)
    if isinstance(model, Generator):
        owners = {"threshold": "multi-label classifiers", "kind": "embedders", "aggregation": "taggers"}
        for name, whose in owners.items():
            if getattr(options, name) is not None:
                raise InputError(f"--{name} is for {whose}, and this model generates text")
        return given if options.top_k is None else {"do_sample": True, **given, "top_k": options.top_k}
    if given or options.stream:
        name = next(iter(given), "stream").replace("_", "-").replace("stop-strings", "stop")
        raise InputError(
            f"--{name} is for models that generate text, and this one is for {model.info()['task']}"
        )
    asked = {
        "top_k": options.top_k,
        "thresholds": options.threshold,
        "kind": options.kind,
        "aggregation": options.aggregation,
    }
    for name, value in asked.items():
        if value is not None and name not in model.call_options:
            flag = name.replace("_", "-").removesuffix("s")
            raise InputError(f"--{flag} is not for {model.info()['task']}")
    return {name: value for name, value in asked.items() if value is not None}


def input_columns(model: Any, columns: Sequence[str]) -> str | dict[str, str]:
    """Where a file has the texts of `model`'s inputs, as `read_texts` takes it.

    Args:
        model: a loaded model.
        columns: NAME for the only field, or FIELD=NAME for one of several; a field that none names has its own name.

    Raises InputError for a field that the model does not have.
    """
    fields = getattr(model, "input_fields", ("text",))
    found = dict(zip(fields, fields, strict=True))
    for column in columns:
        field, _, name = column.rpartition("=")
        if not field and len(fields) == 1:
            field = fields[0]
        if field not in found:
            raise InputError(
                f"--column {column}: this model takes {', '.join(fields)}; write {fields[0]}=NAME"
            )
        found[field] = name
    return found[fields[0]] if len(fields) == 1 else found


def inputs_of(model: Any, texts: Sequence[str]) -> list[Any]:
    """Texts of the command line as `model` takes them: as many a time as its inputs have fields.

    Raises InputError where they do not come out even.
    """
    fields = getattr(model, "input_fields", ("text",))
    if len(fields) == 1:
        return list(texts)
    if len(texts) % len(fields):
        raise InputError(f"this model takes {' and '.join(fields)}, each an argument; got {len(texts)}")
    starts = range(0, len(texts), len(fields))
    return [dict(zip(fields, texts[start : start + len(fields)], strict=True)) for start in starts]


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
