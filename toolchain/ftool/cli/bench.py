"""`ftool bench`: time the bundle against torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ftool.cli.flags import RecipeFlags, recipe_for
from ftool.cli.options import (
    Percentage,
    Sizes,
    bundle_argument,
    echo_report,
    json_option,
    recipe_options,
    split_option,
)

if TYPE_CHECKING:
    from ftool.bench.engines import Engine
    from ftool.bench.report import BenchReport
    from ftool.bench.worker import Text
    from ftool.tasks.base import Task
    from ftool.workspace import ModelFolder

SLOWER = 0.1  # the default of --max-slowdown, as a share


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchFlags:
    """The values of the command's own options; None for what was not given."""

    against: tuple[str, ...]
    checkpoint: Path | None
    report_file: Path | None
    threads: int | None
    device: str
    profile: str
    rounds: int | None
    texts_per_round: int | None
    rate: float | None
    lengths: tuple[int, ...]
    batches: tuple[int, ...]
    split: str
    min_speedup: float | None
    compare: Path | None
    max_slowdown: float | None


@click.command()
@bundle_argument
@click.option(
    "--against",
    multiple=True,
    metavar="torch|BUNDLE|none",
    help="What to compare the bundle with; can be repeated. By default torch, if there is a run/ or --checkpoint.",
)
@click.option(
    "--checkpoint", type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="PATH",
    help="What torch runs, if it is not FOLDER's run/.",
)  # fmt: skip
@click.option("--report", "report_file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.html",
              help="The HTML report; reports/report.html in the model folder by default.")  # fmt: skip
@click.option("--threads", type=int, help="Threads of each engine; all physical cores by default.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True,
              help="Where the bundles run; torch runs on the CPU.")  # fmt: skip
@click.option("--profile", type=click.Choice(["desktop", "throughput"]), default="desktop", show_default=True,
              help="desktop: idle threads sleep at once; throughput: they spin.")  # fmt: skip
@click.option("--rounds", type=click.IntRange(min=1), help="Alternating rounds; 5 by default.")
@click.option("--texts", "texts_per_round", type=click.IntRange(min=1),
              help="Texts per round, one at a time; 20 by default, 200 for classifiers.")  # fmt: skip
@click.option("--rate", type=float, metavar="TEXTS/S",
              help="Also time texts that arrive at random, this many a second, and wait for each other.")  # fmt: skip
@click.option("--lengths", type=Sizes(), default=(), metavar="N,…",
              help="Also time texts of exactly these numbers of tokens, such as 16,64,128,256.")  # fmt: skip
@click.option("--batch", "batches", type=Sizes(), default=(), metavar="N,…",
              help="Also time calls of these numbers of texts, such as 1,8,32.")  # fmt: skip
@split_option
@click.option("--min-speedup", type=float, metavar="RATIO",
              help="Exit with status 1 unless the bundle's p50 latency is this many times better.")  # fmt: skip
@click.option("--compare", type=click.Path(dir_okay=False, path_type=Path), metavar="REPORT.json",
              help="An earlier report, such as reports/bench.json, to compare the speed with.")  # fmt: skip
@click.option("--max-slowdown", type=Percentage(), metavar="PERCENT",
              help="With --compare: exit with status 1 if slower than before by more; 10% by default.")  # fmt: skip
@recipe_options
@json_option
def bench(folder: Path, flags: RecipeFlags, as_json: bool, **given: Any) -> None:
    """Time a bundle on texts of the recipe's data: latency, throughput, start-up, memory.

    Each engine runs in its own process, in alternating rounds. A ratio says how many times faster or smaller
    the bundle is than another engine. The report on a model folder is written to reports/bench.json and
    reports/report.html. A bundle on its own is timed on --data, or without --data on its golden inputs.

    \b
    ftool bench models/intents
    ftool bench models/intents --lengths 16,64,128,256 --batch 1,8,32
    ftool bench sst2 --checkpoint checkpoints/sst2
    """
    from ftool.workspace import ModelFolder

    asked = BenchFlags(**given)
    earlier = _earlier(asked.compare, asked.max_slowdown)
    model = ModelFolder.around(folder)
    engines = _engines(folder, model, asked)
    row, texts, source = _texts(model, engines[0].folder, flags, asked.split)
    report = _timed(engines, row, texts, source, asked)
    try:
        report = replace(report, compared=_changes(report, earlier, asked.max_slowdown))
    finally:  # what was timed is kept even if it can't be compared
        page = _write(report, model, asked.report_file)
    data = report.to_json()
    echo_report(lambda: data, lambda: _report_text(data, page), as_json=as_json)
    if problems := _problems(data, asked.min_speedup):
        click.echo("\n".join(problems), err=True)
        raise SystemExit(1)


def _engines(folder: Path, model: "ModelFolder | None", asked: BenchFlags) -> "list[Engine]":
    """Return the bundle and what it is compared with, as engines."""
    from ftool.bench.run import Placement, engines_of

    bundle, checkpoint = folder if model is None else model.require_bundle(), asked.checkpoint
    compared = asked.against or (("torch",) if model or checkpoint else ())
    if "torch" in compared and model is not None:
        checkpoint = checkpoint or model.require_origin()
    placement = Placement(threads=asked.threads, device=asked.device, profile=asked.profile)
    return engines_of(bundle, checkpoint, [other for other in compared if other != "none"], placement)


def _timed(
    engines: "Sequence[Engine]", row: "Task", texts: "Sequence[Text]", source: str, asked: BenchFlags
) -> "BenchReport":
    """Time the engines with the task's default settings and those that were given."""
    from ftool.bench.measure import settings_for
    from ftool.bench.run import bench as run_bench

    names = ("rounds", "texts_per_round", "rate", "lengths", "batches")
    given = {name: getattr(asked, name) for name in names if getattr(asked, name) is not None}
    return run_bench(engines, texts, replace(settings_for(row), **given), task=row.name, split=source)


def _earlier(compare: Path | None, max_slowdown: float | None) -> dict[str, Any] | None:
    """Return the earlier report, read before anything is timed; None if there is none."""
    if compare is None:
        if max_slowdown is not None:
            raise click.UsageError("--max-slowdown needs --compare, the earlier report")
        return None
    from ftool.bench.slowdown import read_report

    return read_report(compare)


def _changes(
    report: "BenchReport", earlier: dict[str, Any] | None, limit: float | None
) -> list[dict[str, Any]] | None:
    """Return the changes since the earlier report as JSON; None without an earlier one."""
    if earlier is None:
        return None
    from ftool.bench.slowdown import slowdowns

    return [one.to_json(SLOWER if limit is None else limit) for one in slowdowns(earlier, report.to_json())]


def _write(report: "BenchReport", model: "ModelFolder | None", page: Path | None) -> Path | None:
    """Write the report into the model folder, and as HTML to `page` or there; return the path of the HTML file."""
    from ftool.bench.html_report import write_html
    from ftool.bench.run import write_json

    if model is not None:
        write_json(report.to_json(), model.reports / "bench.json")
        page = page or model.reports / "report.html"
    if page is not None:
        write_html(report, page)
    return page


def _problems(data: Mapping[str, Any], min_speedup: float | None) -> list[str]:
    """Return a line for each limit that the bundle misses."""
    slow = [n for n, ratio in data["ratios"].items() if min_speedup and ratio["latency_p50"] < min_speedup]
    lines = [f"slower than --min-speedup {min_speedup} against {', '.join(slow)}"] if slow else []
    return [*lines, *(one["sentence"] for one in data.get("compared", ()) if not one["passed"])]


def _texts(
    model: "ModelFolder | None", bundle: Path, flags: RecipeFlags, split: str
) -> "tuple[Task, list[Text], str]":
    """Return the bundle's row of the task table, the texts to time the bundle on, and the name of their split."""
    from ftool.bench.run import golden_texts, texts_to_time
    from ftool.recipe.recipe import Recipe
    from ftool.tasks.registry import find_task
    from ftool_runtime.bundle.manifest import Manifest

    if model is not None:
        recipe = recipe_for(model.path, flags)
    elif flags.data.path is not None:
        recipe = Recipe(task=Manifest.read(bundle).task, data=flags.data.apply(None))
    else:
        return find_task(Manifest.read(bundle).task), golden_texts(bundle), "golden"
    return recipe.row, texts_to_time(recipe, split, bundle), split


def _report_text(data: dict[str, Any], page: Path | None) -> str:
    from ftool.bench.report import sentences, table
    from ftool.bench.scale import scale_tables
    from ftool.terminal import format_table

    tables = [format_table(one) + "\n" for one in (table(data), *scale_tables(data))]
    return "\n".join([*tables, *sentences(data), *([f"report: {page}"] if page else [])])
