"""Let a classifier's bundle be taught on the device: keep its features of some training texts, and prove them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ftool_export.bundle.judged import judged_model
from ftool_export.bundle.writer import Draft
from ftool_export.checkpoints.base import LoadedModel
from ftool_export.checkpoints.classifier import LoadedClassifier
from ftool_export.errors import ExportError
from ftool_runtime.bundle.contracts import TeachingContract
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.bundle.paths import REPLAY_FILE
from ftool_runtime.teaching.replay import Replay

_UNEXPLAINED: Final = (
    0.01  # the most of the logits' variance that may not come from the features; int8 heads leave 1e-4
)


@dataclass(frozen=True)
class ReplayTexts:
    """Training texts for a replay.

    Attributes:
        inputs: the texts, or dicts of "text" and "text_pair".
        targets: which of the model's labels each has, bool (texts, labels).
    """

    inputs: Sequence[Any]
    targets: NDArray[np.bool_]


def begin_teaching(draft: Draft, manifest: Manifest, loaded: LoadedModel, texts: ReplayTexts) -> Manifest:
    """Return the manifest of a draft that can be taught, and write a replay of zeros, so that drafts can be loaded.

    Raises ExportError if the checkpoint has no head that can be taught.
    """
    if not isinstance(loaded, LoadedClassifier) or loaded.regression:
        raise ExportError("only classifiers, which give labels to texts, can be taught on the device")
    if not len(texts.inputs):
        raise ExportError(
            "the training data has no texts with the model's labels; name the data it was trained on"
        )
    contract = TeachingContract(features=loaded.model.head.in_features, rows=len(texts.inputs))
    empty = np.zeros((contract.rows, contract.features), np.float32)
    logits = np.zeros(texts.targets.shape, np.float32)
    draft.write_bytes(REPLAY_FILE, Replay(empty, logits, texts.targets).to_bytes())
    return replace(manifest, teaching=contract)


def finish_teaching(draft: Draft, manifest: Manifest, loaded: LoadedModel, texts: ReplayTexts) -> Manifest:
    """Write the replay of the draft that has passed the gate, as its own graph gives it, and return the manifest.

    Raises ExportError if the graph's logits are not what the checkpoint's head makes of the graph's features.
    """
    with judged_model(draft.folder, manifest) as model:
        outputs = np.asarray(model.graph_outputs(texts.inputs))
    count = texts.targets.shape[1]
    logits, features = outputs[:, :count], outputs[:, count:]
    _check(loaded, logits, features)
    draft.write_bytes(REPLAY_FILE, Replay(features, logits, texts.targets).to_bytes())
    return draft.write_manifest(manifest)


def _check(loaded: Any, logits: NDArray[np.float32], features: NDArray[np.float32]) -> None:
    head = loaded.model.head
    weight = head.weight.detach().numpy()
    expected = features @ weight.T + (0.0 if head.bias is None else head.bias.detach().numpy())
    unexplained = float(np.square(logits - expected).mean() / max(float(np.var(logits)), 1e-12))
    if not unexplained <= _UNEXPLAINED:
        raise ExportError(
            f"the graph's features don't lead to its logits ({unexplained:.1%} of their variance is unexplained), so "
            "that lessons would go wrong; export without --teachable"
        )
