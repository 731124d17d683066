"""`ftool bench`: time the bundle against torch."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ftool.cli.flags import RecipeFlags, recipe_for
from ftool.cli.options import echo_report, folder_argument, json_option, recipe_options, split_option

if TYPE_CHECKING:
    from ftool.bench.measure import BenchSettings
    from ftool.tasks.base import Task


@click.command()
@folder_argument
@click.option(
    "--against",
    multiple=True,
    default=("torch",),
    show_default=True,
    metavar="torch|BUNDLE|none",
    help="What to compare the bundle with; can be repeated.",
)
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
@split_option
@click.option("--min-speedup", type=float, metavar="RATIO",
              help="Exit with status 1 unless the bundle's p50 latency is this many times better.")  # fmt: skip
@recipe_options
@json_option
def bench(
    folder: Path,
    against: tuple[str, ...],
    report_file: Path | None,
    threads: int | None,
    device: str,
    profile: str,
    rounds: int | None,
    texts_per_round: int | None,
    split: str,
    min_speedup: float | None,
    flags: RecipeFlags,
    as_json: bool,
) -> None:
    """Time FOLDER's bundle on texts of the recipe's data: latency, throughput, start-up, memory.

    Each engine runs in its own process, in alternating rounds. A ratio says how many times faster or smaller
    the bundle is than another engine. The report is written to reports/bench.json and reports/report.html.
    """
    from ftool.bench.html_report import write_html
    from ftool.bench.run import Placement, engines_of, texts_to_time, write_json
    from ftool.bench.run import bench as run_bench
    from ftool.workspace import ModelFolder

    model = ModelFolder(folder)
    placement = Placement(threads=threads, device=device, profile=profile)
    engines = engines_of(model, [other for other in against if other != "none"], placement)
    recipe = recipe_for(folder, flags)
    report = run_bench(
        engines,
        texts_to_time(recipe, split, model.bundle),
        _settings(recipe.row, rounds=rounds, texts_per_round=texts_per_round),
        task=recipe.task,
        split=split,
    )
    data = report.to_json()
    write_json(data, model.reports / "bench.json")
    page = report_file or model.reports / "report.html"
    write_html(report, page)
    slow = [n for n, ratio in data["ratios"].items() if min_speedup and ratio["latency_p50"] < min_speedup]
    echo_report(lambda: data, lambda: _report_text(data, page), as_json=as_json)
    if slow:
        click.echo(f"slower than --min-speedup {min_speedup} against {', '.join(slow)}", err=True)
        raise SystemExit(1)


def _settings(task: "Task", **given: int | None) -> "BenchSettings":
    """Return the task's default benchmark settings, with the values in `given` that are not None in their place."""
    from ftool.bench.measure import settings_for

    return replace(settings_for(task), **{name: value for name, value in given.items() if value is not None})


def _report_text(data: dict[str, Any], page: Path) -> str:
    from ftool.bench.report import sentences, table
    from ftool.terminal import format_table

    return "\n".join([format_table(table(data)), *sentences(data), f"report: {page}"])
