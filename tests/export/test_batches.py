"""An answer must not depend on the rest of its batch: the export measures this, and runs rows singly or refuses."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import ftool_runtime as ft
from ftool_export.checkpoints.base import tokens_per_batch
from ftool_export.checkpoints.classifier import compute_logits, load_classifier
from ftool_export.checkpoints.generator import LoadedGenerator
from ftool_export.examples.classification import ClassificationExamples
from ftool_export.examples.generation import sample_examples
from ftool_export.graph.graphs import Graphs
from ftool_export.parity import parity
from ftool_export.passes import PassSettings
from ftool_export.pipeline import capture_source, export
from ftool_export.precision_plans import PLANS, precision_plan
from ftool_export.settings import ExportSettings
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.errors import BundleError

# Wide enough for a block of 128, and for its rounding to reach a next layer.
WIDE = {"n_embd": 256, "n_layer": 4}


def test_an_encoder_that_reads_padding_runs_its_texts_singly(
    write_checkpoint: Callable[..., Path], texts: list[str], tmp_path: Path
) -> None:
    loaded = load_classifier(write_checkpoint("convbert"))
    network = loaded.model
    assert network.reads_padding
    with torch.inference_mode():  # torch's answers to a padded batch and to single texts differ
        batch = network(**loaded.batch(loaded.tokenize(texts))).numpy()
    single = np.concatenate([compute_logits(loaded, [text]) for text in texts])
    assert np.abs(batch - single).max() > 1e-3
    np.testing.assert_allclose(compute_logits(loaded, texts), single, atol=1e-5)
    settings = ExportSettings(bundle=tmp_path / "bundle", precision="fp32")
    examples = ClassificationExamples(loaded=loaded, inputs=texts)
    assert export(settings, loaded, examples).bundle
    assert Manifest.read(tmp_path / "bundle").precision.rows_share_scale
    assert "reads the padding" in (tmp_path / "bundle" / "README.md").read_text(encoding="utf-8")
    with ft.load(tmp_path / "bundle") as model:
        np.testing.assert_allclose(model.outputs(texts), single, atol=1e-4)
        np.testing.assert_array_equal(
            model.outputs(texts), np.concatenate([model.outputs([text]) for text in texts])
        )
    assert parity(loaded, tmp_path / "bundle", examples).passed


def test_other_encoders_read_no_padding(bert: Path) -> None:
    assert not load_classifier(bert).model.reads_padding


@pytest.mark.parametrize(
    ("device", "threads", "tokens"), [("cpu", 1, 512), ("cpu", 2, 1024), ("cpu", 64, 4096), ("cuda", 1, 4096)]
)
def test_a_cpu_reads_fewer_tokens_at_a_time(
    monkeypatch: pytest.MonkeyPatch, device: str, threads: int, tokens: int
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert tokens_per_batch(torch.device(device)) == tokens


@pytest.mark.parametrize("architecture", ["bert", "convbert"])  # the latter reads padding
def test_no_batch_has_more_tokens_and_outputs_stay_the_same(
    write_checkpoint: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, architecture: str
) -> None:
    loaded = load_classifier(write_checkpoint(architecture))
    inputs = [
        "turn the lights off",
        "play",
        "play some music now",
        "some music",
        "off",
        "now",
        "music",
        "lights",
    ]
    expected = compute_logits(loaded, inputs)
    seen: list[int] = []
    monkeypatch.setattr("ftool_export.checkpoints.encoder.tokens_per_batch", lambda device: 12)
    loaded.model.encoder.register_forward_pre_hook(
        lambda _module, _positional, named: seen.append(named["input_ids"].numel()), with_kwargs=True
    )
    found = compute_logits(loaded, inputs)
    assert len(seen) > 1
    assert max(seen) <= 12
    np.testing.assert_allclose(found, expected, atol=1e-5)  # float32, sums in another order


@pytest.fixture(scope="module")
def wide(make_generator: Callable[..., LoadedGenerator], tiny: PassSettings) -> Graphs:
    """A GPT-2 wide enough for blocks of 128."""
    return capture_source(make_generator("gpt2", **WIDE), (), tiny)


@pytest.mark.parametrize("precision", PLANS["decoder"])
def test_generators_rows_are_independent_of_their_batch(
    wide: Graphs, tiny: PassSettings, precision: str, tmp_path: Path
) -> None:
    settings = ExportSettings(bundle=tmp_path / "b", precision=precision, allow_drift=True, passes=tiny)
    examples = sample_examples(wide.loaded)
    assert export(settings, wide.loaded, examples, captured=wide).bundle
    assert not Manifest.read(tmp_path / "b").precision.rows_share_scale
    with ft.load(tmp_path / "b") as model:
        assert examples.batch_effect(model).probability < 1e-5


def test_a_generator_whose_answers_depend_on_the_batch_runs_its_rows_singly(
    wide: Graphs, tiny: PassSettings, tmp_path: Path
) -> None:
    loaded = wide.loaded
    settings = ExportSettings(
        bundle=tmp_path / "b",
        precision="w8",
        allow_drift=True,
        passes=replace(tiny, block_size=128),
    )
    examples = sample_examples(loaded)
    assert export(settings, loaded, examples, captured=wide).bundle
    assert Manifest.read(tmp_path / "b").precision.rows_share_scale
    with ft.load(tmp_path / "b") as model:
        assert examples.batch_effect(model) == (0, 0)


def test_a_bundle_without_a_mask_is_refused_if_its_texts_would_run_together(
    bert: Path, tiny: PassSettings, texts: list[str], tmp_path: Path
) -> None:
    loaded = load_classifier(bert)
    examples = ClassificationExamples(loaded=loaded, inputs=texts)
    settings = ExportSettings(bundle=tmp_path / "b", precision="int8", allow_drift=True, passes=tiny)
    assert export(settings, loaded, examples).bundle
    assert parity(loaded, settings.bundle, examples).batch_effect == 0
    manifest = Manifest.read(settings.bundle)
    together = replace(manifest.precision, rows_share_scale=False)
    replace(manifest, precision=together).write(settings.bundle)
    with pytest.raises(BundleError, match="its rows must run singly"):
        parity(loaded, settings.bundle, examples)


def test_parity_sees_an_older_int8_bundle_that_runs_texts_of_one_scale_together(
    bert: Path, tiny: PassSettings, texts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_mask = replace(precision_plan("int8", "cpu"), drop_mask=False)  # the graphs of earlier versions
    monkeypatch.setattr("ftool_export.pipeline.precision_plan", lambda *_: with_mask)
    loaded = load_classifier(bert)
    examples = ClassificationExamples(loaded=loaded, inputs=texts)
    settings = ExportSettings(bundle=tmp_path / "b", precision="int8", allow_drift=True, passes=tiny)
    assert export(settings, loaded, examples).bundle
    manifest = Manifest.read(settings.bundle)
    assert manifest.input.names == ("input_ids", "attention_mask")
    found = parity(loaded, settings.bundle, examples)
    assert (found.batch_effect, found.stored.constant_error) == (0, 0)
    together = replace(manifest.precision, rows_share_scale=False)
    replace(manifest, precision=together).write(settings.bundle)
    assert "batch_effect" in parity(loaded, settings.bundle, examples).to_json()["failed"]
