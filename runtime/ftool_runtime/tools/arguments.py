"""The flags of `python -m ftool_runtime`, by command."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from ftool_runtime.ask_defaults import MODES
from ftool_runtime.errors import InputError
from ftool_runtime.postprocessing.entities import AGGREGATIONS
from ftool_runtime.session.onnx_session import DEVICES, PROFILES
from ftool_runtime.tools.options import FLAGS, none_below_option


class Parser(argparse.ArgumentParser):
    """A parser that raises InputError for a wrong call."""

    def error(self, message: str) -> NoReturn:
        """Raise InputError, which names the command that shows the help."""
        raise InputError(f"{message}; see `{self.prog} --help`")


def add_predict_flags(predict: argparse.ArgumentParser) -> None:
    """Add the arguments of `predict`."""
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
    add_input(predict)
    add_generation_flags(predict)


def add_command(
    commands: Any,
    name: str,
    run: Callable[[argparse.Namespace], int],
    summary: str,
    *,
    bundle: bool = True,
) -> argparse.ArgumentParser:
    """Add a command, with the flags that all have; `bundle` says whether it takes a bundle. Return its parser."""
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


def add_keys(parser: argparse.ArgumentParser) -> None:
    """Add the flag for public keys, of which one must have signed the bundle."""
    parser.add_argument(
        "--key",
        dest="keys",
        action="append",
        metavar="FILE",
        help="a public key: the bundle must be signed by it, or by another --key",
    )


def add_input(parser: argparse.ArgumentParser) -> None:
    """Add the flags that name a file of inputs and the columns in it."""
    parser.add_argument("--input", type=Path, metavar="FILE", help="texts as lines, .jsonl, .csv or .tsv")
    parser.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="[FIELD=]NAME",
        help="key or column that holds the text (default text), or a field of an input, such as question=QUERY",
    )


def add_generation_flags(parser: argparse.ArgumentParser) -> None:
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


def add_ask_flags(parser: argparse.ArgumentParser) -> None:
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
