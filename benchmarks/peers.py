"""Time one checkpoint in three engines that take turns: ftool's int8 bundle, optimum-onnx's int8 export and torch.

    python3 -m venv peers && peers/bin/pip install torch optimum-onnx==0.1.0 onnxruntime==1.32.0
    python -m benchmarks.peers --python peers/bin/python [--work FOLDER] [--data FOLDER]

The checkpoint is an AutoModelForSequenceClassification, with transformers' own pooler and head, trained on banking77,
because both ftool and optimum-onnx can export this class. optimum-onnx needs its own environment because it pins an
older transformers.
"""

import argparse
import dataclasses
from pathlib import Path

from benchmarks.commands import DATA, ftool, write_result
from benchmarks.peer_engine import PeerEngine
from ftool.bench.engines import EngineProcess
from ftool.bench.measure import BenchSettings
from ftool.bench.report import sentences, table
from ftool.bench.run import Placement, bench, engines_of
from ftool.data.load import load_dataset
from ftool.recipe.recipe import Recipe
from ftool.terminal import format_table
from ftool.workspace import ModelFolder


def main() -> None:
    """Train (unless there is a run) and export, time the three engines, and write benchmarks/results/peers.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", type=Path, required=True, help="the Python that has optimum-onnx")
    parser.add_argument("--work", type=Path, default=Path("models/peers"))
    parser.add_argument("--data", type=Path, default=DATA / "banking77")
    options = parser.parse_args()
    folder = ModelFolder(options.work)
    if not folder.run.exists():
        flags = ("--set", "train.pooling=pooler", "--set", "train.method=head")
        ftool("new", options.work, "--base", "minilm", "--data", options.data, *flags)
        ftool("train", options.work)
    ftool("export", options.work)
    recipe = Recipe.read(folder.recipe)
    bundle, torch = engines_of(folder.require_bundle(), folder.require_run(), ["torch"], Placement())
    peer = PeerEngine(
        name="optimum-onnx-int8",
        kind="peer",
        folder=folder.run.resolve(),
        files=(),
        threads=bundle.threads,
        python=options.python.absolute(),
        worker="optimum_worker.py",
    )
    with EngineProcess(peer, "exports and quantises now, so that no cold start includes it"):
        quantized = folder.run.with_name("optimum-int8").resolve()
    peer = dataclasses.replace(peer, files=tuple(quantized.glob("*")))
    texts = load_dataset(recipe.row.reader, recipe.data).test.inputs
    report = bench([bundle, peer, torch], texts, BenchSettings(), task=recipe.task, split="test").to_json()
    print(format_table(table(report)))
    print("\n".join(sentences(report)))
    write_result("peers", report)


if __name__ == "__main__":
    main()
