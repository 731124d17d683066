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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean, median

import numpy as np
from sklearn.linear_model import LogisticRegression

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


@dataclass
class Run:
    """What one order of lessons gave; accuracies are of old and new labels, by the examples of each new label."""

    taught: dict[int, tuple[float, float]]
    retrained: dict[int, tuple[float, float]]
    times: list[float]  # of lessons, in milliseconds
    seconds: float = 0.0  # of the processor, for all lessons
    refused: int = 0
    loss_rise: float = 0.0


def run(bundle: Path, data: Path, order: int) -> Run:
    """Teach one model, and retrain its head from all examples for comparison."""
    train, test = read(data / "train.csv"), read(data / "test.csv")
    with ft.TextClassifier.load(bundle, threads=1) as model:
        known = set(model.labels)
        old, new = ([row for row in test if (row[1] in known) is kept] for kept in (True, False))
        seen = [row for row in train if row[1] in known]
        features = partial(features_of, model, len(known))
        tests = features(old), features(new)
        found, before = Run({0: (accuracy(model, old), accuracy(model, new))}, {}, []), features(seen)
        for number, texts in lessons([row for row in train if row[1] not in known], order):
            for text, label in texts:
                start, busy = time.perf_counter(), time.process_time()
                try:
                    model.teach(text, label)
                except ft.LessonError:
                    found.refused += 1
                found.times.append(1000 * (time.perf_counter() - start))
                found.seconds += time.process_time() - busy
            seen, before = [*seen, *texts], np.vstack([before, features(texts)])
            if number in ROUNDS:
                found.taught[number] = accuracy(model, old), accuracy(model, new)
                head = LogisticRegression(C=10, class_weight="balanced", max_iter=1000)
                head.fit(before, [label for _, label in seen])
                scores = (
                    head.score(each, [label for _, label in rows])
                    for each, rows in zip(tests, (old, new), strict=True)
                )
                found.retrained[number] = next(scores), next(scores)
        found.loss_rise = model.lessons[-1].loss_rise
        return found


def features_of(model: ft.TextClassifier, labels: int, rows: Rows) -> np.ndarray:
    """Return the bundle's features of texts, float32 (rows, features)."""
    return np.asarray(model.graph_outputs([text for text, _ in rows]))[:, labels:]


def table(runs: Sequence[Run]) -> Iterator[str]:
    """Yield the lines of a table in Markdown: means, with the lowest and highest order in brackets."""
    yield "| examples of each new label | taught: old labels | new labels | head retrained: old labels | new labels |"
    yield "|---|---|---|---|---|"
    for number in (0, *ROUNDS):
        cells = [str(number)]
        for results in ([run.taught for run in runs], [run.retrained for run in runs]):
            for place in (0, 1):
                found = [result[number][place] for result in results if number in result]
                cells.append(f"{mean(found):.4f} ({min(found):.4f} to {max(found):.4f})" if found else "")
        yield f"| {' | '.join(cells)} |"


def main() -> None:
    """Print a table, or write a data set without some labels."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path, help="the bundle, or with --leave-out the folder to write")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--orders", type=int, default=5, help="orders of lessons, each with other texts")
    parser.add_argument("--leave-out", type=int, metavar="N", help="write --data without N labels")
    chosen = parser.parse_args()
    if chosen.leave_out:
        leave_out(chosen.data, chosen.leave_out, chosen.bundle)
        return
    runs = [run(chosen.bundle, chosen.data, order) for order in range(chosen.orders)]
    print("\n".join(table(runs)))
    times = [one for each in runs for one in each.times]
    print(
        f"\n{len(times)} lessons: median {median(times):.1f} ms, 99% below {np.quantile(times, 0.99):.1f} ms, "
        f"{1000 * sum(each.seconds for each in runs) / len(times):.1f} ms of the processor's time; "
        f"{sum(each.refused for each in runs)} refused; the replay's loss rose by "
        f"{mean(each.loss_rise for each in runs):.4f}"
    )


if __name__ == "__main__":
    main()
