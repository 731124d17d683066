"""`ftool merge`: average the heads that several devices have taught."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ftool.cli.next_steps import next_step
from ftool.cli.options import bundle_argument, echo_report, json_option
from ftool_runtime.bundle.contracts import MAX_LOSS_RISE

if TYPE_CHECKING:
    from ftool_runtime.teaching.merge import Merged

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@bundle_argument
@click.argument("heads", nargs=-1, required=True, type=_FILE, metavar="HEAD...")
@click.option(
    "-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="The file to write.",
)  # fmt: skip
@click.option(
    "--base", type=_FILE, metavar="HEAD",
    help="The head that all devices adopted before these lessons; by default they began with the bundle's own.",
)  # fmt: skip
@click.option(
    "--max-loss-rise", type=click.FloatRange(0), default=MAX_LOSS_RISE, show_default=True, metavar="NATS",
    help="The most by which each head, and their average, may raise the loss on the bundle's replay.",
)  # fmt: skip
@json_option
def merge(
    folder: Path,
    heads: tuple[Path, ...],
    output: Path,
    base: Path | None,
    max_loss_rise: float,
    as_json: bool,
) -> None:
    """Average the heads that several devices have taught with the same bundle, for all of them to go on with.

    A device writes its head with `share_head` or `python -m ftool_runtime teach BUNDLE --share FILE`; no text or
    feature leaves it. It takes the average with `adopt_head` or `--adopt FILE`, and learns its own lessons again on it.
    The bundle does not change. A head that forgets too much is refused by name.

    \b
    ftool merge models/bank device1.head device2.head -o round1.head
    ftool merge models/bank device*.head --base round1.head -o round2.head
    """
    from ftool.workspace import ModelFolder
    from ftool_runtime.errors import InputError
    from ftool_runtime.teaching.merge import merge_files

    model = ModelFolder.around(folder)
    bundle = folder if model is None else model.require_bundle()
    merged = merge_files(bundle, heads, base, max_loss_rise=max_loss_rise)
    try:
        merged.head.write(output)
    except OSError as error:
        raise InputError(f"{output} can't be written: {error.strerror}") from error
    then = next_step(
        f"python -m ftool_runtime teach BUNDLE --adopt {shlex.quote(str(output))}, on each device"
    )
    echo_report(lambda: _report(merged, output), lambda: _text(merged, output), as_json=as_json, then=then)


def _report(merged: "Merged", output: Path) -> dict[str, Any]:
    head = merged.head
    return {
        "head": str(output),
        "devices": head.devices,
        "lessons": dict(zip(head.labels, head.lessons, strict=True)),
        "loss_rise": merged.loss_rise,
        "loss_rises": dict(merged.loss_rises),
    }


def _text(merged: "Merged", output: Path) -> str:
    from ftool.terminal import format_table

    head = merged.head
    rows = [
        ["label", "lessons"],
        *([label, str(count)] for label, count in zip(head.labels, head.lessons, strict=True)),
    ]
    return "\n".join(
        [
            format_table(rows),
            f"{output}: {head.devices} heads; the loss on the bundle's replay rises by {merged.loss_rise:.4f}",
        ]
    )
