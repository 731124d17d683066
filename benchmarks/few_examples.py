"""Train classifiers from few examples a label by several methods, on several draws of the examples of banking77.

    python -m benchmarks.few_examples [--work FOLDER] [--data FOLDER] [--examples 8] [--seeds 5]
                                      [--methods head full setfit] [--threads 1] [--reuse]

The examples of a label are all that training gets: ftool cuts its validation split off them. Accuracy is that on the
whole test split.
"""

import argparse
import csv
import json
import random
import shutil
from collections import defaultdict
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.commands import DATA, ftool, write_result


def draw(data: Path, folder: Path, examples: int, seed: int) -> None:
    """Write a folder with `examples` training texts of each label, drawn with `seed`, and the whole test split."""
    by_label = defaultdict(list)
    with (data / "train.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            by_label[row["category"]].append(row["text"])
    generator = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "train.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "category"])
        for label in sorted(by_label):
            writer.writerows((text, label) for text in generator.sample(by_label[label], examples))
    shutil.copyfile(data / "test.csv", folder / "test.csv")


def train(folder: Path, data: Path, method: str, options: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Train a classifier by `method`, or reuse an earlier training; return the content of metrics.json."""
    metrics = folder / "run" / "metrics.json"
    if not (options.reuse and metrics.exists()):
        shutil.rmtree(folder, ignore_errors=True)
        ftool(
            "train", folder, "--task", "text-classification", "--base", "minilm", "--data", data,
            "--set", f"train.method={method}", "--set", f"train.seed={seed}",
            "--set", f"train.threads={options.threads}",
        )  # fmt: skip
    found: dict[str, Any] = json.loads(metrics.read_text(encoding="utf-8"))
    return found


def main() -> None:
    """Train by each method on each draw, print a table, and write benchmarks/results/few_examples.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("models/few_examples"))
    parser.add_argument("--data", type=Path, default=DATA / "banking77")
    parser.add_argument("--examples", type=int, default=8, help="examples a label")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--methods", nargs="+", default=["head", "full", "setfit"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--reuse", action="store_true", help="use existing trained models")
    options = parser.parse_args()
    results: dict[str, Any] = {method: [] for method in options.methods}
    for seed in range(options.seeds):
        data = options.work / f"data-{options.examples}-{seed}"
        draw(options.data, data, options.examples, seed)
        for method in options.methods:
            folder = options.work / f"{method}-{options.examples}-{seed}"
            trained = train(folder, data, method, options, seed)
            one = {
                "seed": seed,
                "accuracy": trained["metrics"]["accuracy"],
                "tfidf_linear": trained["baselines"]["models"]["tfidf_linear"]["value"],
                "kept": trained["training"]["kept"],
                "seconds": trained["training"]["seconds"],
            }
            print(f"{method}, draw {seed}: {one['accuracy']:.4f}, {one['seconds']:.0f} s", flush=True)
            results[method].append(one)
    for method, runs in results.items():
        found = [run["accuracy"] for run in runs]
        seconds = mean(run["seconds"] for run in runs)
        print(
            f"{method:7s} mean {mean(found):.4f} ({min(found):.4f} to {max(found):.4f}), {seconds:.0f} s a training"
        )
    write_result("few_examples", {"examples": options.examples, **results})


if __name__ == "__main__":
    main()
