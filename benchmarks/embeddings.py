"""Measure search for passages of privacy policies with minilm: unchanged, fine-tuned, and exported to bundles.

    python -m benchmarks.embeddings [--reuse] [--work FOLDER] [--set train.threads=1]

The recipe is benchmarks/recipes/policyqa_search. The test questions do not occur in the training data. The
searched passages are those of the test split; most of them occur in the training data with other questions.
"""

import argparse
from pathlib import Path
from typing import Any

from benchmarks.commands import REPOSITORY, ftool, write_result
from ftool.machine import describe_machine
from ftool.terminal import format_table

RECIPE = REPOSITORY / "benchmarks" / "recipes" / "policyqa_search"
PRECISIONS = ("fp32", "w8", "int8")  # the last one's bundle is kept
METRICS = ("recall_at_5", "hit_at_5", "mrr_at_10", "ndcg_at_10")


def main() -> None:
    """Train unless `--reuse`, export in every precision, measure, and write benchmarks/results/policyqa_search.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reuse", action="store_true", help="use the existing run")
    parser.add_argument("--work", type=Path, default=RECIPE, help="the model folder")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a training setting")
    options = parser.parse_args()
    result: dict[str, Any] = {"machine": describe_machine()}
    if not options.reuse:
        changes = [part for one in options.set for part in ("--set", one)]
        result["train"] = ftool("train", options.work, *changes)
    result["run"] = ftool("evaluate", options.work)
    for precision in PRECISIONS:
        exported = ftool("export", options.work, "--precision", precision, expect=(0, 1))
        result[precision] = {"export": exported}
        if exported["bundle"] is not None:
            result[precision]["parity"] = ftool("parity", options.work, expect=(0, 1))
            result[precision]["test"] = ftool("evaluate", options.work, "--on", "bundle")
    print(format_table(table(result)), flush=True)
    write_result("policyqa_search", result)


def table(result: dict[str, Any]) -> list[list[str]]:
    """Return a table with a row for each figure, and a column for the base model, the run and each of its bundles."""
    made = [precision for precision in PRECISIONS if "test" in result[precision]]
    columns: dict[str, Any] = {"run": result["run"]["metrics"]}
    if "train" in result:
        columns = {"base": result["train"]["training"]["before"]["test"], **columns}
    columns |= {precision: result[precision]["test"]["metrics"] for precision in made}
    asked = result["run"]["metrics"]
    rows = [[f"{asked['queries']} questions, {asked['passages']} passages", *columns]]
    rows += [[name, *(f"{one[name]:.4f}" for one in columns.values())] for name in METRICS]
    empty = [""] * (len(columns) - len(made))
    rows.append(
        ["same neighbours as torch", *empty, *(f"{result[p]['parity']['agreement']:.4f}" for p in made)]
    )
    rows.append(["bundle (MB)", *empty, *(f"{result[p]['export']['bytes'] / 1e6:.1f}" for p in made)])
    return rows


if __name__ == "__main__":
    main()
