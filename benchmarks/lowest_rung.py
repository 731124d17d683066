"""Time a model without layers beside model2vec's static vectors, and compare the accuracies of both on banking77.

    python -m benchmarks.lowest_rung [--teacher FOLDER] [--work FOLDER] [--environments FOLDER]

`--teacher` is a folder that `python -m benchmarks.banking77 --methods full` made; the model without layers is made from
it by `ftool shrink --layers 0`. model2vec distils the base of the teacher, and a logistic regression is trained on its
vectors, with the penalty that is best in cross-validation. The teacher's bundle is timed too.
model2vec runs in an environment of its own, which the first run sets up.
"""

import argparse
import shutil
from pathlib import Path

import numpy as np

from benchmarks.commands import ftool, write_result
from benchmarks.environments import PLACE
from benchmarks.peers.engine import write_training_texts
from benchmarks.peers.rows import MODEL2VEC
from benchmarks.shrinking import compared, right
from ftool.bases import resolve_base
from ftool.bench.engines import EngineProcess
from ftool.bench.measure import BenchSettings
from ftool.bench.report import sentences, table
from ftool.bench.run import Placement, bench, bundle_engine
from ftool.data.load import load_dataset
from ftool.recipe.recipe import Recipe
from ftool.terminal import format_table
from ftool.workspace import ModelFolder


def made(folder: Path, teacher: Path, *shape: str) -> Path:
    """Return the bundle of the model that is shrunk from `teacher` to `folder`, in w8; reuse a trained one."""
    if not ModelFolder(folder).run.exists():
        shutil.rmtree(folder, ignore_errors=True)
        ftool("shrink", teacher, "-o", folder, *shape)
    ftool("export", folder, "--precision", "w8")
    return ModelFolder(folder).require_bundle()


def main() -> None:
    """Make both models, compare their answers to the test texts, time them, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--teacher", type=Path, default=Path("models/banking77/full"))
    parser.add_argument("--work", type=Path, default=Path("models/lowest_rung"))
    parser.add_argument("--environments", type=Path, default=PLACE)
    options = parser.parse_args()
    recipe = Recipe.read(ModelFolder(options.teacher).recipe)
    data = load_dataset(recipe.row.reader, recipe.data)
    folder = options.work / "no-layers"
    small = bundle_engine(made(folder, options.teacher, "--layers", "0"), Placement(threads=1))
    large = bundle_engine(ModelFolder(options.teacher).require_bundle(), Placement(threads=1))
    options.work.mkdir(parents=True, exist_ok=True)
    texts = write_training_texts(options.work / "train.json", data.train)
    settings = {"checkpoint": "", "base": resolve_base("minilm"), "texts": str(texts)}
    peer = MODEL2VEC.engine(options.work, options.environments, 1, recipe.task, settings)
    with EngineProcess(peer, data.test.inputs[0]) as process:
        answers = process.ask({"do": "answers", "texts": list(data.test.inputs)})["answers"]
    truth = [one.labels[0] for one in data.test.examples]
    peers = np.array([a == b for a, b in zip(answers, truth, strict=True)])
    accuracy = {**compared(right(folder, "bundle"), peers), "model2vec": float(peers.mean())}
    print(accuracy)
    report = bench(
        [small, peer, large], data.test.inputs, BenchSettings(), task=recipe.task, split="test"
    ).to_json()
    print(format_table(table(report)))
    print("\n".join(sentences(report)))
    write_result("lowest_rung", {"accuracy": accuracy, "bench": report})


if __name__ == "__main__":
    main()
