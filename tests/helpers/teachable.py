"""Write the bundle of a tiny classifier that can be taught: its graph gives the input of its matrix as "features"."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import ftool_runtime as ft
from ftool_runtime.bundle.contracts import TeachingContract
from ftool_runtime.teaching.replay import Replay
from tests.helpers.tiny_bundles import LABELS, WIDTH, tiny_graph, write_golden, write_manifest

TEXTS = tuple(
    f"{first} {second}"
    for first in ("turn the lights", "play", "set a timer", "for ten", "a", "on")
    for second in ("off", "on", "music", "the timer", "lights")
)


def teachable_bundle(make_bundle: Callable[..., Path], **changes: Any) -> Path:
    """Return a bundle in a new folder, whose replay has the texts `TEXTS` and, as targets, the answers to them."""
    folder = make_bundle(graph=tiny_graph(features=True), golden=False, **changes)
    write_teachable(folder, **changes)
    return folder


def write_teachable(folder: Path, **changes: Any) -> None:
    """Write replay, golden answers and manifest of the bundle in `folder`; `changes` are values of the manifest."""
    multi = bool(changes.get("multi_label"))
    changes = {"teaching": TeachingContract(features=WIDTH, rows=len(TEXTS)), **changes}
    shape = (len(TEXTS), len(LABELS))
    empty = np.zeros((len(TEXTS), WIDTH), np.float32), np.zeros(shape, np.float32), np.zeros(shape, np.bool_)
    (folder / "replay.bin").write_bytes(Replay(*empty).to_bytes())
    write_manifest(folder, **changes)
    with ft.TextClassifier.load(folder, threads=1) as model:
        outputs = np.asarray(model.graph_outputs(TEXTS))
    logits, features = outputs[:, : len(LABELS)], outputs[:, len(LABELS) :]
    targets = logits > 0 if multi else logits == logits.max(axis=1, keepdims=True)
    (folder / "replay.bin").write_bytes(Replay(features, logits, targets).to_bytes())
    write_manifest(folder, **changes)
    write_golden(folder, changes)
    write_manifest(folder, **changes)
