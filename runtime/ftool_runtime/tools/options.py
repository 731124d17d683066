"""Options of the command line, for argparse here and click in the toolchain: imports little.

FLAGS are those of commands that let a bundle write text. The functions turn given flags into the options of a call.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ftool_runtime.errors import InputError

if TYPE_CHECKING:
    from ftool_runtime.models.base import Model

ASK_MODES: Final = ("bm25", "embeddings", "fused")


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """A field of a generation config, or an option of a call, that is worth a flag.

    Attributes:
        name: the option's.
        kind: what its value is; `bool` for a switch.
        metavar: what the value is called in help.
        use: where it says something.
        help: what it says.
        choices: the only values, where there are such.
        many: whether it may be repeated, each time with one more value.
    """

    name: str
    kind: type[int] | type[float] | type[str] | type[bool]
    metavar: str | None = None
    use: str = "writes text"
    help: str
    choices: tuple[str, ...] = ()
    many: bool = False

    @property
    def option(self) -> str:
        """How it is written."""
        return "--stop" if self.name == "stop_strings" else f"--{self.name.replace('_', '-')}"


FLAGS: Final = (
    Flag(name="max_new_tokens", kind=int, metavar="N", help="tokens of an answer at most"),
    Flag(name="min_new_tokens", kind=int, metavar="N", help="tokens of an answer at least"),
    Flag(name="num_beams", kind=int, metavar="N", help="answers followed at once, for the best one"),
    Flag(
        name="length_penalty",
        kind=float,
        metavar="P",
        use="beams",
        help="above 0 longer answers, below 0 shorter",
    ),
    Flag(
        name="repetition_penalty", kind=float, metavar="P", help="above 1 fewer tokens that were there before"
    ),
    Flag(name="no_repeat_ngram_size", kind=int, metavar="N", help="no N tokens come twice"),
    Flag(name="do_sample", kind=bool, help="draw tokens by their probability; flags of sampling imply it"),
    Flag(
        name="temperature",
        kind=float,
        metavar="T",
        use="sampling",
        help="below 1 likelier tokens, above 1 others",
    ),
    Flag(
        name="top_p", kind=float, metavar="P", use="sampling", help="from the best tokens of this probability"
    ),
    Flag(
        name="min_p",
        kind=float,
        metavar="P",
        use="sampling",
        help="from tokens of this share of the best one's probability",
    ),
    Flag(name="seed", kind=int, metavar="N", use="sampling", help="where the draws start"),
    Flag(name="stop_strings", kind=str, metavar="TEXT", help="end before this; may be repeated", many=True),
    Flag(name="source_language", kind=str, metavar="CODE", use="translates", help="what is read"),
    Flag(name="target_language", kind=str, metavar="CODE", use="translates", help="what is written"),
    Flag(
        name="overflow", kind=str, choices=("refuse", "cut"), help="what becomes of a text that is too long"
    ),
)


def generation_options(options: argparse.Namespace) -> dict[str, Any]:
    """The flags that were given, as a call's options."""
    values = {flag.name: getattr(options, flag.name) for flag in FLAGS}
    given = {name: value for name, value in values.items() if value is not None}
    if any(flag.use == "sampling" and flag.name in given for flag in FLAGS):
        given.setdefault("do_sample", True)
    return given


def answer_options(model: "Model[Any, Any]", options: argparse.Namespace) -> dict[str, Any]:
    """What `predict`'s flags mean for `model`. Raises InputError for a flag of another kind of model."""
    from ftool_runtime.models.generator import Generator

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


def input_columns(model: "Model[Any, Any]", columns: Sequence[str]) -> str | dict[str, str]:
    """Where a file has the texts of `model`'s inputs, as `read_texts` takes it.

    Args:
        model: a loaded model.
        columns: NAME for the only field, or FIELD=NAME for one of several; a field that none names has its own name.

    Raises InputError for a field that the model does not have.
    """
    fields = model.input_fields
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


def inputs_of(model: "Model[Any, Any]", texts: Sequence[str]) -> list[Any]:
    """Texts of the command line as `model` takes them: as many a time as its inputs have fields.

    Raises InputError where they do not come out even.
    """
    fields = model.input_fields
    if len(fields) == 1:
        return list(texts)
    if len(texts) % len(fields):
        raise InputError(f"this model takes {' and '.join(fields)}, each an argument; got {len(texts)}")
    starts = range(0, len(texts), len(fields))
    return [dict(zip(fields, texts[start : start + len(fields)], strict=True)) for start in starts]
