"""`ftool export`: turn a checkpoint into a bundle that runs without torch."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ftool.cli.flags import RecipeFlags, recipe_for
from ftool.cli.options import (
    checkpoint_facts,
    checkpoint_facts_options,
    echo_report,
    folder_argument,
    json_option,
    recipe_options,
)
from ftool_runtime.bundle.precisions import PRECISIONS

if TYPE_CHECKING:
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
    "--precision",
    type=click.Choice(PRECISIONS),
    help="Precision of the weights; by default the recipe's, or w8 for models that generate text and int8 for others.",
)
@click.option(
    "--max-drop",
    type=click.FloatRange(0, 1),
    metavar="POINTS",
    help="Largest allowed loss of the main metric on validation; 0.01 is one point.",
)
@click.option(
    "--allow-drift",
    is_flag=True,
    default=None,
    help="Write the bundle even if its answers differ more from torch's than ftool parity allows.",
)
@click.option("--device", type=click.Choice(["cpu", "cuda"]), help="The device that the bundle must run on.")
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
    precision: str | None,
    max_drop: float | None,
    allow_drift: bool | None,
    device: str | None,
    golden: str | None,
    pairs: bool | None,
    outside_label: str | None,
    flags: RecipeFlags,
    as_json: bool,
) -> None:
    """Turn FOLDER's run/ into its bundle/: a graph that runs without torch, and all other files that the model needs.

    Every stage is checked against torch, and the loss of quality is measured on validation. Exit status 1 means that
    the loss is too large, or that the bundle would fail ftool parity; an existing bundle is then kept.

    \b
    ftool export models/intents
    ftool export --checkpoint distilbert/distilbert-base-uncased-finetuned-sst-2-english \\
        --task text-classification -o sst2
    """
    given = {
        "precision": precision,
        "max_drop": max_drop,
        "allow_drift": allow_drift,
        "device": device,
        "golden": golden,
    }
    chosen = {name: value for name, value in given.items() if value is not None}
    if checkpoint is None:
        if output is not None:
            raise click.UsageError(
                "--output is for --checkpoint; the bundle of FOLDER is always FOLDER/bundle"
            )
        if pairs is not None or outside_label is not None:
            raise click.UsageError(
                "--pairs, --single-texts and --outside-label are for --checkpoint; run/ says these things itself"
            )
        report = _export_folder(folder, flags, chosen)
    else:
        if flags.base or flags.assignments:
            raise click.UsageError(
                "--base and --set change a recipe, but --checkpoint uses none; leave them out"
            )
        if output is None:
            raise click.UsageError("--checkpoint needs --output, the folder to write the bundle to")
        facts = checkpoint_facts(flags.data, pairs=pairs, outside_label=outside_label)
        report = _export_checkpoint(checkpoint, output, flags, chosen, facts)
    echo_report(report.to_json, lambda: _report_text(report), as_json=as_json)
    if not report.verdict.passed:
        raise SystemExit(1)


def _export_folder(folder: Path, flags: RecipeFlags, chosen: Mapping[str, Any]) -> "ExportReport":
    from ftool.export import export_folder

    recipe = recipe_for(folder, flags)
    return export_folder(folder, replace(recipe, export=replace(recipe.export, **chosen)))


def _export_checkpoint(
    checkpoint: str,
    output: Path,
    flags: RecipeFlags,
    chosen: Mapping[str, Any],
    facts: Mapping[str, Any],
) -> "ExportReport":
    from ftool.bases import BASES, resolve_base
    from ftool.export import export_any
    from ftool.recipe.sections import ExportRecipe
    from ftool.tasks.registry import find_synonym
    from ftool_export.checkpoints.pretrained import task_of

    base = BASES[checkpoint].hub_id if checkpoint in BASES else None
    checkpoint = resolve_base(checkpoint) if checkpoint in BASES else checkpoint
    task = flags.task or task_of(checkpoint)
    if task is None:
        raise click.UsageError(f"{checkpoint} does not name its task; give it with --task")
    return export_any(
        checkpoint,
        output,
        find_synonym(task),
        ExportRecipe(**chosen),
        flags.data.apply(None) if flags.data.path else None,
        base=base,
        facts=facts,
    )


def _report_text(report: "ExportReport") -> str:
    from ftool.terminal import format_table

    verdict = report.verdict
    rows = [[verdict.metric or "", "torch fp32", report.precision, "drop", "allowed"]]
    if verdict.reference is not None and verdict.bundle is not None and verdict.drop is not None:
        allowed = verdict.max_drop + verdict.allowance
        scores = [f"{number:.4f}" for number in (verdict.reference, verdict.bundle, verdict.drop, allowed)]
        rows.append([f"on {verdict.examples} validation texts", *scores])
    lines = [format_table(rows)] if len(rows) > 1 else []
    lines.append(
        f"same {verdict.compared} as torch: {verdict.agreement:.2%} over {verdict.examples} texts; "
        f"attention: {report.attention}; fp32 graph within {report.largest_logit_difference:.1e} of torch"
    )
    if report.left_out:
        lines.append("kept at higher precision to preserve accuracy: " + ", ".join(report.left_out))
    if report.bundle is None:
        lines.append("the bundle failed the accuracy gate: nothing was written")
    else:
        lines.append(f"{report.bundle}: {report.bytes / 1e6:.1f} MB, {report.precision}")
    return "\n".join([*lines, report.advice] if report.advice else lines)
