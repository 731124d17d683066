"""`ftool parity`: compare the bundle with its torch reference."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ftool.cli.next_steps import SAMPLE, command, next_step
from ftool.cli.options import (
    bundle_argument,
    checkpoint_facts,
    checkpoint_facts_options,
    echo_report,
    json_option,
    recipe_options,
    split_option,
)
from ftool.recipe.flags import RecipeFlags, recipe_for

if TYPE_CHECKING:
    from ftool_export.report import ParityReport


@click.command()
@bundle_argument
@click.option(
    "--checkpoint", metavar="PATH|HUB_ID", help="With a bundle: the checkpoint that it was exported from."
)
@click.option(
    "--graph",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    metavar="MODEL.onnx",
    help="With --checkpoint: the file of another tool that ftool export --graph made the bundle of.",
)
@checkpoint_facts_options
@split_option
@recipe_options
@json_option
def parity(
    folder: Path,
    checkpoint: str | None,
    graph: Path | None,
    pairs: bool | None,
    outside_label: str | None,
    split: str,
    flags: RecipeFlags,
    as_json: bool,
) -> None:
    """Compare a bundle with the model that it was exported from, run by torch: answers to single and batched texts.

    A model folder's bundle/ is compared with its run/ on the recipe's data, and the report is written to
    reports/parity.json. Any other bundle is compared with --checkpoint on --data, or without --data on ftool's own
    texts. Exit status 1 means that a difference exceeds its tolerance.

    \b
    ftool parity models/intents
    ftool parity sst2 --checkpoint distilbert/distilbert-base-uncased-finetuned-sst-2-english
    """
    from ftool.export import check_parity, check_parity_of_bundle
    from ftool.workspace import ModelFolder

    model = ModelFolder.around(folder)
    if graph is not None and checkpoint is None:
        raise click.UsageError("--graph is for --checkpoint, which the file was exported from")
    facts = checkpoint_facts(flags.data, pairs=pairs, outside_label=outside_label)
    if checkpoint is not None:
        bundle = folder if model is None else model.require_bundle()
        data = flags.data.apply(None) if flags.data.path else None
        report = check_parity_of_bundle(bundle, checkpoint, split=split, data=data, facts=facts, graph=graph)
    elif model is None:
        raise click.UsageError(
            f"{folder} is a bundle without a run/ beside it; name what it was exported from with --checkpoint"
        )
    else:
        if pairs is not None or outside_label is not None:
            raise click.UsageError("--pairs, --single-texts and --outside-label are for --checkpoint")
        recipe = recipe_for(model.path, flags)
        report = check_parity(model.path, recipe, split=split, data=recipe.data if flags.data.path else None)
    then = next_step(command("bench", folder), command("predict", folder, SAMPLE)) if report.passed else ""
    echo_report(report.to_json, lambda: _report_text(report), as_json=as_json, then=then)
    if not report.passed:
        raise SystemExit(1)


def _report_text(report: "ParityReport") -> str:
    from ftool.cli.checks import checks_table, metric_lines

    title = f"{report.precision}, {report.examples} examples"
    lines = [checks_table(title, report.found.comparison.compared, report.checks)]
    if report.metric is not None:
        lines += metric_lines(report.metric, "bundle", report.examples, exact=report.tolerance.exact)
    if report.same_weights is False:
        lines.append("run/ was trained after bundle/ was exported: run ftool export to update the bundle")
    return "\n".join([*lines, *report.notes()])
