"""Measure F1 on goemotions (28 imbalanced labels, several per text) with class weights, tuned thresholds, both or none.

The training method is "head".

python -m benchmarks.goemotions [--work FOLDER] [--data FOLDER]
"""

import argparse
from itertools import product
from pathlib import Path

from benchmarks.commands import DATA, ftool, write_result


def main() -> None:
    """Train with each combination of the settings, and write benchmarks/results/goemotions.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("models/goemotions"))
    parser.add_argument("--data", type=Path, default=DATA / "goemotions")
    options = parser.parse_args()
    if not (options.work / "recipe.toml").exists():
        ftool(
            "new", options.work, "--task", "text-classification", "--base", "minilm", "--data", options.data,
            "--columns", "text,label,id", "--label-names", options.data / "labels.txt",
            "--set", "train.method=head",
        )  # fmt: skip
    results = {}
    for weights, thresholds in product(("none", "balanced"), ("half", "tuned")):
        settings = (f"train.class_weights={weights}", f"train.thresholds={thresholds}")
        trained = ftool("train", options.work, *(part for one in settings for part in ("--set", one)))
        results[f"class weights {weights}, thresholds {thresholds}"] = trained
    for name, result in results.items():
        for metric in ("f1_macro", "f1_micro"):
            low, high = (result["intervals"][metric][end] for end in ("low", "high"))
            print(f"{name}: {metric} {result['metrics'][metric]:.4f} ({low:.4f} to {high:.4f})")
    write_result("goemotions", results)


if __name__ == "__main__":
    main()
