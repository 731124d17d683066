"""`ftool bench`: time the bundle against torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ftool.cli.next_steps import SAMPLE, command, next_step
from ftool.cli.options import (
    Number,
    Percentage,
    Sizes,
    bundle_argument,
    echo_report,
    json_option,
    recipe_options,
    split_option,
)
from ftool.recipe.flags import RecipeFlags, recipe_for
from ftool_runtime.text.printable import printable

if TYPE_CHECKING:
    from ftool.recipe.recipe import Recipe
    from ftool.workspace import ModelFolder


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
              help="The HTML report; reports/bench.html in the model folder by default.")  # fmt: skip
@click.option("--threads", type=int, help="Threads of each engine; all physical cores by default.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True,
              help="Where the bundles run; torch runs on the CPU.")  # fmt: skip
@click.option("--profile", type=click.Choice(["desktop", "throughput"]), default="desktop", show_default=True,
              help="desktop: idle threads sleep at once; throughput: they spin.")  # fmt: skip
@click.option("--rounds", type=click.IntRange(min=1), help="Alternating rounds; 5 by default.")
@click.option("--texts", "texts_per_round", type=click.IntRange(min=1),
              help="Texts per round, one at a time; 20 by default, 200 for classifiers.")  # fmt: skip
@click.option("--rate", type=Number(0.001, 1e6), metavar="TEXTS/S",
              help="Also time texts that arrive at random, this many a second, and wait for each other.")  # fmt: skip
@click.option("--lengths", type=Sizes(), default=(), metavar="N,…",
              help="Also time texts of exactly these numbers of tokens, such as 16,64,128,256.")  # fmt: skip
@click.option("--batch", "batches", type=Sizes(), default=(), metavar="N,…",
              help="Also time calls of these numbers of texts, such as 1,8,32.")  # fmt: skip
@split_option
@click.option("--min-speedup", type=Number(0, min_open=True), metavar="RATIO",
              help="Exit with status 1 unless the bundle's p50 latency is this many times better.")  # fmt: skip
@click.option("--compare", type=click.Path(dir_okay=False, path_type=Path), metavar="REPORT.json",
              help="An earlier report, such as reports/bench.json, to compare the speed with.")  # fmt: skip
@click.option("--max-slowdown", type=Percentage(), metavar="PERCENT",
              help="With --compare: exit with status 1 if slower than before by more; 10% by default.")  # fmt: skip
@recipe_options
@json_option
def bench(
    folder: Path,
    flags: RecipeFlags,
    against: tuple[str, ...],
    checkpoint: Path | None,
    report_file: Path | None,
    threads: int | None,
    device: str,
    profile: str,
    split: str,
    min_speedup: float | None,
    compare: Path | None,
    max_slowdown: float | None,
    as_json: bool,
    **sizes: Any,
) -> None:
    """Time a bundle on texts of the recipe's data: latency, throughput, start-up, memory.

    Each engine runs in its own process, in alternating rounds. A ratio says how many times faster or smaller
    the bundle is than another engine. The report on a model folder is written to reports/bench.json and
    reports/bench.html. A bundle on its own is timed on --data, or without --data on its golden inputs.

    \b
    ftool bench models/intents
    ftool bench models/intents --lengths 16,64,128,256 --batch 1,8,32
    ftool bench sst2 --checkpoint checkpoints/sst2
    """
    from ftool.bench.bench_bundle import SLOWER, BenchRequest, bench_bundle
    from ftool.bench.run import Placement
    from ftool.bench.slowdown import read_report
    from ftool.workspace import ModelFolder

    if max_slowdown is not None and compare is None:
        raise click.UsageError("--max-slowdown needs --compare, the earlier report")
    earlier = None if compare is None else read_report(compare)
    model = ModelFolder.around(folder)
    bundle = folder if model is None else model.require_bundle()
    asked = BenchRequest(
        bundle=bundle,
        model=model,
        recipe=_recipe(model, bundle, flags),
        split=split,
        against=against,
        checkpoint=checkpoint,
        placement=Placement(threads=threads, device=device, profile=profile),
        settings={name: value for name, value in sizes.items() if value is not None},
        earlier=earlier,
        max_slowdown=SLOWER if max_slowdown is None else max_slowdown,
        min_speedup=min_speedup,
        page=report_file,
    )
    report = bench_bundle(asked)
    data = report.to_json()
    echo_report(
        lambda: data,
        lambda: _report_text(data, asked.written_page),
        as_json=as_json,
        then=next_step(command("predict", folder, SAMPLE)),
    )
    if problems := _problems(data, min_speedup):
        click.echo(printable("\n".join(problems)), err=True)
        raise SystemExit(1)


def _recipe(model: "ModelFolder | None", bundle: Path, flags: RecipeFlags) -> "Recipe | None":
    """Return the recipe whose data has the texts to time; None for the bundle's golden inputs."""
    from ftool.recipe.recipe import Recipe
    from ftool_runtime.bundle.manifest import Manifest

    if model is not None:
        return recipe_for(model.path, flags)
    if flags.data.path is not None:
        return Recipe(task=Manifest.read(bundle).task, data=flags.data.apply(None))
    return None


def _problems(data: Mapping[str, Any], min_speedup: float | None) -> list[str]:
    """Return a line for each limit that the bundle misses."""
    slow = [n for n, ratio in data["ratios"].items() if min_speedup and ratio["latency_p50"] < min_speedup]
    lines = [f"slower than --min-speedup {min_speedup} against {', '.join(slow)}"] if slow else []
    return [*lines, *(one["sentence"] for one in data.get("compared", ()) if not one["passed"])]


def _report_text(data: dict[str, Any], page: Path | None) -> str:
    from ftool.bench.report import sentences, table
    from ftool.bench.scale import scale_tables
    from ftool.terminal import format_table

    tables = [format_table(one) + "\n" for one in (table(data), *scale_tables(data))]
    return "\n".join([*tables, *sentences(data), *([f"report: {page}"] if page else [])])
