"""`ftool export`: turn a checkpoint into a bundle that runs without torch."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ftool.cli.next_steps import SAMPLE, command, next_step
from ftool.cli.options import (
    Number,
    checkpoint_facts,
    checkpoint_facts_options,
    echo_report,
    folder_argument,
    json_option,
    recipe_options,
)
from ftool.recipe.flags import RecipeFlags, recipe_for
from ftool.recipe.sections import AUTO
from ftool_runtime.bundle.precisions import EMBEDDING_BITS, LAYOUTS, PRECISIONS

if TYPE_CHECKING:
    from ftool.ladder.frontier import Frontier
    from ftool_export.report import ExportReport


@click.command()
@folder_argument
@click.option("--checkpoint", metavar="PATH|HUB_ID", help="Export this checkpoint instead of FOLDER's run/.")
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="BUNDLE",
    help="With --checkpoint: the folder to write the bundle to.",
)
@click.option(
    "--graph",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    metavar="MODEL.onnx",
    help="With --checkpoint: make the bundle of this float32 graph, which optimum, torch or another tool exported "
    "from that encoder.",
)
@click.option(
    "--precision",
    type=click.Choice([*PRECISIONS, AUTO]),
    help="Precision of the weights; by default the recipe's, or w8 for models that generate text and int8 for others. "
    "auto: build, prove and time every one, and keep the cheapest that loses at most --max-drop.",
)
@click.option(
    "--embedding-bits",
    type=click.Choice(EMBEDDING_BITS),
    help="Bits of a number in quantised embedding tables, which are half of a small model: 8 by default, or 4. auto "
    "tries 4 too if a bundle exceeds --max-size, with --prefer size, or if this is 4.",
)
@click.option(
    "--max-drop",
    type=Number(0, 1),
    metavar="POINTS",
    help="Largest allowed loss of the main metric on validation; 0.01 is one point. A precision of your choice may "
    "exceed it by one standard error; auto takes only one that loses no more at --confidence.",
)
@click.option(
    "--confidence",
    type=Number(0.5, 1, max_open=True),
    metavar="SHARE",
    help="auto: how sure it must be that the loss is at most --max-drop, by default 0.95: the upper end of the loss's "
    "one-sided interval is compared. 0.5 compares the loss itself.",
)
@click.option(
    "--max-latency",
    type=Number(0, min_open=True),
    metavar="MS",
    help="auto: longest median time of an answer, or of a generated token, on this machine.",
)
@click.option("--max-size", type=Number(0, min_open=True), metavar="MB", help="auto: largest bundle.")
@click.option(
    "--prefer",
    type=click.Choice(["latency", "size", "memory"]),
    help="auto: what is cheapest among those that qualify; latency by default.",
)
@click.option(
    "--candidate",
    "candidates",
    multiple=True,
    metavar="FOLDER",
    help="auto: a further model folder or checkpoint to choose from, such as a smaller one distilled from this; can be "
    "repeated.",
)
@click.option(
    "--shrink",
    multiple=True,
    metavar="vocabulary|N",
    help="auto: make a smaller model to choose from: the vocabulary of the training texts (vocabulary) or of a size "
    "(vocabulary=20000), N layers (0: none), which are trained, or both (3+vocabulary); can be repeated.",
)
@click.option(
    "--allow-drift",
    is_flag=True,
    default=None,
    help="Write the bundle even if its answers differ more from torch's than ftool parity allows.",
)
@click.option(
    "--device",
    type=click.Choice(["cpu", "cuda"]),
    help="The device that the bundle must run on; cuda is for encoders, in fp32 or fp16.",
)
@click.option(
    "--layout",
    type=click.Choice(LAYOUTS),
    help="ftool: for ftool-runtime, the default. standard: sentence-transformers, fastembed, optimum, transformers.js "
    "and onnxruntime-genai can read the bundle too, in batches; see docs/ecosystem.md.",
)
@click.option(
    "--teachable",
    is_flag=True,
    default=None,
    help="Let apps teach the classifier new examples and labels on the device; the bundle then keeps features of some "
    "training texts (docs/teaching.md).",
)
@click.option(
    "--golden",
    type=click.Choice(["probes", "data"]),
    help="The texts in golden.json, which verify runs: ftool's own (probes), or up to 16 of your data (data).",
)
@checkpoint_facts_options
@recipe_options
@json_option
def export(
    folder: Path,
    checkpoint: str | None,
    output: Path | None,
    graph: Path | None,
    pairs: bool | None,
    outside_label: str | None,
    flags: RecipeFlags,
    as_json: bool,
    **settings: Any,
) -> None:
    """Turn FOLDER's run/ into its bundle/: a graph that runs without torch, and all other files that the model needs.

    Every stage is checked against torch, and the loss of quality is measured on validation. Exit status 1 means that
    the loss is too large, or that the bundle would fail ftool parity; an existing bundle is then kept. With
    --precision auto it means that no candidate qualifies; the table says why, and names the nearest.

    \b
    ftool export models/intents
    ftool export models/intents --precision auto --max-drop 0.005 --max-size 24
    ftool export --checkpoint distilbert/distilbert-base-uncased-finetuned-sst-2-english \\
        --task text-classification -o sst2
    """
    chosen = {name: value for name, value in settings.items() if value not in (None, ())}
    from ftool.exporting import export_checkpoint, export_run

    if checkpoint is None:
        if graph is not None:
            raise click.UsageError(
                "--graph is for --checkpoint, which it was exported from; name FOLDER/run there"
            )
        if output is not None:
            raise click.UsageError(
                "--output is for --checkpoint; the bundle of FOLDER is always FOLDER/bundle"
            )
        if pairs is not None or outside_label is not None:
            raise click.UsageError(
                "--pairs, --single-texts and --outside-label are for --checkpoint; run/ says these things itself"
            )
        report = export_run(folder, recipe_for(folder, flags), chosen)
        then = next_step(command("parity", folder), command("predict", folder, SAMPLE))
    else:
        if flags.base or flags.assignments:
            raise click.UsageError(
                "--base and --set change a recipe, but --checkpoint uses none; leave them out"
            )
        if output is None:
            raise click.UsageError("--checkpoint needs --output, the folder to write the bundle to")
        report = export_checkpoint(
            checkpoint,
            output,
            chosen,
            task=flags.task,
            data=flags.data.apply(None) if flags.data.path else None,
            facts=checkpoint_facts(flags.data, pairs=pairs, outside_label=outside_label),
            graph=graph,
        )
        then = next_step(command("predict", output, SAMPLE))
    _echo(report, then, as_json=as_json)
    if report.bundle is None:
        raise SystemExit(1)


def _echo(report: "ExportReport | Frontier", then: str, *, as_json: bool) -> None:
    from ftool.ladder.frontier import Frontier

    then = then if report.bundle is not None else ""
    if isinstance(report, Frontier):
        echo_report(report.export_json, lambda: _frontier_text(report), as_json=as_json, then=then)
    else:
        echo_report(report.to_json, lambda: _report_text(report), as_json=as_json, then=then)


def _frontier_text(frontier: "Frontier") -> str:
    from ftool.terminal import format_table

    lines = [format_table(frontier.table()), *frontier.misses(), *frontier.notes()]
    if frontier.bundle is None or frontier.chosen is None:
        lines.append("nothing was written")
    else:
        lines.append(f"{frontier.bundle}: {frontier.chosen.rung.name}")
    return "\n".join([*lines, f"report: {frontier.page}"])


def _report_text(report: "ExportReport") -> str:
    from ftool.terminal import format_table

    verdict = report.verdict
    rows = [[verdict.metric or "", "torch fp32", report.precision, "drop", "allowed"]]
    if verdict.reference is not None and verdict.bundle is not None and verdict.drop is not None:
        allowed = verdict.max_drop + verdict.allowance
        scores = [f"{number:.4f}" for number in (verdict.reference, verdict.bundle, verdict.drop, allowed)]
        how = ", cross-fitted" if verdict.cross_fitted else ""
        rows.append([f"on {verdict.examples} validation texts{how}", *scores])
    lines = [format_table(rows)] if len(rows) > 1 else []
    lines.append(
        f"same {verdict.compared} as torch: {verdict.agreement:.2%} over {verdict.examples} texts; "
        f"attention: {report.attention}; fp32 graph within {report.largest_logit_difference:.1e} of torch"
    )
    if report.left_out:
        finest = f" ({len(report.in_fp32)} in fp32)" if report.in_fp32 else ""
        lines.append(f"kept at higher precision{finest} to preserve accuracy: " + ", ".join(report.left_out))
    if report.bundle is None:
        lines.append("the bundle failed the accuracy gate: nothing was written")
    else:
        lines.append(f"{report.bundle}: {report.bytes / 1e6:.1f} MB, {report.precision}")
        lines.append(report.disclosure)
        if report.device != report.proof["device"]:
            lines.append(
                f"proved on the CPU, not on a GPU; there, run: python -m ftool_runtime verify {report.bundle} --device "
                f"{report.device}"
            )
    return "\n".join([*lines, report.advice] if report.advice else lines)
