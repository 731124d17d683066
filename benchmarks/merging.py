"""Teach labels on several devices, average their heads in rounds, and measure what the average knows.

python -m benchmarks.merging BUNDLE --data FOLDER [--devices 8] [--orders 3]

FOLDER and BUNDLE are those of `benchmarks.teaching`: the bundle's training left out some of the data's labels. Each
label is taught on `--copies` devices, by other texts on each. In a round every device adopts the average, learns its
own lessons again on it, and shares its head. What a head tells of a lesson's text is measured too.
"""

import argparse
import random
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

import numpy as np
from numpy.typing import NDArray

import ftool_runtime as ft
from benchmarks.teaching import Rows, features_of, read
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.teaching.merge import merge_files
from ftool_runtime.teaching.taught_head import TaughtHead
from ftool_runtime.teaching.teacher import Teacher

ROUNDS = 3


@dataclass
class Found:
    """What one order gave; accuracies are of old and new labels.

    Attributes:
        alone: of the devices by themselves, before any average: means.
        rounds: of the average after each round.
        together: of one device that was taught all lessons.
        loss_rise: of the last average, on the replay.
        dropped: lessons that could not be learnt again, of all rounds.
        bytes_shared: of a device's head: the mean.
    """

    alone: tuple[float, float] = (0.0, 0.0)
    rounds: list[tuple[float, float]] = field(default_factory=list)
    together: tuple[float, float] = (0.0, 0.0)
    loss_rise: float = 0.0
    dropped: int = 0
    bytes_shared: float = 0.0


def lessons_of(new: Rows, devices: int, copies: int, each: int, order: int) -> list[list[tuple[str, str]]]:
    """Return each device's lessons: `each` texts of its labels; a label is taught on `copies` devices."""
    chance = random.Random(order)
    by_label = defaultdict(list)
    for text, label in new:
        by_label[label].append(text)
    found: list[list[tuple[str, str]]] = [[] for _ in range(devices)]
    for place, (label, texts) in enumerate(sorted(by_label.items())):
        chosen = chance.sample(texts, each * copies)
        for copy in range(copies):
            part = chosen[copy * each : (copy + 1) * each]
            found[(place + copy * (devices // copies)) % devices] += [(text, label) for text in part]
    for lessons in found:
        chance.shuffle(lessons)
    return found


class Tests:
    """The data's test texts with the graph's outputs for them, on which heads are judged."""

    def __init__(self, bundle: Path, rows: Rows) -> None:
        """Run the graph of `bundle` on the texts of `rows`."""
        manifest = Manifest.read(bundle)
        self._teacher = Teacher(manifest, (bundle / "replay.bin").read_bytes())
        with ft.TextClassifier.load(bundle, threads=1) as model:
            self._outputs = np.asarray(model.graph_outputs([text for text, _ in rows]))
        self._labels = [label for _, label in rows]
        self._old = np.array([label in manifest.labels for label in self._labels])

    def accuracies(self, taught: TaughtHead) -> tuple[float, float]:
        """Return the accuracy on old and on new labels of a model that begins with the head `taught`."""
        teacher = self._teacher.on(taught)
        head = teacher.head(teacher.none())
        best = head.logits(self._outputs).argmax(axis=1)
        right = np.array(
            [head.labels[place] == label for place, label in zip(best, self._labels, strict=True)]
        )
        return float(right[self._old].mean()), float(right[~self._old].mean())


def run(bundle: Path, new: Rows, tests: Tests, devices: int, copies: int, each: int, order: int) -> Found:
    """Teach devices, average their heads in rounds, and teach one device all lessons for comparison."""
    found = Found()
    lessons = lessons_of(new, devices, copies, each, order)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        whole, *models = (
            stack.enter_context(ft.TextClassifier.load(bundle, threads=1)) for _ in range(devices + 1)
        )
        _teach(whole, [lesson for one in lessons for lesson in one])
        found.together = tests.accuracies(whole.share_head(Path(folder) / "whole.head"))
        for model, given in zip(models, lessons, strict=True):
            _teach(model, given)
        base = None
        for number in range(ROUNDS):
            files = [Path(folder) / f"{number}.{place}.head" for place in range(devices)]
            heads = [model.share_head(file) for model, file in zip(models, files, strict=True)]
            if base is None:
                alone = [tests.accuracies(head) for head in heads]
                found.alone = mean(old for old, _ in alone), mean(new for _, new in alone)
                found.bytes_shared = mean(file.stat().st_size for file in files)
            merged = merge_files(bundle, files, base)
            base = Path(folder) / f"{number}.head"
            merged.head.write(base)
            found.loss_rise = merged.loss_rise
            found.rounds.append(tests.accuracies(merged.head))
            found.dropped += sum(len(model.adopt_head(base)) for model in models)
    return found


def _teach(model: ft.TextClassifier, lessons: Rows) -> None:
    for text, label in lessons:
        with suppress(ft.InputError, ft.LessonError):  # a text as another one, or that would forget too much
            model.teach(text, label)


class Adversary:
    """Somebody who has a bundle, a device's head, and texts that may be those it was taught."""

    def __init__(self, bundle: Path, texts: Rows) -> None:
        """Take the features of `texts`."""
        self._bundle, self._texts = bundle, texts
        self._labels = len(Manifest.read(bundle).labels)
        with ft.TextClassifier.load(bundle, threads=1) as model:
            self._features = features_of(model, self._labels, texts)

    def ranks(self, new: Rows, each: int) -> list[int]:
        """Return, for labels of which a device had `each` lessons, the best rank of their texts; 1 is the first.

        Texts are ranked by the cosine of their features and the label's row.
        """
        place = {text: number for number, (text, _) in enumerate(self._texts)}
        found = []
        with (
            ft.TextClassifier.load(self._bundle, threads=1) as model,
            tempfile.TemporaryDirectory() as folder,
        ):
            for lessons in lessons_of(new, 8, 1, each, 0):
                label = lessons[0][1]
                taught = [text for text, name in lessons if name == label]
                _teach(model, [(text, label) for text in taught])
                row = model.share_head(Path(folder) / "one.head").rows[0, :-1]
                found.append(min(_rank(row, self._features, place[text]) for text in taught))
                model.reset()
        return found


def _rank(row: NDArray[np.float64], candidates: NDArray[np.float32], truth: int) -> int:
    scores = candidates @ row / np.linalg.norm(candidates, axis=1)
    return int((scores > scores[truth]).sum()) + 1


def table(results: Sequence[tuple[str, Sequence[Found]]]) -> Iterator[str]:
    """Yield the lines of a table in Markdown: means over the orders; old labels, then new ones."""
    yield (
        "| lessons | a device alone | "
        + " | ".join(f"average, round {number + 1}" for number in range(ROUNDS))
        + " | one device, all lessons | loss rise | dropped |"
    )
    yield "|---|---|" + "---|" * (ROUNDS + 3)
    for name, found in results:
        cells = [_cell([one.alone for one in found])]
        cells += [_cell([one.rounds[number] for one in found]) for number in range(ROUNDS)]
        cells += [_cell([one.together for one in found]), f"{mean(one.loss_rise for one in found):.4f}"]
        yield f"| {name} | {' | '.join(cells)} | {sum(one.dropped for one in found)} |"


def _cell(pairs: Sequence[tuple[float, float]]) -> str:
    return f"{mean(old for old, _ in pairs):.4f}, {mean(new for _, new in pairs):.4f}"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--devices", type=int, default=8)
    parser.add_argument("--orders", type=int, default=3, help="orders of lessons, each with other texts")
    chosen = parser.parse_args()
    known = Manifest.read(chosen.bundle).labels
    tests = Tests(chosen.bundle, read(chosen.data / "test.csv"))
    new = [row for row in read(chosen.data / "train.csv") if row[1] not in known]
    results = []
    for copies, each in ((1, 1), (1, 5), (1, 10), (2, 5), (4, 5)):
        found = [
            run(chosen.bundle, new, tests, chosen.devices, copies, each, order)
            for order in range(chosen.orders)
        ]
        name = f"{each} of each label, on {copies} of {chosen.devices} devices"
        results.append((name, found))
        print(f"{name}: {mean(one.bytes_shared for one in found):,.0f} bytes a head", flush=True)
    print("\n" + "\n".join(table(results)) + "\n")
    adversary = Adversary(chosen.bundle, read(chosen.data / "train.csv"))
    for each in (1, 2, 5, 10):
        found = adversary.ranks(new, each)
        first = sum(rank == 1 for rank in found)
        print(
            f"{each} lessons of a label: a taught text ranks first for {first} of {len(found)} labels; ranks {found}"
        )


if __name__ == "__main__":
    main()
