"""Time a model without layers beside model2vec's static vectors, and compare the accuracies of both on banking77.

    python3 -m venv peers && peers/bin/pip install --constraint constraints.txt "model2vec[distill]" scikit-learn
    python -m benchmarks.lowest_rung --python peers/bin/python [--teacher FOLDER] [--work FOLDER]

`--teacher` is a folder that `python -m benchmarks.banking77 --methods full` made; the model without layers is made from
it by `ftool shrink --layers 0`. model2vec distils the base of the teacher, and a logistic regression is trained on its
vectors, with the penalty that is best in cross-validation. The teacher's bundle is timed too.
"""

import argparse
import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.commands import ftool, write_result
from benchmarks.peer_engine import PeerEngine
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


def peer_folder(folder: Path, data: Any) -> Path:
    """Write the base and the texts that model2vec's worker reads, unless they are there."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "base").exists():
        shutil.copytree(resolve_base("minilm"), folder / "base")
    texts = {
        "train": list(data.train.inputs),
        "labels": [one.labels[0] for one in data.train.examples],
        "test": list(data.test.inputs),
    }
    (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
    return folder


def model2vec_files(place: Path) -> tuple[Path, ...]:
    """Return the files that an app with model2vec would ship."""
    return (*sorted((place / "model").glob("*")), place / "classifier.joblib")


def main() -> None:
    """Make both models, compare their answers to the test texts, time them, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", type=Path, required=True, help="the Python that has model2vec")
    parser.add_argument("--teacher", type=Path, default=Path("models/banking77/full"))
    parser.add_argument("--work", type=Path, default=Path("models/lowest_rung"))
    options = parser.parse_args()
    recipe = Recipe.read(ModelFolder(options.teacher).recipe)
    data = load_dataset(recipe.row.reader, recipe.data)
    folder = options.work / "no-layers"
    small = bundle_engine(made(folder, options.teacher, "--layers", "0"), Placement(threads=1))
    large = bundle_engine(ModelFolder(options.teacher).require_bundle(), Placement(threads=1))
    place = peer_folder(options.work / "model2vec", data).resolve()
    peer = PeerEngine(
        name="model2vec",
        kind="peer",
        folder=place,
        files=(),
        threads=1,
        task=recipe.task,
        python=options.python.absolute(),
        worker="model2vec_worker.py",
    )
    with EngineProcess(peer, "distils and trains now, so that no cold start includes it"):
        answers = json.loads((place / "answers.json").read_text(encoding="utf-8"))
    peer = dataclasses.replace(peer, files=model2vec_files(place))
    truth = [one.labels[0] for one in data.test.examples]
    peers = np.array([a == b for a, b in zip(answers, truth, strict=True)])
    accuracy = {**compared(right(folder, "bundle"), peers), "model2vec": float(peers.mean())}
    print(accuracy)
    texts = data.test.inputs
    report = bench([small, peer, large], texts, BenchSettings(), task=recipe.task, split="test").to_json()
    print(format_table(table(report)))
    print("\n".join(sentences(report)))
    write_result("lowest_rung", {"accuracy": accuracy, "bench": report})


if __name__ == "__main__":
    main()
