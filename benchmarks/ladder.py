"""Measure what `ftool export --precision auto` chooses: its speed and size beside fp32, and its loss on the test split.

    python -m benchmarks.ladder [banking77 goemotions squad2 wnut17] [--folder banking77=FOLDER] [--max-drop 0.005]

A model is trained unless `--folder` names a trained model folder, which is then exported in place, or models/ladder has
one. The choice is made on validation. The test split, which no export reads, then tells how much the chosen bundle
loses, with the interval of the paired difference. The aim: at least 3 times as fast as the fp32 bundle, at most 24 MB,
and a loss on test whose interval reaches down to `--max-drop`.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import banking77
from benchmarks.commands import DATA, REPOSITORY, ftool, write_result
from ftool.evaluation.confidence_intervals import ConfidenceSettings, paired_difference
from ftool.evaluation.evaluate import evaluate
from ftool.machine import describe_machine
from ftool.recipe.recipe import Recipe
from ftool.terminal import format_table

RECIPES = REPOSITORY / "benchmarks" / "recipes"
FASTER, LARGEST_MB = 3.0, 24.0  # the aim
SHAPES = ("vocabulary=20000",)  # smaller models to choose from


def train_banking77(folder: Path, data: Path) -> None:
    """Fine-tune all weights on banking77."""
    banking77.train("full", folder, data / "banking77")


def train_goemotions(folder: Path, data: Path) -> None:
    """Train a head on goemotions with the settings that score best in benchmarks.goemotions."""
    place = data / "goemotions"
    ftool(
        "new", folder, "--task", "text-classification", "--base", "minilm", "--data", place,
        "--columns", "text,label,id", "--label-names", place / "labels.txt",
        "--set", "train.method=head", "--set", "train.thresholds=tuned",
    )  # fmt: skip
    ftool("train", folder)


def train_recipe(name: str, folder: Path, data: Path) -> None:
    """Train the recipe that benchmarks/recipes has for a data set."""
    recipe = Recipe.read(RECIPES / name / "recipe.toml")
    place = data / Path(recipe.data.path).name
    replace(recipe, data=replace(recipe.data, path=str(place))).write(folder / "recipe.toml")
    ftool("train", folder)


TRAININGS: dict[str, Callable[[Path, Path], None]] = {
    "banking77": train_banking77,
    "goemotions": train_goemotions,
    "squad2": partial(train_recipe, "squad2"),
    "wnut17": partial(train_recipe, "wnut17"),
}


def measure(folder: Path, flags: list[str | Path]) -> dict[str, Any]:
    """Export a trained model folder with `--precision auto` and `flags`, and measure the chosen bundle on test."""
    exported = ftool("export", folder, "--precision", "auto", *flags, expect=(0, 1))
    if exported["bundle"] is None:
        return {"export": exported}
    torch, bundle = (evaluate(folder, on=on, split="test") for on in ("run", "bundle"))
    metric = exported["ladder"]["metric"]
    both = [one.statistics_with(metric) for one in (torch, bundle)]
    assert both[0] is not None
    assert both[1] is not None
    drop = paired_difference(both[0], both[1], metric, ConfidenceSettings())
    return {
        "export": exported,
        "test": {
            "examples": torch.examples,
            "metric": metric,
            "torch": torch.metrics[metric],
            "bundle": bundle.metrics[metric],
            "drop": drop.to_json(),
        },
    }


def row(name: str, result: dict[str, Any], max_drop: float) -> list[str]:
    """Return a line of the table: the chosen rung with its figures, and whether it reaches the aim."""
    frontier = result["export"]["ladder"]
    if "test" not in result:
        return [name, f"none, nearest {frontier['nearest']}", *[""] * 6]
    chosen = next(one for one in frontier["candidates"] if one["name"] == frontier["chosen"])
    test, drop = result["test"], result["test"]["drop"]
    reached = {
        f"{FASTER:g} times": chosen["faster"] >= FASTER,
        f"{LARGEST_MB:g} MB": chosen["size_mb"] <= LARGEST_MB,
        "kept": drop["low"] <= max_drop,
    }
    missed = [what for what, holds in reached.items() if not holds]
    return [
        name,
        chosen["name"],
        f"{chosen['faster']:.2f}",
        f"{chosen['size_mb']:.1f}",
        f"{test['torch']:.4f}",
        f"{test['bundle']:.4f}",
        f"{drop['value']:+.4f} ({drop['low']:+.4f} to {drop['high']:+.4f})",
        f"missed: {', '.join(missed)}" if missed else "reached",
    ]


def main() -> None:
    """Train what is not trained, climb every ladder, and write benchmarks/results/ladder.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*TRAININGS, []], metavar="NAME", help="all by default")
    parser.add_argument("--work", type=Path, default=REPOSITORY / "models" / "ladder")
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of the data sets")
    parser.add_argument("--folder", action="append", default=[], metavar="NAME=FOLDER", help="a trained one")
    parser.add_argument("--max-drop", type=float, default=0.005)
    parser.add_argument("--max-size", type=float, default=LARGEST_MB)
    parser.add_argument("--shrink", action="append", default=None, help="as for ftool export")
    parser.add_argument("--candidate", action="append", default=[], help="as for ftool export")
    options = parser.parse_args()
    shapes = list(SHAPES) if options.shrink is None else [shape for shape in options.shrink if shape]
    flags: list[str | Path] = ["--max-drop", str(options.max_drop), "--max-size", str(options.max_size)]
    flags += [part for shape in shapes for part in ("--shrink", shape)]
    flags += [part for place in options.candidate for part in ("--candidate", place)]
    named = {name: Path(place) for name, _, place in (one.partition("=") for one in options.folder)}
    results: dict[str, Any] = {"machine": describe_machine(), "max_drop": options.max_drop}
    head = ["", "chosen", "x fp32", "MB", "torch, test", "bundle, test", "loss on test (95%)", "aim"]
    rows = [head]
    for name in options.names or TRAININGS:
        folder = named.get(name, options.work / name)
        if not (folder / "run").is_dir():
            TRAININGS[name](folder, options.data)
        results[name] = measure(folder, flags)
        rows.append(row(name, results[name], options.max_drop))
        print(format_table(rows), flush=True)
    write_result("ladder", results)


if __name__ == "__main__":
    main()
