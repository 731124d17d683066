"""Command-line options that `python -m ftool_runtime` (argparse) and `ftool` (click) share.

FLAGS lists the flags of commands that generate text. The functions convert the flags of a command line to
the options of a call. This module imports little.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ftool_runtime.errors import InputError

if TYPE_CHECKING:
    from ftool_runtime.models.base import Model
    from ftool_runtime.postprocessing.classification import NoneBelow


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """A command-line flag that sets a field of the generation config or an option of a call.

    Attributes:
        name: the name of the field or option.
        kind: the type of the flag's value; `bool` for a switch.
        metavar: the name of the value in the help text.
        use: the kind of generation that the flag is for, such as "sampling".
        help: the help text.
        choices: the allowed values; empty if any value is allowed.
        many: whether the flag may be repeated to give several values.
    """

    name: str
    kind: type[int] | type[float] | type[str] | type[bool]
    metavar: str | None = None
    use: str = "generation"
    help: str
    choices: tuple[str, ...] = ()
    many: bool = False

    @property
    def option(self) -> str:
        """The flag as a user types it, such as "--top-p"."""
        return "--stop" if self.name == "stop_strings" else f"--{self.name.replace('_', '-')}"


FLAGS: Final = (
    Flag(name="max_new_tokens", kind=int, metavar="N", help="the largest number of tokens in an answer"),
    Flag(name="min_new_tokens", kind=int, metavar="N", help="the smallest number of tokens in an answer"),
    Flag(name="num_beams", kind=int, metavar="N", help="the number of beams of beam search"),
    Flag(
        name="length_penalty",
        kind=float,
        metavar="P",
        use="beams",
        help="above 0 for longer answers, below 0 for shorter ones",
    ),
    Flag(name="repetition_penalty", kind=float, metavar="P", help="above 1 for fewer repeated tokens"),
    Flag(name="no_repeat_ngram_size", kind=int, metavar="N", help="no sequence of N tokens appears twice"),
    Flag(
        name="prompt_lookup_num_tokens",
        kind=int,
        metavar="N",
        help="guess up to N tokens at once from the text, for answers that quote it",
    ),
    Flag(
        name="prompt_lookup_approximate",
        kind=bool,
        help="guess in other precisions than fp32 too, where it can change an answer",
    ),
    Flag(
        name="do_sample", kind=bool, help="sample tokens by their probability; implied by flags of sampling"
    ),
    Flag(
        name="temperature",
        kind=float,
        metavar="T",
        use="sampling",
        help="below 1 for more likely tokens, above 1 for more varied ones",
    ),
    Flag(
        name="top_p",
        kind=float,
        metavar="P",
        use="sampling",
        help="only from the most probable tokens whose probabilities reach P together",
    ),
    Flag(
        name="min_p",
        kind=float,
        metavar="P",
        use="sampling",
        help="only from tokens with at least P times the highest probability",
    ),
    Flag(name="seed", kind=int, metavar="N", use="sampling", help="the seed of the random numbers"),
    Flag(
        name="stop_strings",
        kind=str,
        metavar="TEXT",
        help="end the answer before TEXT; may be repeated",
        many=True,
    ),
    Flag(
        name="source_language", kind=str, metavar="CODE", use="translators", help="the language of the source"
    ),
    Flag(
        name="target_language", kind=str, metavar="CODE", use="translators", help="the language of the answer"
    ),
    Flag(
        name="overflow", kind=str, choices=("refuse", "cut"), help="what to do with a text that is too long"
    ),
)


def none_below_option(text: str) -> "NoneBelow":
    """Return the value of --none-below: "fitted" or a number. Raises ValueError if `text` is neither."""
    return "fitted" if text == "fitted" else float(text)


def generation_options(options: argparse.Namespace) -> dict[str, Any]:
    """Convert the given flags to the options of a call; set `do_sample` if a given flag is for sampling."""
    values = {flag.name: getattr(options, flag.name) for flag in FLAGS}
    given = {name: value for name, value in values.items() if value is not None}
    if any(flag.use == "sampling" and flag.name in given for flag in FLAGS):
        given.setdefault("do_sample", True)
    return given


def answer_options(model: "Model[Any, Any]", options: argparse.Namespace) -> dict[str, Any]:
    """Convert the given flags of the command `predict` to the options of a call of `model`.

    Raises InputError for a flag that does not apply to this kind of model.
    """
    from ftool_runtime.models.generator import Generator

    given = generation_options(options)
    if isinstance(model, Generator):
        owners = {
            "threshold": "multi-label classifiers",
            "none_below": "single-label classifiers",
            "kind": "embedders",
            "aggregation": "taggers",
        }
        for name, whose in owners.items():
            if getattr(options, name) is not None:
                raise InputError(f"--{name.replace('_', '-')} is for {whose}, and this model generates text")
        return given if options.top_k is None else {"do_sample": True, **given, "top_k": options.top_k}
    if given or options.stream:
        name = next(iter(given), "stream").replace("_", "-").replace("stop-strings", "stop")
        raise InputError(
            f"--{name} is for models that generate text, and this one is for {model.info()['task']}"
        )
    asked = {
        "top_k": options.top_k,
        "thresholds": options.threshold,
        "none_below": options.none_below,
        "kind": options.kind,
        "aggregation": options.aggregation,
    }
    for name, value in asked.items():
        if value is not None and name not in model.call_options:
            flag = name.replace("_", "-").removesuffix("s")
            raise InputError(f"--{flag} is not for {model.info()['task']}")
    return {name: value for name, value in asked.items() if value is not None}


def input_columns(model: "Model[Any, Any]", columns: Sequence[str]) -> str | dict[str, str]:
    """Return the columns that hold the texts of `model`'s inputs, in the form that `read_texts` takes.

    Args:
        model: a loaded model.
        columns: for each column, NAME if the model's inputs have one field, or FIELD=NAME if they have several. A field
            that `columns` does not mention is read from the column with the field's own name.

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


def column_names(columns: str | None) -> tuple[str, ...] | None:
    """Return the names in the value of --columns, which commas separate; None if the flag was not given."""
    return None if columns is None else tuple(name.strip() for name in columns.split(","))


def inputs_of(model: "Model[Any, Any]", texts: Sequence[str]) -> list[Any]:
    """Return texts of the command line as inputs of `model`; each field of an input is one text.

    Of several inputs, one with an empty text is None, as in a file.

    Raises InputError if the number of texts is not a multiple of the number of fields.
    """
    fields = model.input_fields
    if len(fields) == 1:
        return [text if text.strip() or len(texts) == 1 else None for text in texts]
    if len(texts) % len(fields):
        raise InputError(
            f"give {' and '.join(fields)} of each input as separate arguments, got {len(texts)} in all"
        )
    parts = [texts[start : start + len(fields)] for start in range(0, len(texts), len(fields))]
    return [
        dict(zip(fields, part, strict=True)) if all(map(str.strip, part)) or len(parts) == 1 else None
        for part in parts
    ]
