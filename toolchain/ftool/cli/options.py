"""Arguments and options that several commands share, each defined once.

The decorators pass these arguments to a command: `@folder_argument` and `@bundle_argument` `folder: Path`,
`@json_option` `as_json: bool`, `@recipe_options` `flags: RecipeFlags`, `@data_options` `data: DataFlags`,
`@generation_flags` `writing: Namespace`.
"""

import math
from argparse import Namespace
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Final, cast

import click

from ftool.cli import completion
from ftool.recipe.flags import DataFlags, RecipeFlags
from ftool.tasks.registry import task_names
from ftool_runtime.text.printable import json_text, printable
from ftool_runtime.tools.options import FLAGS, Flag

folder_argument = click.argument(
    "folder", default=".", type=click.Path(file_okay=False, path_type=Path), metavar="[FOLDER]"
)
bundle_argument = click.argument(
    "folder", default=".", type=click.Path(file_okay=False, path_type=Path), metavar="[FOLDER|BUNDLE]"
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")

threads_option = click.option(
    "--threads", type=int, metavar="N", help="CPU threads; all physical cores by default."
)
device_option = click.option(
    "--device", type=click.Choice(["cpu", "cuda", "auto"]), default="cpu", show_default=True,
    help="Where to run the model; auto: on a GPU if a usable one is found.",
)  # fmt: skip
split_option = click.option(
    "--split",
    default="test",
    show_default=True,
    metavar="NAME",
    help="The split to use: test, validation, train, or another that the data has.",
)


def _comma_separated(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    return tuple(name.strip() for name in value.split(",")) if value is not None else None


columns_option = click.option(
    "--columns",
    metavar="NAME,…",
    callback=_comma_separated,
    help="The names of the columns, for files without a header.",
)

_CHECKPOINT_FACTS = (
    click.option(
        "--pairs/--single-texts",
        default=None,
        help="With --checkpoint: whether an input of the classifier is two texts, if its files don't say.",
    ),
    click.option(
        "--outside-label",
        metavar="NAME",
        help="With --checkpoint: the tagger's label for words outside entities, if it is not O.",
    ),
)


def checkpoint_facts_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options `pairs` and `outside_label`, about a checkpoint whose files leave something out."""
    for option in reversed(_CHECKPOINT_FACTS):
        command = option(command)
    return command


def checkpoint_facts(data: DataFlags, **given: Any) -> dict[str, Any]:
    """Return the facts about a checkpoint that the command line names, with the languages in `data`."""
    facts = {**given, "source_language": data.source_language, "target_language": data.target_language}
    return {name: value for name, value in facts.items() if value is not None}


_DATA_OPTIONS = (
    click.option(
        "--data",
        "path",
        metavar="PATH",
        shell_complete=completion.data,
        help="A file, a folder, a hub data set id, or builtin:NAME.",
    ),
    click.option("--text-column", "text", metavar="NAME", help="The column of the texts."),
    click.option("--pair-column", "text_pair", metavar="NAME", help="The column of second texts."),
    click.option(
        "--label-column",
        "label",
        metavar="NAME",
        help="The column of the labels; several, with commas, for numbers.",
    ),
    click.option("--source-column", "source", metavar="NAME", help="The column of the source texts."),
    click.option("--target-column", "target", metavar="NAME", help="The column of the target texts."),
    click.option(
        "--target-file",
        metavar="FILE",
        help="The targets, one per line, in the order of the sources in --data.",
    ),
    click.option("--messages-column", "messages", metavar="NAME", help="The column of the conversations."),
    click.option("--source-language", metavar="CODE", help="The language of the source texts."),
    click.option("--target-language", metavar="CODE", help="The language of the target texts."),
    columns_option,
    click.option(
        "--label-names",
        metavar="FILE",
        help="File with one label name per line, if the data has label numbers.",
    ),
    click.option("--label-separator", metavar="TEXT", help="Separator between several labels in one cell."),
    click.option(
        "--multi-label/--single-label", default=None, help="Whether a text has several labels or one."
    ),
    click.option(
        "--fold-labels/--keep-labels",
        default=None,
        help="Whether labels that differ only in case, spaces or invisible characters are one.",
    ),
    click.option(
        "--skip-incomplete/--refuse-incomplete",
        default=None,
        help="Whether rows without a text or a label are left out, or refused.",
    ),
)
_RECIPE_OPTIONS = (
    click.option(
        "--task",
        metavar="TASK",
        shell_complete=completion.tasks,
        help=f"One of {', '.join(task_names())}.",
    ),
    click.option(
        "--base",
        metavar="MODEL",
        shell_complete=completion.bases,
        help="A hub id, a checkpoint folder, or a name such as minilm or scratch:t5-mini.",
    ),
)
_SET_OPTION = click.option(
    "--set",
    "assignments",
    metavar="KEY=VALUE",
    multiple=True,
    shell_complete=completion.settings,
    help="Replace one setting of the recipe for this call, such as train.epochs=2.",
)


def data_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say where the data is and how to read it; the command gets them as `data: DataFlags`."""

    @wraps(command)
    def with_flags(*args: Any, **kwargs: Any) -> Any:
        return command(*args, data=_take_data_flags(kwargs), **kwargs)

    return _decorate(with_flags, _DATA_OPTIONS)


def recipe_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that describe or override a recipe; the command gets them as `flags: RecipeFlags`."""

    @wraps(command)
    def with_flags(*args: Any, **kwargs: Any) -> Any:
        flags = RecipeFlags(
            task=kwargs.pop("task"),
            base=kwargs.pop("base"),
            assignments=kwargs.pop("assignments"),
            data=_take_data_flags(kwargs),
        )
        return command(*args, flags=flags, **kwargs)

    return _decorate(with_flags, (*_RECIPE_OPTIONS, *_DATA_OPTIONS, _SET_OPTION))


def generation_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the runtime's flags for text generation; the command gets their values as the namespace `writing`."""

    @wraps(command)
    def with_flags(**given: Any) -> Any:
        # If they are not given, click passes False for a switch and () for a flag that can be repeated.
        values = {flag.name: given.pop(flag.name) for flag in FLAGS}
        writing = {name: None if value is False or value == () else value for name, value in values.items()}
        return command(writing=Namespace(**writing), **given)

    return _decorate(with_flags, tuple(_generation_option(flag) for flag in FLAGS))


def echo_json(value: Any) -> None:
    """Print `value` on standard output as indented JSON; keys are not sorted."""
    click.echo(json_text(value, indent=2, allow_nan=False))


def echo_report(values: Callable[[], Any], text: Callable[[], str], *, as_json: bool, then: str = "") -> None:
    """Print a report: the result of `values` as JSON if `as_json` is true, else the result of `text` and `then`.

    `then` is a line of `next_step`, or "" if nothing follows.
    """
    if as_json:
        echo_json(values())
    else:
        click.echo(printable("\n\n".join(part for part in (text(), then) if part)))


def _take_data_flags(kwargs: dict[str, Any]) -> DataFlags:
    return DataFlags(**{name: kwargs.pop(name) for name in DataFlags.__slots__})


def _decorate(command: Any, options: tuple[Callable[[Any], Any], ...]) -> Callable[..., Any]:
    for option in reversed(options):
        command = option(command)
    return cast(Callable[..., Any], command)


def _generation_option(flag: Flag) -> Callable[..., Any]:
    kind = click.Choice(flag.choices) if flag.choices else flag.kind
    # click refuses a value such as -1.0 or "---" if `is_flag` is passed as False.
    value: dict[str, Any] = {"is_flag": True} if flag.kind is bool else {"type": kind}
    return click.option(
        flag.option,
        flag.name,
        **value,
        multiple=flag.many,
        metavar=flag.metavar,
        help=f"{flag.use.capitalize()}: {flag.help}.",
    )


class Percentage(click.ParamType[float]):
    """A share that is given in percent, such as 5%; the value is 0.05."""

    name = "percentage"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the share, 0.05 for "5%". Fails for anything but a number of at least 0 and a percent sign."""
        if isinstance(value, float):
            return value
        try:
            share = float(str(value).removesuffix("%")) / 100
        except ValueError:
            share = -1.0
        if not str(value).endswith("%") or not 0 <= share < math.inf:
            self.fail(f"{value!r} is not a percentage; give one such as 5%", param, ctx)
        return share


class Number(click.FloatRange):
    """A finite number in a range: click lets nan through, with which every comparison is false."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number. Fails for anything else, nan and infinity too."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{number} is not a finite number", param, ctx)
        return number


_LARGEST_SIZE: Final = 65_536  # tokens of a text, or texts of a call


class Sizes(click.ParamType[tuple[int, ...]]):
    """Whole numbers with commas, such as 16,64; the value is in ascending order, each number once."""

    name = "sizes"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Return the numbers, (16, 64) for "64,16". Fails for anything but whole numbers from 1 to 65,536."""
        if isinstance(value, tuple):
            return value
        words = [word.strip() for word in str(value).split(",")]
        for word in words:
            if not word.isdecimal() or len(word) > 9 or not 1 <= int(word) <= _LARGEST_SIZE:
                self.fail(
                    f"{word[:40]!r} is not a whole number from 1 to {_LARGEST_SIZE:,}; give some such as 16,64",
                    param,
                    ctx,
                )
        return tuple(sorted({int(word) for word in words}))
