"""Time a model with fewer and fewer of its layers, and fit what a layer costs at each length.

    python -m benchmarks.layer_costs MODEL [--work FOLDER] [--layers 1 2 4] [--lengths 16 64 128] [--precision int8]

MODEL is a trained model folder. Its layers are dropped without training, because a layer's time and memory don't depend
on what the model has learnt. All bundles take turns in one run. For each
length, the latency is fitted as a + b·n of the number of layers n, and so are the size of the files and the peak memory
at the greatest length; each number of layers is also predicted by a fit of the others. Results are written to
benchmarks/results/layer_costs.json.
"""

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.commands import ftool, write_result
from ftool.bench.fits import CostFit, fit_cost
from ftool.bench.measure import settings_for
from ftool.bench.run import Placement, bench, bundle_engine, texts_to_time
from ftool.recipe.recipe import Recipe
from ftool.shrink import BASE, shrink
from ftool.terminal import format_table
from ftool.workspace import ModelFolder
from ftool_export.shrinking.layers import stacks_of


def main() -> None:
    """Make the bundles unless they exist, time them, and print and write the fits."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--work", type=Path, default=Path("models/layer_costs"))
    parser.add_argument("--layers", type=int, nargs="+", default=[1, 2, 4], help="beside all of the model's")
    parser.add_argument("--lengths", type=int, nargs="+", default=[16, 64, 128])
    parser.add_argument("--precision", default="int8")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    recipe = Recipe.read(ModelFolder(options.model).recipe)
    every = len(stacks_of(recipe.row.load(ModelFolder(options.model).run).pretrained)[0].layers)
    counts = sorted({*options.layers, every})
    if len(counts) < 3:
        parser.error("--layers must give at least 3 numbers with all of the model's, to check a fit on each")
    bundles = {n: make_bundle(options, n, recipe.task, every) for n in counts}
    placement = Placement(threads=options.threads)
    engines = [dataclasses.replace(bundle_engine(bundles[n], placement), name=f"{n} layers") for n in counts]
    settings = dataclasses.replace(
        settings_for(recipe.row), lengths=tuple(sorted(set(options.lengths))), cold_starts=1
    )
    texts = texts_to_time(recipe, "test", bundles[every])
    report = bench(engines, texts, settings, task=recipe.task, split="test").to_json()
    fits = costs_of(report, counts)
    print(format_table(table(fits)))
    write_result(
        "layer_costs",
        {**report, "fits": {name: fit.to_json() for name, fit in fits.items()}},
    )


def make_bundle(options: argparse.Namespace, layers: int, task: str, every: int) -> Path:
    """Return the bundle of the model with `layers` of its layers; export it unless it exists."""
    folder: Path = options.work / f"{options.precision}-{layers}"
    bundle = folder / "bundle"
    if not bundle.exists():
        checkpoint = options.model / "run"
        if layers < every:
            if not (folder / BASE).exists():
                shrink(options.model, folder, layers=layers, untrained=True)
            checkpoint = folder / BASE
        flags = ("--task", task, "--precision", options.precision, "--max-drop", "1")
        ftool("export", "--checkpoint", checkpoint, "-o", bundle, *flags)
    return bundle


def costs_of(report: Mapping[str, Any], counts: Sequence[int]) -> dict[str, CostFit]:
    """Return the fits, by what is fitted, of a report whose engines have `counts` layers."""
    engines = list(report["engines"].values())
    costs = {
        f"p50 at {point['tokens']} tokens (ms)": [engine["lengths"][place]["p50_ms"] for engine in engines]
        for place, point in enumerate(engines[0]["lengths"])
    }
    costs["peak memory (MB)"] = [engine["lengths"][-1]["peak_memory_mb"] for engine in engines]
    costs["size (MB)"] = [engine["size_mb"] for engine in engines]
    return {name: fit_cost(counts, values, 1) for name, values in costs.items()}


def table(fits: Mapping[str, CostFit]) -> list[list[str]]:
    """Return the fits as rows of text: without layers, for each layer, and the error of each number left out."""
    counts = [f"{one.size} left out" for one in next(iter(fits.values())).left_out]
    rows = [["layers", "without layers", "a layer", *counts]]
    for name, fit in fits.items():
        errors = (f"{one.error:+.1%}" for one in fit.left_out)
        rows.append([name, *(f"{value:.3g}" for value in fit.coefficients), *errors])
    return rows


if __name__ == "__main__":
    main()
