"""`ftool shrink`: make a smaller model of a trained one."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from ftool.cli import completion
from ftool.cli.next_steps import command, next_step
from ftool.cli.options import echo_report, json_option

if TYPE_CHECKING:
    from ftool.shrink import ShrinkReport


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "-o",
    "--output",
    "smaller",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="The new model folder.",
)
@click.option(
    "--layers",
    metavar="N|PLACES",
    help="How many layers to keep, evenly spaced (0: none), or their places, counted from 0, such as 0,2,5. A single "
    "place ends in a comma: 5,",
)
@click.option(
    "--vocabulary",
    metavar="data|SIZE",
    help="How many tokens to keep; data: those of the training and validation texts, and 2,000 frequent ones.",
)
@click.option(
    "--set",
    "assignments",
    metavar="KEY=VALUE",
    multiple=True,
    shell_complete=completion.settings,
    help="Change one setting of the new recipe, such as train.epochs=10.",
)
@click.option("--no-train", is_flag=True, help="Stop before the training, which `ftool train` then does.")
@json_option
def shrink(
    folder: Path,
    smaller: Path,
    layers: str | None,
    vocabulary: str | None,
    assignments: tuple[str, ...],
    no_train: bool,
    as_json: bool,
) -> None:
    """Make a smaller model of the trained model in FOLDER.

    Layers are dropped, and the smaller model learns from the answers of the trained one, beside the labels. A smaller
    vocabulary splits rare words into smaller pieces; all texts can still be read, and texts of the training data become
    the same tokens as before. If only the vocabulary is cut, there is no training. --layers 0 keeps
    no layer: the model becomes a sum of token and token-pair vectors, the fastest classifier.

    \b
    ftool shrink models/bank -o models/bank-small --layers 2 --vocabulary data
    ftool export models/bank-small
    """
    places, size = _layers(layers), _vocabulary(vocabulary)
    from ftool.shrink import shrink as shrink_model

    report = shrink_model(
        folder, smaller, layers=places, vocabulary=size, assignments=assignments, untrained=no_train
    )
    then = next_step(command("train" if report.trained is None else "export", smaller))
    echo_report(report.to_json, lambda: _report_text(report), as_json=as_json, then=then)


def _layers(text: str | None) -> Sequence[int] | int | None:
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",") if part] if "," in text else int(text)
    except ValueError:
        raise click.BadParameter(f"--layers takes a number, or places such as 0,2,5, got {text!r}") from None


def _vocabulary(text: str | None) -> int | Literal["data"] | None:
    if text is None or text == "data":
        return text  # type: ignore[return-value]
    try:
        return int(text)
    except ValueError:
        raise click.BadParameter(f"--vocabulary takes a number or data, got {text!r}") from None


def _report_text(report: "ShrinkReport") -> str:
    parts = ["\n".join(report.lines())]
    if report.trained is None:
        return parts[0]
    return "\n\n".join([*parts, report.trained.table()])
