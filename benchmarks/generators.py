"""Measure generators trained from scratch on public data: the run and its bundles, on the whole test split.

    python -m benchmarks.generators tatoeba scitldr gsm8k [--reuse] [--work FOLDER] [--set train.threads=1]

The recipes are in benchmarks/recipes. `--reuse` uses an existing run. The figures are low, as expected from training
that starts with random weights and has little data; the aim is to show that the bundles answer as the run does.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from benchmarks.commands import REPOSITORY, ftool, write_result
from ftool.machine import describe_machine
from ftool.terminal import format_table

RECIPES = REPOSITORY / "benchmarks" / "recipes"
PRECISIONS = ("fp32", "int8", "w8")
SHOWN = {
    "tatoeba": ("bleu", "chrf", "token_accuracy", "perplexity"),
    "scitldr": ("rouge1", "rouge2", "rougeL", "rougeLsum", "token_accuracy"),
    "gsm8k": ("token_accuracy", "perplexity", "answer_accuracy"),
}


def main() -> None:
    """Train unless `--reuse`, export in every precision, measure, and write benchmarks/results/NAME.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+", choices=SHOWN)
    parser.add_argument("--reuse", action="store_true", help="use the existing run")
    parser.add_argument("--work", type=Path, default=RECIPES, help="the folder of the model folders")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a training setting")
    options = parser.parse_args()
    for name in options.names:
        result = measure(name, options.work / name, options)
        write_result(name, {"machine": describe_machine(), **result})


def measure(name: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Train one model unless `--reuse` is given; measure the run, each bundle, and each bundle's parity."""
    if not options.reuse:
        ftool("train", folder, *(part for one in options.set for part in ("--set", one)))
    training = json.loads((folder / "run" / "metrics.json").read_text(encoding="utf-8"))["training"]
    result: dict[str, Any] = {"training": training, "run": ftool("evaluate", folder)}
    for precision in PRECISIONS:
        exported = ftool("export", folder, "--precision", precision, expect=(0, 1))
        if exported["bundle"] is None:
            result[precision] = {"export": exported}
            continue
        exported["bundle"] = f"{name}/bundle"  # without the path on this machine
        parity = ftool("parity", folder, expect=(0, 1))
        measured = ftool("evaluate", folder, "--on", "bundle")
        result[precision] = {"export": exported, "parity": parity, "test": measured}
    shutil.rmtree(folder / "bundle", ignore_errors=True)  # don't leave an arbitrary precision's bundle behind
    print(format_table(table(name, result)), flush=True)
    return result


def table(name: str, result: dict[str, Any]) -> list[list[str]]:
    """Return a table with a row for each figure, and a column for the run and for each of its bundles."""
    made = [precision for precision in PRECISIONS if "test" in result[precision]]
    columns = {"run": result["run"]["metrics"], **{p: result[p]["test"]["metrics"] for p in made}}
    rows = [[f"{name}, {result['run']['examples']} test examples", *columns]]
    rows += [
        [metric, *(f"{metrics[metric]:.4f}" for metrics in columns.values())]
        for metric in SHOWN[name]
        if all(metric in metrics for metrics in columns.values())
    ]
    parities = [result[precision]["parity"] for precision in made]
    rows += [
        ["same next tokens", "", *(f"{parity['agreement']:.4f}" for parity in parities)],
        ["same greedy answers", "", *(_share(parity["greedy"]) for parity in parities)],
        ["same with four beams", "", *(_share(parity["beams"]) for parity in parities)],
        ["parity", "", *("passed" if parity["passed"] else "FAILED" for parity in parities)],
        ["bundle (MB)", "", *(f"{result[precision]['export']['bytes'] / 1e6:.1f}" for precision in made)],
    ]
    return rows


def _share(same: dict[str, int]) -> str:
    ties = f" + {same['ties']} ties" if same["ties"] else ""
    return f"{same['same']}/{same['answers']}{ties}"


if __name__ == "__main__":
    main()
