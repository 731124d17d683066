"""Measure macro-F1 on goemotions (28 imbalanced labels, several per text) with and without class weights.

The training method is "head".

python -m benchmarks.goemotions [--work FOLDER] [--data FOLDER]
"""

import argparse
from pathlib import Path

from benchmarks.commands import DATA, ftool, write_result


def main() -> None:
    """Train with and without class weights, and write benchmarks/results/goemotions.json."""
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
    for weights in ("none", "balanced"):
        trained = ftool("train", options.work, "--set", f"train.class_weights={weights}")
        results[weights] = {"train": trained, "test": ftool("evaluate", options.work)}
    for weights, result in results.items():
        metrics = result["test"]["metrics"]
        print(f"class weights {weights:9s} f1_macro {metrics['f1_macro']:.4f}")
    write_result("goemotions", results)


if __name__ == "__main__":
    main()
