"""Teach a bundle labels that its training left out, one example at a time, and measure what it learns and forgets.

python -m benchmarks.teaching BUNDLE --data FOLDER [--orders 5]

FOLDER holds train.csv and test.csv with the columns text and category, of all labels. The bundle was exported with
`--teachable` from a model that was trained without some of the labels (`--leave-out 10` writes such a data set).
"""

import argparse
import csv
import random
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean, median

import numpy as np

import ftool_runtime as ft

ROUNDS = (1, 2, 5, 10)  # examples of each new label after which accuracy is measured
SEED = 7
Rows = Sequence[tuple[str, str]]  # texts and labels


def read(path: Path) -> Rows:
    """Return the texts and labels of a file."""
    with path.open(encoding="utf-8", newline="") as file:
        return [(row["text"], row["category"]) for row in csv.DictReader(file)]


def leave_out(data: Path, count: int, output: Path) -> None:
    """Write a copy of a data set without `count` of its labels, chosen at random."""
    labels = sorted({label for _, label in read(data / "train.csv")})
    left = set(random.Random(SEED).sample(labels, count))
    output.mkdir(parents=True, exist_ok=True)
    for name in ("train.csv", "test.csv"):
        with (output / name).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("text", "category"))
            writer.writerows(row for row in read(data / name) if row[1] not in left)
    print(f"{output}: without {', '.join(sorted(left))}")


def lessons(new: Rows, order: int) -> Iterator[tuple[int, Rows]]:
    """Yield the rounds of lessons, each with one text of each new label, and the round's number."""
    chance = random.Random(order)
    by_label = defaultdict(list)
    for text, label in new:
        by_label[label].append(text)
    texts = {label: chance.sample(found, max(ROUNDS)) for label, found in sorted(by_label.items())}
    for number in range(max(ROUNDS)):
        labels = chance.sample(sorted(texts), len(texts))
        yield number + 1, [(texts[label][number], label) for label in labels]


def accuracy(model: ft.TextClassifier, rows: Rows) -> float:
    """Return the share of rows that get their label."""
    answers = model([text for text, _ in rows])
    return mean(answer.label == label for answer, (_, label) in zip(answers, rows, strict=True))


def teach(
    bundle: Path, data: Path, order: int
) -> tuple[Mapping[int, tuple[float, float]], list[float], int, float]:
    """Teach one model; return accuracies on old and new labels by round, times in ms, refusals, and the loss's rise."""
    train, test = read(data / "train.csv"), read(data / "test.csv")
    with ft.TextClassifier.load(bundle, threads=1) as model:
        known = set(model.labels)
        old, new = [[row for row in test if (row[1] in known) is kept] for kept in (True, False)]
        found, times, refused = {0: (accuracy(model, old), 0.0)}, [], 0
        for number, texts in lessons([row for row in train if row[1] not in known], order):
            for text, label in texts:
                start = time.perf_counter()
                try:
                    model.teach(text, label)
                except ft.LessonError:
                    refused += 1
                times.append(1000 * (time.perf_counter() - start))
            if number in ROUNDS:
                found[number] = accuracy(model, old), accuracy(model, new)
        return found, times, refused, model.lessons[-1].loss_rise


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path, help="the bundle, or with --leave-out the folder to write")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--orders", type=int, default=5, help="orders of lessons, each with other texts")
    parser.add_argument(
        "--leave-out", type=int, metavar="N", help="write --data without N labels into the folder"
    )
    chosen = parser.parse_args()
    if chosen.leave_out:
        leave_out(chosen.data, chosen.leave_out, chosen.bundle)
        return
    runs = [teach(chosen.bundle, chosen.data, order) for order in range(chosen.orders)]
    print("| examples of each new label | accuracy on old labels | accuracy on new labels |\n|---|---|---|")
    for number in (0, *ROUNDS):
        old, new = (np.array([run[0][number][place] for run in runs]) for place in (0, 1))
        print(
            f"| {number} | {old.mean():.4f} ({old.min():.4f} to {old.max():.4f}) | {new.mean():.4f} ({new.min():.4f} to {new.max():.4f}) |"
        )
    times = [one for run in runs for one in run[1]]
    print(
        f"\n{len(times)} lessons: median {median(times):.1f} ms, 99% below {np.quantile(times, 0.99):.1f} ms; "
        f"{sum(run[2] for run in runs)} refused; the replay's loss rose by {mean(run[3] for run in runs):.4f}"
    )


if __name__ == "__main__":
    main()
