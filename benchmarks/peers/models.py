"""The models that are compared: a classifier with transformers' own pooler and head, an embedder, and our bundles."""

import argparse
import filecmp
import json
import shutil
import sys
from pathlib import Path
from typing import Final

from benchmarks.commands import ftool
from ftool.bases import resolve_base
from ftool.bench.engines import Engine
from ftool.bench.run import Placement, bundle_engine
from ftool.workspace import ModelFolder
from ftool_runtime.session.threads import resolve_threads

LONGEST: Final = 512  # tokens that minilm reads
WEIGHTS: Final = "model.safetensors"
CLASSIFICATION: Final = "text-classification"
EMBEDDING: Final = "feature-extraction"


def trained(options: argparse.Namespace) -> ModelFolder:
    """Return the classifier's model folder, with a copy of `--run` or a new run; reuse the one that is there."""
    folder = ModelFolder(options.work / "classifier")
    if not folder.recipe.exists():
        flags = ("train.pooling=pooler", "train.method=head", f"train.max_length={LONGEST}")
        settings = [part for flag in flags for part in ("--set", flag)]
        ftool("new", folder.path, "--base", "minilm", "--data", options.data, *settings)
    if not folder.run.exists() and options.run is None:
        ftool("train", folder.path)
    elif not folder.run.exists():
        shutil.copytree(options.run, folder.run)
    elif options.run is not None and not filecmp.cmp(
        options.run / WEIGHTS, folder.run / WEIGHTS, shallow=False
    ):
        sys.exit(f"{folder.run} is another model than {options.run}; give another folder with --work")
    return folder


def embedder(work: Path) -> Path:
    """Return the folder of minilm as an embedder that reads texts of all lengths that are timed."""
    folder = work / "base"
    if not folder.exists():
        shutil.copytree(resolve_base("minilm"), folder)
        settings = folder / "sentence_bert_config.json"
        lengths = {**json.loads(settings.read_text(encoding="utf-8")), "max_seq_length": LONGEST}
        settings.write_text(json.dumps(lengths), encoding="utf-8")
    return folder


def bundles(task: str, checkpoint: Path, work: Path, options: argparse.Namespace) -> list[Engine]:
    """Return our bundles of the checkpoint in the asked precisions; export those that are missing."""
    found = []
    for precision in options.precisions:
        folder = work / f"bundle-{precision}"
        if not folder.exists() and task == CLASSIFICATION:
            classifier = trained(options)
            ftool("export", classifier.path, "--precision", precision)
            classifier.bundle.rename(folder)
        elif not folder.exists():
            flags = ("--task", task, "--precision", precision, "--output", folder)
            ftool("export", "--checkpoint", checkpoint, *flags)
        found.append(bundle_engine(folder, Placement(threads=resolve_threads(options.threads))))
    return found
