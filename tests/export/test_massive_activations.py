"""Massive activations: models with channels scaled up before and down after keep as much as the model without."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.helpers.massive import with_large_mlp_channels, with_large_norm_channels, with_large_values

import ftool_runtime as ft
from ftool_export.checkpoints.generator import LoadedGenerator
from ftool_export.examples.generation import GenerationExamples, sample_examples
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
