"""Bundles that can be taught: the features are what the head reads, the replay is what the bundle itself gives."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import ftool_runtime as ft
from ftool_export import pipeline
from ftool_export.checkpoints.classifier import load_classifier
from ftool_export.errors import ExportError
from ftool_export.examples.classification import ClassificationExamples
from ftool_export.parity import parity
from ftool_export.passes import PassSettings
from ftool_export.settings import ExportSettings
from ftool_export.teaching import ReplayTexts
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.teaching.replay import Replay

WriteCheckpoint = Callable[..., Path]
# One of each kind of head: pooler, dense and activation before the head, pooling outside the head, the last token.
HEADS = ("bert", "distilbert", "roberta", "electra", "deberta-v2", "modernbert", "gpt2", "llama")


def export(
    checkpoint: Path, folder: Path, passes: PassSettings, texts: list[str], precision: str, **settings: object
) -> Path:
    loaded = load_classifier(checkpoint)
    examples = ClassificationExamples(loaded=loaded, inputs=texts)
    chosen = ExportSettings(
        bundle=folder, precision=precision, allow_drift=True, passes=passes, teachable=True, **settings
    )
    targets = np.eye(len(loaded.labels), dtype=np.bool_)[np.arange(len(texts)) % len(loaded.labels)]
    report = pipeline.export(chosen, loaded, examples, replay=ReplayTexts(texts, targets))
    assert report.bundle == folder
    return folder


@pytest.mark.parametrize("architecture", HEADS)
def test_features_are_what_the_head_reads(
    architecture: str, write_checkpoint: WriteCheckpoint, tiny: PassSettings, texts: list[str], tmp_path: Path
) -> None:
    checkpoint = write_checkpoint(architecture)
    folder = export(checkpoint, tmp_path / "bundle", tiny, texts, "fp32")
    head = load_classifier(checkpoint).model.head
    with ft.TextClassifier.load(folder, threads=1) as model:
        outputs = np.asarray(model.graph_outputs(texts))
        logits, features = outputs[:, : len(model.labels)], outputs[:, len(model.labels) :]
        np.testing.assert_array_equal(model.logits(texts), logits)
        bias = 0 if head.bias is None else head.bias.detach().numpy()
        np.testing.assert_allclose(features @ head.weight.detach().numpy().T + bias, logits, atol=1e-4)
        model.teach(texts[0], "new", max_loss_rise=99)
        assert model(texts[0]).label == "new"
    assert ft.verify(folder).passed


@pytest.mark.parametrize("precision", ["int8", "w8", "w4", "int8-rows"])
def test_the_replay_is_what_the_bundle_gives(
    precision: str, bert: Path, tiny: PassSettings, texts: list[str], tmp_path: Path
) -> None:
    folder = export(bert, tmp_path / "bundle", tiny, texts, precision)
    manifest = Manifest.read(folder)
    assert manifest.teaching is not None
    replay = Replay.read((folder / "replay.bin").read_bytes(), manifest.teaching, len(manifest.labels))
    with ft.TextClassifier.load(folder, threads=1) as model:
        outputs = np.asarray(model.graph_outputs(texts))
    np.testing.assert_allclose(replay.logits, outputs[:, : len(manifest.labels)], rtol=1e-3, atol=1e-3)
    features = outputs[:, len(manifest.labels) :]
    assert np.abs(replay.features - features).max() <= np.abs(features).max() / 127
    assert replay.targets.sum(axis=1).tolist() == [1] * len(texts)
    report = parity(
        load_classifier(bert), folder, ClassificationExamples(loaded=load_classifier(bert), inputs=texts)
    )
    assert all(check.passed for check in report.stored.checks())


def test_features_that_do_not_lead_to_the_logits_are_refused(
    bert: Path, tiny: PassSettings, texts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = ft.TextClassifier.graph_outputs

    def spoiled(self: ft.TextClassifier, inputs: list[str]) -> np.ndarray:
        outputs = np.array(original(self, inputs))
        outputs[:, len(self.labels) :] *= 0.8
        return outputs

    monkeypatch.setattr(ft.TextClassifier, "graph_outputs", spoiled)
    with pytest.raises(ExportError, match="features don't lead to its logits"):
        export(bert, tmp_path / "bundle", tiny, texts, "fp32")
    assert not (tmp_path / "bundle").exists()


def test_what_can_not_be_taught_says_so(
    bert: Path, write_checkpoint: WriteCheckpoint, tiny: PassSettings, texts: list[str], tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match="only bundles for the CPU, in ftool's own layout"):
        export(bert, tmp_path / "bundle", tiny, texts, "fp32", layout="standard")
    loaded = load_classifier(bert)
    examples = ClassificationExamples(loaded=loaded, inputs=texts)
    settings = ExportSettings(bundle=tmp_path / "bundle", precision="fp32", passes=tiny, teachable=True)
    with pytest.raises(ExportError, match="keeps features of training texts: name data"):
        pipeline.export(settings, loaded, examples)
    regressor = write_checkpoint("bert", id2label={0: "x"}, label2id={"x": 0}, problem_type="regression")
    number = load_classifier(regressor)
    assert number.regression
    given = ReplayTexts(texts, np.zeros((len(texts), 1), np.bool_))
    with pytest.raises(ExportError, match="only classifiers, which give labels"):
        pipeline.export(
            replace(settings, precision="fp32"),
            number,
            ClassificationExamples(loaded=number, inputs=texts),
            replay=given,
        )
