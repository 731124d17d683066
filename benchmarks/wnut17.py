"""Measure named entity recognition in noisy user text: the run and its bundles, checked with seqeval.

    pip install setuptools-scm vcs-versioning && pip install --no-build-isolation seqeval==1.2.2
    python -m benchmarks.wnut17 [--reuse] [--work FOLDER] [--set train.threads=1]

The recipe is benchmarks/recipes/wnut17. The texts of the data set are split into words. Each bundle also runs on the
plain texts, as in an app, and then has to find the words itself.
"""

import argparse
import json
import math
from pathlib import Path
from typing import Any

import ftool_runtime as ft
from benchmarks.commands import REPOSITORY, ftool, write_result
from ftool.machine import describe_machine
from ftool.terminal import format_table

RECIPE = REPOSITORY / "benchmarks" / "recipes" / "wnut17"
PRECISIONS = ("fp32", "w8", "int8")  # the last one's bundle is kept
MAX_DIFFERENCE = 0.01  # of F1, between run and int8


def main() -> None:
    """Train unless `--reuse`, export in every precision, measure, and write benchmarks/results/wnut17.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reuse", action="store_true", help="use the existing run")
    parser.add_argument("--work", type=Path, default=RECIPE, help="the model folder")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a training setting")
    options = parser.parse_args()
    result: dict[str, Any] = {"machine": describe_machine()}
    if not options.reuse:
        changes = [part for one in options.set for part in ("--set", one)]
        result["train"] = ftool("train", options.work, *changes)
    result["run"] = measure(options.work, "run")
    for precision in PRECISIONS:
        exported = ftool("export", options.work, "--precision", precision, expect=(0, 1))
        result[precision] = {"export": exported}
        if exported["bundle"] is not None:
            result[precision]["parity"] = ftool("parity", options.work, expect=(0, 1))
            result[precision]["test"] = measure(options.work, "bundle")
            result[precision]["f1_of_plain_texts"] = plain_f1(options.work)
    print(format_table(table(result)), flush=True)
    write_result("wnut17", result)
    check(result)


def measure(work: Path, on: str) -> dict[str, Any]:
    """Return the metrics of the run or bundle (`on`) on the test split, and seqeval's F1 of the same predictions."""
    path = _written(work, on)
    path.parent.mkdir(exist_ok=True)
    from seqeval.metrics import f1_score

    report = ftool("evaluate", work, "--on", on, "--predictions", path)
    rows = _rows(path)
    figure = f1_score([row["tags"] for row in rows], [row["predicted"] for row in rows])
    return {**report, "f1_by_seqeval": float(figure)}


def plain_f1(work: Path) -> float:
    """Return the F1 of the entities that the bundle finds in plain texts, compared by character positions."""
    truth: set[tuple[int, int, int, str]] = set()
    texts = []
    for number, row in enumerate(_rows(_written(work, "bundle"))):
        texts.append(" ".join(row["tokens"]))
        truth |= {(number, *place) for place in _places(row["tokens"], row["tags"])}
    with ft.TokenTagger.load(work / "bundle", profile="throughput") as tagger:
        found = {
            (number, one.start, one.end, one.label)
            for number, entities in enumerate(tagger(texts))
            for one in entities
        }
    return 2 * len(truth & found) / (len(truth) + len(found))


def table(result: dict[str, Any]) -> list[list[str]]:
    """Return a table with a row for each figure, and a column for the run and for each of its bundles."""
    made = [precision for precision in PRECISIONS if "test" in result[precision]]
    columns = {"run": result["run"], **{precision: result[precision]["test"] for precision in made}}
    rows = [[f"wnut17, {result['run']['examples']} test texts", *columns]]
    rows += [
        [name, *(f"{one['metrics'][metric]:.4f}" for one in columns.values())]
        for metric, name in (("f1", "F1 of entities"), ("precision", "precision"), ("recall", "recall"))
    ]
    rows += [
        [f"F1, {kind}", *(f"{one['metrics']['per_class'][kind]['f1']:.4f}" for one in columns.values())]
        for kind in result["run"]["metrics"]["per_class"]
    ]
    rows.append(["F1 by seqeval, of the files", *(f"{one['f1_by_seqeval']:.4f}" for one in columns.values())])
    rows.append(["F1 of plain texts", "", *(f"{result[one]['f1_of_plain_texts']:.4f}" for one in made)])
    rows.append(["same answers as torch", "", *(f"{result[p]['parity']['agreement']:.4f}" for p in made)])
    rows.append(["bundle (MB)", "", *(f"{result[p]['export']['bytes'] / 1e6:.1f}" for p in made)])
    return rows


def check(result: dict[str, Any]) -> None:
    """Exit with an error if seqeval's F1 differs from ftool's, or int8's F1 differs too much from the run's."""
    measured = [result["run"], *(result[one]["test"] for one in PRECISIONS if "test" in result[one])]
    if not all(math.isclose(one["f1_by_seqeval"], one["metrics"]["f1"]) for one in measured):
        raise SystemExit("seqeval's F1 of the written predictions differs from ftool's")
    difference = abs(result["run"]["metrics"]["f1"] - result["int8"]["test"]["metrics"]["f1"])
    if difference > MAX_DIFFERENCE:
        raise SystemExit(
            f"F1 of run and int8 differ by {difference:.4f}; at most {MAX_DIFFERENCE} is allowed"
        )


def _written(work: Path, on: str) -> Path:
    return work / "reports" / f"predictions-{on}.jsonl"


def _rows(path: Path) -> list[dict[str, Any]]:
    lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")  # texts may contain other line ends
    return [json.loads(line) for line in lines]


def _places(tokens: list[str], tags: list[str]) -> list[tuple[int, int, str]]:
    """Return the entities of tagged words as (start, end, label), in characters of the words joined by spaces."""
    places: list[tuple[int, int, str]] = []
    start = 0
    for token, tag in zip(tokens, tags, strict=True):
        end = start + len(token)
        if tag.startswith("B-"):
            places.append((start, end, tag[2:]))
        elif tag.startswith("I-"):
            places[-1] = (places[-1][0], end, tag[2:])
        start = end + 1
    return places


if __name__ == "__main__":
    main()
