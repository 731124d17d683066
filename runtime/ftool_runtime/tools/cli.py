"""`python -m ftool_runtime`: predict, teach, chat, verify, install, bench, info and ask, without the toolchain."""

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ftool_runtime.errors import FtoolError, InputError, in_one_line
from ftool_runtime.limits import Limits
from ftool_runtime.loading import load
from ftool_runtime.text.files import read_batches
from ftool_runtime.text.printable import json_text, printable
from ftool_runtime.tools.arguments import (
    Parser,
    add_ask_flags,
    add_command,
    add_generation_flags,
    add_input,
    add_keys,
    add_predict_flags,
)
from ftool_runtime.tools.lesson_flags import add_lessons, add_teach_flags, take_lessons
from ftool_runtime.tools.logs import logging_to_stderr
from ftool_runtime.tools.options import (
    answer_options,
    column_names,
    generation_options,
    input_columns,
    inputs_of,
)
from ftool_runtime.tools.output import (
    answer_lines,
    ask,
    asked_lines,
    drop_output,
    output_to,
    stream_answers,
    talk,
    write_answers,
)

DONE, CHECK_FAILED, WRONG_CALL = 0, 1, 2
INTERRUPTED, BROKEN_PIPE = 130, 141  # 128 + SIGINT, 128 + SIGPIPE, as in shells


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 on success, 1 if a check failed, 2 for wrong usage or bad input."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # on Windows the default is the system's code page
            stream.reconfigure(encoding="utf-8")
    try:
        options = _parse(arguments)
        with logging_to_stderr():
            status: int = options.command(options)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        drop_output()
        return BROKEN_PIPE
    except (FtoolError, OSError) as error:
        if "--debug" in arguments:
            raise
        drop_output()
        print(f"Error: {in_one_line(_told(error))}", file=sys.stderr)  # noqa: T201
        return WRONG_CALL
    except KeyboardInterrupt:
        print("Error: interrupted", file=sys.stderr)  # noqa: T201
        return INTERRUPTED


def _predict(options: argparse.Namespace) -> int:
    if options.text and options.input:
        raise InputError("give texts as arguments or --input, not both")
    if options.batch_size < 1:
        raise InputError(f"--batch-size must be at least 1, got {options.batch_size}")
    with _load(options) as model, output_to(options.output) as out:
        if options.lessons:
            take_lessons(model, options.lessons)
        asked = answer_options(model, options)
        columns = input_columns(model, options.column)
        batches: Iterable[Sequence[Any]] = (
            [inputs_of(model, options.text)]
            if options.text
            else read_batches(options.input, columns, options.batch_size, names=column_names(options.columns))
        )
        if options.stream:
            counts = stream_answers(model, batches, out, asked)
        else:
            counts = write_answers(model, batches, out, **asked)
    if counts.truncated:
        longest = model.info()["max_length"]
        print(f"{counts.truncated} of the texts were cut at {longest} tokens", file=sys.stderr)  # noqa: T201
    if counts.blank:
        print(f"{counts.blank} of the texts were empty and answered with null", file=sys.stderr)  # noqa: T201
    return DONE


def _teach(options: argparse.Namespace) -> int:
    from ftool_runtime.tools.lesson import teach

    with _load(options) as model:
        values, lines = teach(model, options)
    _show(options, values, lines)
    return DONE


def _chat(options: argparse.Namespace) -> int:
    with _load(options) as model, output_to(None) as out:
        given = generation_options(options)
        talk(model, options.system, asked_lines(), out, given, prefix_cache=options.prefix_cache)
    return DONE


def _verify(options: argparse.Namespace) -> int:
    from ftool_runtime.bundle.verify import verify

    report = verify(
        options.bundle,
        device=options.device,
        threads=options.threads,
        trusted_keys=options.keys,
        limits=Limits(call_seconds=options.seconds),
    )
    lines = [f"{name} {problem}" for name, problem in report.altered.items()]
    lines += [report.failure] if report.failure else []
    lines += report.notes
    if report.replay is not None:
        lines += report.replay.changed
        lines.append(report.replay.summary())
    if report.signed_by is not None:
        lines.append(f"signed by {report.signed_by}")
    lines.append(f"{report.files} files: " + ("verified" if report.passed else "NOT verified"))
    _show(options, report.to_json(), lines)
    return DONE if report.passed else CHECK_FAILED


def _install(options: argparse.Namespace) -> int:
    from ftool_runtime.tools.install import install

    done = install(
        options.bundle,
        options.place,
        trusted_keys=options.keys,
        device=options.device,
        threads=options.threads,
    )
    how = "replaced" if done.replaced else "installed"
    _show(options, done.to_json(), [f"{done.place}: {how} by {options.bundle}, verified"])
    return DONE


def _bench(options: argparse.Namespace) -> int:
    from ftool_runtime.tools.bench import bench

    report = bench(
        options.bundle,
        options.input,
        options.column,
        device=options.device,
        threads=options.threads,
        profile=options.profile,
        calls=options.calls,
        cold_starts=options.cold_starts,
    )
    _show(options, report.to_json(), report.lines())
    return DONE


def _ask(options: argparse.Namespace) -> int:
    answer = ask(options, device=options.device, threads=options.threads, profile=options.profile)
    _show(options, answer.to_json(), answer_lines(answer))
    return DONE


def _info(options: argparse.Namespace) -> int:
    with _load(options) as model:
        info = model.info()
    _show(options, info, [f"{key:<13}{_plain(value)}" for key, value in info.items()])
    return DONE


def _plain(value: object) -> str:
    if isinstance(value, list):
        return f"{len(value)}: " + ", ".join(map(str, value))
    return json_text(value) if isinstance(value, dict) else str(value)


def _load(options: argparse.Namespace) -> Any:
    return load(options.bundle, device=options.device, threads=options.threads, profile=options.profile)


def _show(options: argparse.Namespace, values: dict[str, Any], lines: Iterable[str]) -> None:
    text = json_text(values) if options.json else printable("\n".join(lines))
    sys.stdout.write(text + "\n")


def _told(error: FtoolError | OSError) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser, commands = _parsers()
    if arguments and arguments[0] in commands:  # the main parser can't parse `BUNDLE --top-k 2 TEXT`
        return commands[arguments[0]].parse_intermixed_args(arguments[1:])
    return parser.parse_args(arguments)


def _parsers() -> tuple[argparse.ArgumentParser, Mapping[str, argparse.ArgumentParser]]:
    parser = Parser(prog="python -m ftool_runtime", description="Run an ftool bundle on this machine.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    predict = add_command(commands, "predict", _predict, "answer texts and print JSON lines")
    add_predict_flags(predict)
    add_lessons(predict, "classifiers: a file of lessons that `teach` has written")

    teaching = add_command(commands, "teach", _teach, "teach a classifier that a text has a label")
    add_teach_flags(teaching)

    chat = add_command(commands, "chat", _chat, "talk with a model, one line of standard input at a time")
    chat.add_argument("--system", metavar="TEXT", help="the system message")
    chat.add_argument(
        "--prefix-cache",
        type=Path,
        metavar="FILE",
        help="keep what is computed for the system message in FILE, for the next start",
    )
    add_generation_flags(chat)

    verify = add_command(commands, "verify", _verify, "check every file's hash and replay the golden inputs")
    add_keys(verify)
    verify.add_argument(
        "--seconds", type=float, help="the longest time for each golden input (default: no limit)"
    )
    install = add_command(
        commands, "install", _install, "verify a bundle, and put it in the place of another in one step"
    )
    install.add_argument("place", type=Path, metavar="PLACE", help="the folder of the installed bundle")
    add_keys(install)

    bench = add_command(commands, "bench", _bench, "measure latency, throughput, cold start and memory")
    bench.add_argument("--calls", type=int, default=500, help="single calls to time (default 500)")
    bench.add_argument("--cold-starts", type=int, default=3, help="new processes to start (default 3)")
    add_input(bench)

    add_command(commands, "info", _info, "show what the bundle is and how it runs here")

    asking = add_command(commands, "ask", _ask, "answer from the documents of a knowledge base", bundle=False)
    add_ask_flags(asking)
    return parser, commands.choices
