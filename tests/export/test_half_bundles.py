"""Bundles in float16: size, evidence, golden answers, and the refusal of numbers beyond float16's range."""

import json
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import torch

import ftool_runtime as ft
from ftool_export import pipeline
from ftool_export.checkpoints.classifier import LoadedClassifier, compute_logits, load_classifier
from ftool_export.errors import ExportError
from ftool_export.examples.classification import ClassificationExamples
from ftool_export.graph.session import model_bytes
from ftool_export.passes import PassSettings
from ftool_export.report import ExportReport
from ftool_export.settings import ExportSettings
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.bundle.paths import MODEL_FILE


def export(
    loaded: LoadedClassifier, bundle: Path, precision: str, texts: list[str], passes: PassSettings
) -> ExportReport:
    """An export for CUDA on texts without labels; whatever the gate says of random weights, it is written."""
    settings = ExportSettings(
        bundle=bundle, precision=precision, device="cuda", allow_drift=True, passes=passes
    )
    return pipeline.export(settings, loaded, ClassificationExamples(loaded=loaded, inputs=texts))


def test_a_bundle_in_float16_is_half_as_large_and_says_that_no_gpu_has_proved_it(
    bert: Path, tiny: PassSettings, texts: list[str], tmp_path: Path
) -> None:
    model = load_classifier(bert)
    sizes = {}
    for precision in ("fp32", "fp16"):
        folder = export(model, tmp_path / precision, precision, texts, tiny).bundle
        assert folder is not None
        sizes[precision] = model_bytes(ir.load(folder / MODEL_FILE))
    assert sizes["fp16"] < 0.51 * sizes["fp32"]
    manifest = Manifest.read(folder)
    assert manifest.precision.devices == ("cuda",)
    assert manifest.evidence["proof"]["device"] == "cpu"
    assert "imitated" in manifest.evidence["proof"]["arithmetic"]
    assert "latency_ms" not in manifest.evidence
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "measured on the CPU, which imitates float16" in card
    assert "verify FOLDER --device cuda" in card
    with ft.TextClassifier.load(folder) as loaded:
        np.testing.assert_allclose(loaded.logits(texts), compute_logits(model, texts), atol=0.02)
    golden = json.loads((folder / "golden.json").read_text())
    assert golden["source"] == "torch"
    assert 1e-4 < golden["tolerance"] < 0.05


def with_large_values(bert: Path) -> LoadedClassifier:
    """The tiny BERT, with the same answers, in which attention reads numbers of about 80,000."""
    loaded = load_classifier(bert)
    with torch.no_grad():
        for layer in loaded.model.encoder.bert.encoder.layer:
            layer.attention.self.value.weight.mul_(5e4)
            layer.attention.self.value.bias.mul_(5e4)
            layer.attention.output.dense.weight.div_(5e4)
    return loaded


def test_numbers_beyond_the_range_of_float16_are_refused(
    bert: Path, tiny: PassSettings, texts: list[str], tmp_path: Path
) -> None:
    loaded = with_large_values(bert)
    assert export(loaded, tmp_path / "fp32", "fp32", texts, tiny).bundle
    with pytest.raises(ExportError, match=r"65,504, .* not finite .*; use --precision fp32"):
        export(loaded, tmp_path / "fp16", "fp16", texts, tiny)
    assert not (tmp_path / "fp16").exists()


def test_the_gate_itself_refuses_answers_that_are_not_finite(
    bert: Path,
    tiny: PassSettings,
    texts: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ftool_export.quantization.imitate_half", lambda model: model)  # the probes' check
    with pytest.raises(ExportError, match=r"in float16: .* not a finite number.* use --precision fp32"):
        export(with_large_values(bert), tmp_path / "b", "fp16", texts, tiny)
    assert not (tmp_path / "b").exists()
