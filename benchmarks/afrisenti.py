"""Measure sentiment classification in Swahili, a low-resource language: the run and its bundles, also by slice.

    python -m benchmarks.afrisenti [--reuse] [--work FOLDER] [--set train.threads=1]

The recipe is benchmarks/recipes/afrisenti_swa. The data set has no metadata on the tweets, so the slices are made
by properties of a tweet's text: the length, and whether there are English words.
"""

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.commands import REPOSITORY, ftool, write_result
from ftool.machine import describe_machine
from ftool.recipe.recipe import Recipe
from ftool.terminal import format_table

RECIPE = REPOSITORY / "benchmarks" / "recipes" / "afrisenti_swa"
PRECISIONS = ("fp32", "w8", "int8")  # the last one's bundle is kept
SLICES = ("length", "english", "label")
# Frequent English words that are not Swahili words.
ENGLISH = {
    "the", "is", "and", "you", "of", "for", "it", "not", "this", "are", "with", "my", "your", "have", "but", "they",
    "just", "love", "good", "like", "what", "be", "was", "that", "will", "can", "please", "thanks", "thank", "new",
}  # fmt: skip


def main() -> None:
    """Train unless `--reuse`, export in every precision, measure, and write benchmarks/results/afrisenti_swa.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reuse", action="store_true", help="use the existing run")
    parser.add_argument("--work", type=Path, default=RECIPE, help="the model folder")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a training setting")
    options = parser.parse_args()
    result: dict[str, Any] = {"machine": describe_machine()}
    if not options.reuse:
        changes = [part for one in options.set for part in ("--set", one)]
        result["train"] = ftool("train", options.work, *changes)
    sliced = options.work / "test_sliced.tsv"
    write_slices(Path(Recipe.read(options.work / "recipe.toml").data.path) / "test.tsv", sliced)
    by = ["--data", sliced, *(part for name in SLICES for part in ("--by", name))]
    result["run"] = ftool("evaluate", options.work, *by)
    for precision in PRECISIONS:
        exported = ftool("export", options.work, "--precision", precision, expect=(0, 1))
        result[precision] = {"export": exported}
        if exported["bundle"] is not None:
            result[precision]["parity"] = ftool("parity", options.work, expect=(0, 1))
            result[precision]["test"] = ftool("evaluate", options.work, "--on", "bundle", *by)
    print(format_table(table(result)), flush=True)
    write_result("afrisenti_swa", result)


def write_slices(source: Path, target: Path) -> None:
    """Write the tweets of `source` to `target`, with the columns length and english added for `ftool evaluate --by`."""
    with target.open("w", encoding="utf-8") as file:
        file.write("tweet\tlabel\tlength\tenglish\n")
        file.writelines(
            f"{tweet}\t{label}\t{_length(tweet)}\t{_english(tweet)}\n" for tweet, label in _rows(source)
        )


def table(result: dict[str, Any]) -> list[list[str]]:
    """Return a table with a row for each figure and slice, and a column for the run and for each of its bundles."""
    made = [precision for precision in PRECISIONS if "test" in result[precision]]
    columns = {"run": result["run"], **{precision: result[precision]["test"] for precision in made}}
    rows = [[f"afrisenti_swa, {result['run']['examples']} test tweets", *columns]]
    rows += [
        [metric, *(f"{one['metrics'][metric]:.4f}" for one in columns.values())]
        for metric in ("accuracy", "f1_macro", "f1_weighted")
    ]
    for name in SLICES:
        for place in result["run"]["slices"][name]["slices"]:
            rows.append([f"accuracy, {name} {place['value']} ({place['examples']})"])
            rows[-1] += [_interval(one, name, place["value"]) for one in columns.values()]
    rows.append(["same answers as torch", "", *(f"{result[p]['parity']['agreement']:.4f}" for p in made)])
    rows.append(["bundle (MB)", "", *(f"{result[p]['export']['bytes'] / 1e6:.1f}" for p in made)])
    return rows


def _interval(report: dict[str, Any], name: str, value: str) -> str:
    slices = report["slices"][name]["slices"]
    found = next(one["metrics"]["accuracy"] for one in slices if one["value"] == value)
    return f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})"


def _rows(path: Path) -> Iterator[tuple[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            yield row["tweet"], row["label"]


def _length(tweet: str) -> str:
    words = len(tweet.split())
    return "1-10 words" if words <= 10 else "11-20 words" if words <= 20 else "21 words or more"


def _english(tweet: str) -> str:
    return "some" if ENGLISH & set(tweet.lower().split()) else "none"


if __name__ == "__main__":
    main()
