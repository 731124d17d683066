"""Measure "none of these" on clinc150: 150 intents, and texts that none of them fits (out of scope).

    python -m benchmarks.clinc150 [--work FOLDER] [--data FOLDER]

Each split of data_small.json becomes a file that holds the split's texts out of scope too, with the label `oos`.
"""

import argparse
import json
from pathlib import Path

from benchmarks.commands import DATA, ftool, write_result

SPLITS = {"train": "train", "val": "validation", "test": "test"}
METRICS = ("accuracy", "none_auroc", "accuracy_with_none", "accuracy_in_scope", "none_recall")


def convert(file: Path, folder: Path) -> None:
    """Write the splits of data_small.json as JSONL files of `text` and `label`."""
    splits = json.loads(file.read_text(encoding="utf-8"))
    folder.mkdir(parents=True, exist_ok=True)
    for name, written in SPLITS.items():
        rows = [{"text": text, "label": label} for text, label in splits[name] + splits[f"oos_{name}"]]
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{written}.jsonl").write_text(lines, encoding="utf-8")


def main() -> None:
    """Train a head, print the metrics of the test split, and write benchmarks/results/clinc150.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("models/clinc150"))
    parser.add_argument("--data", type=Path, default=DATA / "clinc150")
    options = parser.parse_args()
    convert(options.data / "data_small.json", options.work / "data")
    trained = ftool(
        "train", options.work / "model", "--base", "minilm", "--data", options.work / "data",
        "--set", "train.method=head", "--set", "data.none_label=oos",
    )  # fmt: skip
    print(f"none_below {trained['metrics']['none_below']:.4f}")
    for metric in METRICS:
        low, high = (trained["intervals"][metric][end] for end in ("low", "high"))
        print(f"{metric} {trained['metrics'][metric]:.4f} ({low:.4f} to {high:.4f})")
    write_result("clinc150", trained)


if __name__ == "__main__":
    main()
