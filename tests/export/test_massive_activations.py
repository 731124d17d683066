"""Massive activations: models with channels scaled up before and down after keep as much as the model without."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from tests.helpers.massive import (
    with_large_mlp_channels,
    with_large_norm_channels,
    with_large_values,
    with_unmovable_channels,
)

import ftool_runtime as ft
from ftool_export.checkpoints.generator import LoadedGenerator
from ftool_export.errors import FarFromTorchError
from ftool_export.examples.generation import GenerationExamples, sample_examples
from ftool_export.graph import guards
from ftool_export.graph.graphs import Graphs
from ftool_export.parity import parity
from ftool_export.passes import PassSettings
from ftool_export.pipeline import capture_source, export
from ftool_export.precision_plans import PLANS
from ftool_export.settings import ExportSettings
from ftool_runtime.bundle.manifest import Manifest

ANSWER = [4, 9, 13, 7, 5, 11, 6, 8]
PASSES = PassSettings(smallest=512, smallest_table=512, block_size=64)
QUANTISED = [name for name, plan in PLANS["decoder"].items() if plan.quantize_products]


@pytest.fixture(scope="module")
def llama(make_generator: Callable[..., LoadedGenerator]) -> LoadedGenerator:
    """A tiny Llama without tied embeddings, so that its last norm has a product of its own."""
    return make_generator("llama", hidden_size=64, intermediate_size=128, tie_word_embeddings=False)


@pytest.fixture(scope="module")
def examples(llama: LoadedGenerator) -> GenerationExamples:
    return sample_examples(llama)


CHANGES = (with_large_mlp_channels, with_large_norm_channels, with_large_values)


@pytest.fixture(scope="module")
def sources(llama: LoadedGenerator) -> dict[str, Graphs]:
    """The fp32 graphs of the model as it is ("usual") and of the changed models, by the change's name."""
    changed = {"usual": llama, **{change.__name__: change(llama) for change in CHANGES}}
    return {name: capture_source(loaded, (), PASSES) for name, loaded in changed.items()}


def exported(source: Graphs, examples: GenerationExamples, precision: str, folder: Path) -> Path:
    settings = ExportSettings(bundle=folder, precision=precision, allow_drift=True, passes=PASSES)
    assert export(settings, source.loaded, examples, captured=source).bundle == folder
    return folder


def numbers(bundle: Path, examples: GenerationExamples) -> list[np.ndarray]:
    with ft.load(bundle, task="text-generation") as model:
        rows = examples.inputs[:8]
        return list(model.score_tokens(rows, [ANSWER] * len(rows)))


@pytest.fixture(scope="module")
def exact(
    sources: dict[str, Graphs], examples: GenerationExamples, tmp_path_factory: pytest.TempPathFactory
) -> list[np.ndarray]:
    return numbers(exported(sources["usual"], examples, "fp32", tmp_path_factory.mktemp("b") / "b"), examples)


@pytest.mark.parametrize("precision", QUANTISED)
def test_a_model_with_large_channels_is_quantised_as_well_as_without(
    sources: dict[str, Graphs],
    examples: GenerationExamples,
    exact: list[np.ndarray],
    precision: str,
    tmp_path: Path,
) -> None:
    errors = {}
    for name, source in sources.items():
        found = numbers(exported(source, examples, precision, tmp_path / name), examples)
        errors[name] = float(np.mean([np.square(a - b).mean() for a, b in zip(found, exact, strict=True)]))
    for change in CHANGES:
        assert errors[change.__name__] < 1.5 * errors["usual"], change.__name__


def test_the_factors_are_recorded_and_parity_derives_the_graphs_with_them(
    sources: dict[str, Graphs], examples: GenerationExamples, tmp_path: Path
) -> None:
    source = sources[with_large_mlp_channels.__name__]
    bundle = exported(source, examples, "w8", tmp_path / "b")
    moved = Manifest.read(bundle).evidence["quantization"]["moved"]
    assert {name for name in moved if "down_proj" in name} == {
        f"model.model.layers.{layer}.mlp.down_proj.weight" for layer in (0, 1)
    }
    assert {"3", "17"} <= moved["model.model.layers.0.mlp.down_proj.weight"]["exponents"].keys()
    stored = parity(source.loaded, bundle, examples).stored
    assert stored.weight_error is not None
    assert stored.weight_error <= 0.5
    assert stored.constant_error == 0
    assert stored.rounding == 0


@pytest.fixture(scope="module")
def unmovable(make_generator: Callable[..., LoadedGenerator]) -> Graphs:
    """A GPT-2 with large channels in one MLP, which no pass can move."""
    usual = make_generator("gpt2", n_embd=64, n_layer=3, initializer_range=0.07)
    return capture_source(with_unmovable_channels(usual, layer=1), (), PASSES)


@pytest.mark.parametrize(("precision", "in_fp32"), [("w8", False), ("int8", True)])
def test_the_layer_that_fails_gets_a_finer_precision(
    unmovable: Graphs, precision: str, in_fp32: bool, tmp_path: Path
) -> None:
    loaded, examples = unmovable.loaded, sample_examples(unmovable.loaded)
    coarse = exported(unmovable, examples, precision, tmp_path / "coarse")
    assert not parity(loaded, coarse, examples).passed
    settings = ExportSettings(bundle=tmp_path / "b", precision=precision, passes=PASSES)
    report = export(settings, loaded, examples, captured=unmovable)
    layer = "model.transformer.h.1.mlp.c_proj"
    assert (report.left_out, report.in_fp32) == ((layer,), (layer,) if in_fp32 else ())
    kept = Manifest.read(tmp_path / "b").precision
    assert (kept.left_out, kept.in_fp32) == (report.left_out, report.in_fp32)
    weights = ir.load(tmp_path / "b" / "onnx" / "decoder.onnx").graph.initializers
    shapes = [value.shape for value in weights.values() if value.dtype == ir.DataType.FLOAT]
    assert [shape for shape in shapes if shape is not None and shape.numpy() == (256, 64)]
    found = parity(loaded, tmp_path / "b", examples)
    assert found.stored.weight_error is not None
    assert found.stored.weight_error <= 0.5
    assert found.stored.constant_error == 0
    assert found.passed
    card = (tmp_path / "b" / "README.md").read_text()
    assert f"Kept in higher precision{' (fp32)' if in_fp32 else ''}, for accuracy: `{layer}`" in card


def test_a_layer_that_blocks_serve_is_not_left_in_fp32(
    make_generator: Callable[..., LoadedGenerator], tmp_path: Path
) -> None:
    loaded = make_generator("gpt2", n_embd=64, n_layer=3, initializer_range=0.07)
    settings = ExportSettings(bundle=tmp_path / "b", precision="w4", passes=PASSES)
    report = export(settings, loaded, sample_examples(loaded))
    assert report.left_out
    assert report.in_fp32 == ()


def test_a_model_that_no_search_mends_is_refused_with_the_first_reason(
    unmovable: Graphs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guards, "QUANTIZED_TOLERANCE", 1e-6)
    settings = ExportSettings(bundle=tmp_path / "b", precision="w8", passes=PASSES)
    with pytest.raises(FarFromTorchError, match="logits are off by"):
        export(settings, unmovable.loaded, sample_examples(unmovable.loaded), captured=unmovable)
    assert not list(tmp_path.iterdir())
