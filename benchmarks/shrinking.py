"""Shrink a trained banking77 model: layers, the teacher's share, and the vocabulary; accuracy, size and speed of each.

    python -m benchmarks.shrinking [--teacher FOLDER] [--work FOLDER] [--only NAME ...] [--stages train measure time]

`--teacher` is a folder that `python -m benchmarks.banking77 --methods full` made. A variant whose folder has a run/ is
not trained again. Results of variants are added to benchmarks/results/shrinking.json.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.commands import RESULTS, ftool, write_result

ALONE = ("--set", "train.distill_from=")  # without the teacher
LONG = ("--set", "train.epochs=8")
CUT = ("--vocabulary", "data")
TEACHER = "teacher"
STAGES = ("train", "measure", "time")
VARIANTS: dict[str, tuple[str, tuple[str, ...]]] = {  # by name: the model that is shrunk, and how
    "vocabulary": (TEACHER, CUT),
    "layers 0,2,5": (TEACHER, ("--layers", "3")),
    "layers 0,2,5, labels only": (TEACHER, ("--layers", "3", *ALONE)),
    "layers 0,1,2": (TEACHER, ("--layers", "0,1,2")),
    "layers 0,5": (TEACHER, ("--layers", "2")),
    "layers 0,5, labels only": (TEACHER, ("--layers", "2", *ALONE)),
    "layers 0,1": (TEACHER, ("--layers", "0,1")),
    "layers 0,5, vocabulary": ("layers 0,5", CUT),
    "layer 0": (TEACHER, ("--layers", "1")),
    "layer 0, labels only": (TEACHER, ("--layers", "1", *ALONE)),
    "layer 0, hidden states": (TEACHER, ("--layers", "1", "--set", "train.distill_hidden=1")),
    "layer 0, vocabulary": ("layer 0", CUT),
    "layer 0, 8 epochs, vocabulary": (TEACHER, ("--layers", "1", *CUT, *LONG)),
    "no layers": (TEACHER, ("--layers", "0")),
    "no layers, labels only": (TEACHER, ("--layers", "0", *ALONE)),
    "no layers, vocabulary": (TEACHER, ("--layers", "0", *CUT)),
}
EXPORTED = {  # the precisions of the variants that are exported
    "layers 0,5, vocabulary": ("int8",),
    "layer 0, vocabulary": ("int8", "w4"),
    "no layers": ("w8",),
    "no layers, vocabulary": ("w8",),
}


def right(folder: Path, on: str) -> np.ndarray[Any, Any]:
    """Return for each test text whether the model in `folder` gives its label, bool (texts,)."""
    file, run = folder / f"predictions_{on}.jsonl", folder / "run" / "metrics.json"
    if on == "bundle" or not file.exists() or file.stat().st_mtime < run.stat().st_mtime:
        ftool("evaluate", folder, "--on", on, "--predictions", file)
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    return np.array([row["labels"] == row["predicted"] for row in rows])


def compared(mine: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Return the accuracy, and its difference from the other model's with a 95% interval (normal, paired)."""
    each = mine.astype(float) - other
    half = 1.96 * float(each.std(ddof=1)) / len(each) ** 0.5
    difference = float(each.mean())
    return {
        "accuracy": float(mine.mean()),
        "difference": difference,
        "interval": [difference - half, difference + half],
    }


def folder_of(name: str, work: Path, teacher: Path) -> Path:
    """Return the model folder of a variant, or of the teacher."""
    return teacher if name == TEACHER else work / name.replace(", ", "-").replace(" ", "-")


def train(name: str, work: Path, teacher: Path) -> None:
    """Make the variant `name`, and the model that it is made of, unless that was done before."""
    source, arguments = VARIANTS[name]
    if source != TEACHER:
        train(source, work, teacher)
    folder = folder_of(name, work, teacher)
    if not (folder / "run" / "metrics.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        flags = (*arguments, "--set", "train.threads=1")
        ftool("shrink", folder_of(source, work, teacher), "-o", folder, *flags)


def measured(name: str, folder: Path, truth: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Return the accuracy of a variant and of its bundles, which are kept beside each other."""
    result: dict[str, Any] = {"run": compared(right(folder, "run"), truth)}
    for precision in EXPORTED.get(name, ()):
        report = ftool("export", folder, "--precision", precision, "--max-drop", "0.02")
        result[precision] = {"megabytes": report["bytes"] / 1e6, **compared(right(folder, "bundle"), truth)}
        kept = folder / f"bundle_{precision}"
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(folder / "bundle", kept)
    return result


def timed(bundle: Path, teacher: Path) -> dict[str, Any]:
    """Return how many times faster a bundle is than the teacher's int8 bundle, in alternating rounds."""
    data = json.loads((teacher / "run" / "metrics.json").read_text())["recipe"]["data"]["path"]
    report = ftool("bench", bundle, "--against", teacher / "bundle", "--data", data, "--threads", "1")
    (ratios,) = report["ratios"].values()
    return {"times_faster": ratios["latency_p50"], "bulk_times_faster": ratios["throughput"]}


def show(name: str, result: dict[str, Any]) -> None:
    """Print a variant's figures in one line for the run, and one for each bundle."""
    for kind, one in result.items():
        low, high = one["interval"]
        line = f"{name}, {kind}: accuracy {one['accuracy']:.4f}, {one['difference']:+.4f} ({low:+.4f} to {high:+.4f})"
        if "megabytes" in one:
            line += f", {one['megabytes']:.1f} MB"
        if "times_faster" in one:
            line += f", {one['times_faster']:.2f} times faster, in bulk {one['bulk_times_faster']:.2f}"
        print(line)


def main() -> None:
    """Train, export and time the variants, and add them to benchmarks/results/shrinking.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--teacher", type=Path, default=Path("models/banking77/full"))
    parser.add_argument("--work", type=Path, default=Path("models/shrinking"))
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS), metavar="NAME")
    parser.add_argument(
        "--stages",
        nargs="+",
        choices=STAGES,
        default=STAGES,
        help="times need a machine that does nothing else",
    )
    options = parser.parse_args()
    file = RESULTS / "shrinking.json"
    results = json.loads(file.read_text()) if file.exists() else {}
    teacher = options.work / TEACHER  # a copy, which gets a bundle of its own
    if "measure" in options.stages:
        if not (teacher / "bundle").exists():
            shutil.copytree(options.teacher, teacher, dirs_exist_ok=True)
            ftool("export", teacher, "--precision", "int8")
        truth = right(teacher, "run")
        if TEACHER not in results:
            results[TEACHER] = {kind: compared(right(teacher, kind), truth) for kind in ("run", "bundle")}
    for name in options.only:
        folder = folder_of(name, options.work, options.teacher)
        if "train" in options.stages:
            train(name, options.work, options.teacher)
        if "measure" in options.stages:
            results[name] = measured(name, folder, truth)
        if "time" in options.stages:
            for precision in EXPORTED.get(name, ()):
                results[name][precision] |= timed(folder / f"bundle_{precision}", teacher)
        if name in results:
            show(name, results[name])
    write_result("shrinking", results)


if __name__ == "__main__":
    main()
