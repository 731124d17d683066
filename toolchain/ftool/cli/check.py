"""`ftool check`: judge an ONNX file that another tool exported."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ftool.cli.options import (
    Number,
    checkpoint_facts,
    checkpoint_facts_options,
    data_options,
    echo_report,
    json_option,
    split_option,
    threads_option,
)
from ftool.recipe.flags import DataFlags
from ftool.tasks.registry import task_names

if TYPE_CHECKING:
    from ftool.check_onnx import CheckSettings
    from ftool_export.foreign.graph_check import GraphReport


@click.command()
@click.argument("file", type=click.Path(path_type=Path), metavar="MODEL.onnx")
@click.option(
    "--checkpoint",
    required=True,
    metavar="PATH|HUB_ID",
    help="What the file was exported from: a checkpoint or a model folder.",
)
@click.option("--task", metavar="TASK", help=f"One of {', '.join(task_names())}; read from the checkpoint.")
@checkpoint_facts_options
@split_option
@click.option(
    "--max-drop", type=Number(0, 1), metavar="POINTS", help="Largest allowed loss; 0.01 by default."
)
@click.option("--bench", "timed", is_flag=True, help="Time the file too, beside torch.")
@click.option(
    "--against",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="BUNDLE",
    help="Time the file beside this bundle too; can be repeated.",
)
@threads_option
@data_options
@json_option
def check(
    file: Path, checkpoint: str, task: str | None, data: DataFlags, as_json: bool, **given: Any
) -> None:
    """Judge an ONNX file of an encoder that optimum, Olive, torch or another tool exported from a checkpoint.

    The runtime answers with the file as it is, and the answers are compared with torch's as those of ftool's own
    bundles: on the labelled examples of --data, or without --data on ftool's own texts; single and batched; in batches
    of several shapes. Exit status 1 means that a difference exceeds its limit, or that the file has a fault, which is
    named. Nothing is written.

    \b
    ftool check model_quantized.onnx --checkpoint distilbert/distilbert-base-uncased-finetuned-sst-2-english
    ftool check model.onnx --checkpoint models/bank --bench --against models/bank/bundle
    """
    from ftool.check_onnx import check_onnx
    from ftool.tasks.registry import find_synonym

    checkpoint, task, settings = _subject(checkpoint, task, data, **given)
    report, speed = check_onnx(file, checkpoint, find_synonym(task), settings)
    echo_report(
        lambda: {**report.to_json(), "bench": speed},
        lambda: _report_text(report, speed),
        as_json=as_json,
    )
    if not report.passed:
        raise SystemExit(1)


def _subject(
    checkpoint: str,
    task: str | None,
    data: DataFlags,
    *,
    timed: bool,
    against: tuple[Path, ...],
    split: str,
    max_drop: float | None,
    threads: int | None,
    **facts: Any,
) -> "tuple[str, str, CheckSettings]":
    """Return the checkpoint, its task, and what the file is judged on: the recipe's data if it is a model folder."""
    from ftool.check_onnx import CheckSettings
    from ftool.recipe.recipe import Recipe
    from ftool.tasks.registry import find_synonym
    from ftool.workspace import ModelFolder
    from ftool_export.checkpoints.pretrained import task_of
    from ftool_export.tolerances import MAX_DROP

    model, recipe = ModelFolder(Path(checkpoint)), None
    if model.recipe.is_file():
        recipe = Recipe.read(model.recipe)
        if task is not None and find_synonym(task).name != recipe.task:
            raise click.UsageError(f"--task {task}: the model in {checkpoint} is for {recipe.task}")
        checkpoint = str(model.require_run())
        if data.path is None:
            recipe = replace(recipe, data=data.apply(recipe.data))
    elif data != DataFlags() and data.path is None:
        raise click.UsageError("columns and labels are those of --data; name it")
    task = task or (recipe.task if recipe else task_of(checkpoint))
    if task is None:
        raise click.UsageError(f"{checkpoint} does not name its task; give it with --task")
    return (
        checkpoint,
        task,
        CheckSettings(
            split=split,
            recipe=recipe,
            data=data.apply(recipe.data if recipe else None) if data.path else None,
            facts=checkpoint_facts(data, **facts),
            max_drop=MAX_DROP if max_drop is None else max_drop,
            against=against if timed or against else None,
            threads=threads,
        ),
    )


def _report_text(report: "GraphReport", speed: dict[str, Any] | None) -> str:
    from ftool.bench.report import sentences, table
    from ftool.cli.checks import checks_table, metric_lines
    from ftool.terminal import format_table

    facts = report.facts
    lines = [
        f"{report.file}: {facts.bytes / 1e6:.1f} MB, opset {facts.opset}, {facts.operators} operators, by "
        f"{facts.producer}; judged by the limits of {facts.precision}"
    ]
    if report.found is not None:
        compared = report.found.comparison
        lines.append(checks_table(f"{compared.examples} examples", compared.compared, report.checks))
        if report.metric is not None:
            exact = facts.precision == "fp32"
            lines += metric_lines(report.metric, "file", compared.examples, exact=exact)
    lines += [f"FAULT: {fault}" for fault in report.faults]
    lines += [f"note: {remark}" for remark in report.remarks]
    if speed is not None:
        lines += ["", format_table(table(speed)), *sentences(speed)]
    return "\n".join(lines)
