"""Measure a reader on SQuAD 2.0's development set: the run and its bundles, scored twice (see below).

    python -m benchmarks.squad2 [--reuse] [--work FOLDER] [--set train.threads=1]

Needs the data sets in ../shared/data. `--reuse` uses an existing run. The training set is small, 4,715 questions about
twelve articles, so the figures are far below those of readers trained on all of SQuAD. The aim is to show that the
bundles answer as the run does, and that ftool's metrics agree with an independent SQuAD scorer.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.commands import DATA, REPOSITORY, ftool, write_result
from ftool.machine import describe_machine
from ftool.terminal import format_table

FOLDER = REPOSITORY / "benchmarks" / "recipes" / "squad2"
PRECISIONS = ("fp32", "int8", "w8")
TIMED = ("int8",)
SHOWN = ("f1", "exact_match", "has_answer_f1", "no_answer_f1", "best_f1", "span_f1")
AGREEMENT = 0.01  # points between our figures and the second scorer's


def main() -> None:
    """Train unless `--reuse`, export in every precision, measure, and write benchmarks/results/squad2.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reuse", action="store_true", help="use the existing run")
    parser.add_argument("--work", type=Path, default=FOLDER, help="the model folder")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a training setting")
    options = parser.parse_args()
    folder = options.work
    result: dict[str, Any] = {"machine": describe_machine()}
    if not options.reuse:
        result["train"] = ftool("train", folder, *(part for one in options.set for part in ("--set", one)))
    result["run"], torch = evaluated(folder, "run")
    for precision in PRECISIONS:
        exported = ftool("export", folder, "--precision", precision, expect=(0, 1))
        if exported["bundle"] is None:
            result[precision] = {"export": exported}
            continue
        parity = ftool("parity", folder, expect=(0, 1))
        result[precision] = {"export": exported, "parity": parity}
        if precision in TIMED:
            result[precision]["bench"] = ftool("bench", folder, "--texts", 100)
        result[precision]["test"], found = evaluated(folder, "bundle")
        same = [one["best"] == two["best"] for one, two in zip(torch, found, strict=True)]
        result[precision]["same_best_spans"] = sum(same) / len(same)
    write_result("squad2", result)
    print(format_table(table(result)))


def evaluated(folder: Path, on: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Evaluate the run or the bundle (`on`) of a model folder; return the report and the predictions.

    The report is that of `ftool evaluate`, with the figures of the independent SQuAD scorer added. Exits with an error
    if the two scorers differ.
    """
    with tempfile.TemporaryDirectory() as place:
        predictions = Path(place) / "predictions.jsonl"
        report = ftool("evaluate", folder, "--on", on, "--predictions", predictions)
        scorer = REPOSITORY / "tests" / "helpers" / "squad2_scorer.py"
        data = DATA / "squad2_dev" / "test.json"
        command = [sys.executable, str(scorer), str(data), str(predictions)]
        second = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
        rows = [json.loads(line) for line in predictions.read_text(encoding="utf-8").splitlines()]
    apart = {name: abs(100 * report["metrics"][name] - value) for name, value in second.items()}
    if max(apart.values()) > AGREEMENT:
        sys.exit(f"the second scorer differs: {apart}")
    return {**report, "second_scorer": second, "points_apart": max(apart.values())}, rows


def table(result: dict[str, Any]) -> list[list[str]]:
    """Return a table with a row for each figure, and a column for the run and for each of its bundles."""
    made = [precision for precision in PRECISIONS if "test" in result[precision]]
    columns = {"run": result["run"], **{precision: result[precision]["test"] for precision in made}}
    rows = [[f"squad2_dev, {result['run']['examples']} test questions", *columns]]
    rows += [[name, *(f"{one['metrics'][name]:.4f}" for one in columns.values())] for name in SHOWN]
    rows.append(["second scorer, F1", *(f"{one['second_scorer']['f1']:.2f}" for one in columns.values())])
    made_of = [result[precision] for precision in made]
    rows += [
        ["same answers", "", *(f"{one['parity']['agreement']:.4f}" for one in made_of)],
        ["same best spans", "", *(f"{one['same_best_spans']:.4f}" for one in made_of)],
        ["parity", "", *("passed" if one["parity"]["passed"] else "FAILED" for one in made_of)],
        ["bundle (MB)", "", *(f"{one['export']['bytes'] / 1e6:.1f}" for one in made_of)],
        ["times faster, one question, p50", "", *(_ratio(one, "latency_p50") for one in made_of)],
        ["times faster, all in one call", "", *(_ratio(one, "throughput") for one in made_of)],
    ]
    return rows


def _ratio(one: dict[str, Any], name: str) -> str:
    return f"{one['bench']['ratios']['torch-fp32'][name]:.2f}" if "bench" in one else ""


if __name__ == "__main__":
    main()
