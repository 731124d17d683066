"""`python -m ftool_runtime`: predict, chat, verify, install, bench, info and ask, without the toolchain."""

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ftool_runtime.ask_defaults import MODES
from ftool_runtime.errors import FtoolError, InputError
from ftool_runtime.loading import load
from ftool_runtime.postprocessing.entities import AGGREGATIONS
from ftool_runtime.session.onnx_session import DEVICES, PROFILES
from ftool_runtime.text.files import read_batches
from ftool_runtime.text.printable import json_text, printable
from ftool_runtime.tools.options import (
    FLAGS,
    answer_options,
    column_names,
    generation_options,
    input_columns,
    inputs_of,
    none_below_option,
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
        print(printable(f"Error: {_in_one_line(error)}"), file=sys.stderr)  # noqa: T201
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


def _chat(options: argparse.Namespace) -> int:
    with _load(options) as model, output_to(None) as out:
        given = generation_options(options)
        talk(model, options.system, asked_lines(), out, given, prefix_cache=options.prefix_cache)
    return DONE


def _verify(options: argparse.Namespace) -> int:
    from ftool_runtime.bundle.verify import verify

    report = verify(options.bundle, device=options.device, threads=options.threads, trusted_keys=options.keys)
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


def _in_one_line(error: FtoolError | OSError) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).splitlines())


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see `{self.prog} --help`")


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser, commands = _parsers()
    if arguments and arguments[0] in commands:  # the main parser can't parse `BUNDLE --top-k 2 TEXT`
        return commands[arguments[0]].parse_intermixed_args(arguments[1:])
    return parser.parse_args(arguments)


def _parsers() -> tuple[argparse.ArgumentParser, Mapping[str, argparse.ArgumentParser]]:
    parser = _Parser(prog="python -m ftool_runtime", description="Run an ftool bundle on this machine.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    _add_predict_flags(_command(commands, "predict", _predict, "answer texts and print JSON lines"))

    chat = _command(commands, "chat", _chat, "talk with a model, one line of standard input at a time")
    chat.add_argument("--system", metavar="TEXT", help="the system message")
    chat.add_argument(
        "--prefix-cache",
        type=Path,
        metavar="FILE",
        help="keep what is computed for the system message in FILE, for the next start",
    )
    _add_generation_flags(chat)

    verify = _command(commands, "verify", _verify, "check every file's hash and replay the golden inputs")
    _add_keys(verify)
    install = _command(
        commands, "install", _install, "verify a bundle, and put it in the place of another in one step"
    )
    install.add_argument("place", type=Path, metavar="PLACE", help="the folder of the installed bundle")
    _add_keys(install)

    bench = _command(commands, "bench", _bench, "measure latency, throughput, cold start and memory")
    bench.add_argument("--calls", type=int, default=500, help="single calls to time (default 500)")
    bench.add_argument("--cold-starts", type=int, default=3, help="new processes to start (default 3)")
    _add_input(bench)

    _command(commands, "info", _info, "show what the bundle is and how it runs here")

    asking = _command(commands, "ask", _ask, "answer from the documents of a knowledge base", bundle=False)
    _add_ask_flags(asking)
    return parser, commands.choices


def _add_predict_flags(predict: argparse.ArgumentParser) -> None:
    predict.add_argument(
        "text",
        nargs="*",
        default=(),
        metavar="TEXT",
        help="texts to answer; by default read from --input or standard input",
    )
    predict.add_argument(
        "--columns",
        metavar="NAME,…",
        help="the names of all columns of --input, for a file without a header",
    )
    predict.add_argument(
        "--output", type=Path, metavar="FILE", help="the file to write instead of standard output"
    )
    predict.add_argument(
        "--top-k",
        type=int,
        metavar="N",
        help="classifiers: labels to return, best first; generation: sample from the N best tokens",
    )
    predict.add_argument(
        "--threshold", type=float, help="multi-label: probability from which a label applies"
    )
    predict.add_argument(
        "--none-below",
        type=none_below_option,
        metavar="P|fitted",
        help="single-label: answer null below this probability, or below the one that training has fitted",
    )
    predict.add_argument(
        "--kind",
        choices=("query", "passage"),
        help="embedders: the kind of the texts, which selects the prompt before them",
    )
    predict.add_argument(
        "--aggregation",
        choices=AGGREGATIONS,
        help="taggers: how tokens become entities, instead of the bundle's setting",
    )
    predict.add_argument("--batch-size", type=int, default=64, help="texts in memory at once (default 64)")
    predict.add_argument(
        "--stream",
        action="store_true",
        help="write answers as plain text while they are generated, instead of JSON lines",
    )
    _add_input(predict)
    _add_generation_flags(predict)


def _command(
    commands: Any,
    name: str,
    run: Callable[[argparse.Namespace], int],
    summary: str,
    *,
    bundle: bool = True,
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=summary, description=summary)
    parser.set_defaults(command=run)
    if bundle:
        parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="the bundle's folder")
    parser.add_argument("--device", choices=DEVICES, default="cpu", help="default cpu")
    parser.add_argument("--threads", type=int, help="CPU threads (default: as many as this process may use)")
    parser.add_argument("--profile", choices=PROFILES, default="desktop", help="default desktop")
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object (predict always prints JSON)"
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def _add_keys(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--key",
        dest="keys",
        action="append",
        metavar="FILE",
        help="a public key: the bundle must be signed by it, or by another --key",
    )


def _add_input(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--input", type=Path, metavar="FILE", help="texts as lines, .jsonl, .csv or .tsv")
    parser.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="[FIELD=]NAME",
        help="key or column that holds the text (default text), or a field of an input, such as question=QUERY",
    )


def _add_generation_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags for models that generate text."""
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


def _add_ask_flags(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `python -m ftool_runtime ask`."""
    parser.add_argument("knowledge_base", type=Path, metavar="KB", help="the file that `ftool index` wrote")
    parser.add_argument("question", metavar="QUESTION", help="the question")
    parser.add_argument("-k", type=int, default=5, metavar="N", help="passages to read (default 5)")
    parser.add_argument(
        "--mode",
        choices=MODES,
        help="how passages are ranked (default: fused if there are embeddings)",
    )
    parser.add_argument(
        "--min-score",
        type=float,
        metavar="S",
        help="answer only if the best passage scores at least S (default: 0.05 for a few passages to 0.18 for 100,000; "
        "0 to answer always)",
    )
    parser.add_argument(
        "--exact", action="store_true", help="compare with all passages, even if KB has an approximate index"
    )
    for model in ("embedder", "reader"):
        parser.add_argument(
            f"--{model}",
            metavar="BUNDLE",
            help=f"the {model} to use instead of the one recorded in KB, or none",
        )
    parser.add_argument(
        "--reranker",
        metavar="BUNDLE",
        help="a bundle that scores pairs of texts, to order the best 30 passages anew",
    )
