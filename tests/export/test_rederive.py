"""Parity derives a bundle's graph again from the checkpoint: an unchanged bundle equals it, a damaged bundle fails."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from tests.helpers.captures import fresh_captures
from tests.helpers.graphs import graph

from ftool_export.bundle.judged import Models, as_bundle, stored_graphs
from ftool_export.checkpoints.classifier import load_classifier
from ftool_export.checkpoints.generator import LoadedGenerator
from ftool_export.examples.classification import ClassificationExamples
from ftool_export.examples.generation import GenerationExamples
from ftool_export.parity import parity
from ftool_export.passes import PassSettings
from ftool_export.pipeline import export
from ftool_export.precision_plans import PLANS
from ftool_export.rederive import (
    Derived,
    constant_error,
    derive,
    fed_back_levels,
    jittered,
    weight_error,
)
from ftool_export.report import ParityReport
from ftool_export.settings import ExportSettings
from ftool_runtime.bundle.manifest import Manifest

Change = Callable[[np.ndarray], None]  # of an array, in place
Exported = Callable[[str], Path]


@pytest.fixture(scope="module")
def exported(
    bert: Path, tiny: PassSettings, texts: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Exported:
    """The tiny BERT as a bundle of a precision, such as "w8", or "w8+4" with embeddings in 4 bits, made once."""
    made: dict[str, Path] = {}

    def made_in(precision: str) -> Path:
        if precision not in made:
            folder = tmp_path_factory.mktemp(precision) / "bundle"
            name, _, four = precision.partition("+")
            settings = ExportSettings(
                bundle=folder,
                precision=name,
                device=PLANS["encoder"][name].devices[-1],
                allow_drift=True,
                passes=replace(tiny, embedding_bits=4) if four else tiny,
            )
            loaded = load_classifier(bert)
            examples = ClassificationExamples(loaded=loaded, inputs=texts[::2])
            assert export(settings, loaded, examples).bundle == folder
            made[precision] = folder
        return made[precision]

    return made_in


def parity_of(bert: Path, bundle: Path, texts: list[str]) -> ParityReport:
    loaded = load_classifier(bert)
    return parity(loaded, bundle, ClassificationExamples(loaded=loaded, inputs=texts))


def failed(report: ParityReport) -> set[str]:
    return set(report.to_json()["failed"])


@pytest.mark.parametrize("precision", ["int8", "int8-rows", "int8-static", "w8", "w4", "int8+4", "w4+4"])
def test_an_honest_bundle_is_the_derived_graph_bit_for_bit_on_the_same_machine(
    exported: Exported, bert: Path, texts: list[str], precision: str
) -> None:
    bundle = exported(precision)
    with fresh_captures():
        stored = parity_of(bert, bundle, texts).stored  # other texts than the export's
    assert 0.3 < stored.weight_error <= 0.5  # rounding to the nearest step
    assert stored.constant_error == 0
    assert stored.rounding == 0 < stored.rounding_limit


def test_an_honest_bundle_in_float16_is_the_derived_graph_and_a_changed_one_fails(
    exported: Exported, bert: Path, texts: list[str]
) -> None:
    bundle = exported("fp16")
    stored = parity_of(bert, bundle, texts).stored
    assert stored.weight_error is None
    assert stored.constant_error == 0
    assert stored.rounding == 0 < stored.rounding_limit < 1e-3
    manifest = Manifest.read(bundle)
    graphs = spoiled_graph(bundle, "model", ".bias", next_half)
    with as_bundle(graphs, bundle, manifest) as spoiled:
        assert "constant_error" in failed(parity_of(bert, spoiled, texts))
    graphs = stored_graphs(bundle, manifest)
    norm = next(node for node in graphs["model"].graph if node.op_type == "LayerNormalization")
    norm.attributes["epsilon"] = ir.AttrFloat32("epsilon", 0.1)
    with as_bundle(graphs, bundle, manifest) as spoiled:
        assert "rounding" in failed(parity_of(bert, spoiled, texts))


def next_half(array: np.ndarray) -> None:
    assert array.dtype == np.float16
    array[0] = np.nextafter(array[0], np.float16(np.inf))


def test_a_bundle_exported_before_its_last_layer_computed_one_token_is_derived_in_its_own_form(
    bert: Path, tiny: PassSettings, texts: list[str], tmp_path: Path
) -> None:
    loaded = load_classifier(bert)
    examples = ClassificationExamples(loaded=loaded, inputs=texts)
    settings = ExportSettings(
        bundle=tmp_path / "b", precision="int8", allow_drift=True, passes=replace(tiny, pooled_token=False)
    )
    bundle = export(settings, loaded, examples).bundle
    assert bundle is not None
    manifest = Manifest.read(bundle)
    quantization = {
        name: value for name, value in manifest.evidence["quantization"].items() if name != "pooled_token"
    }
    replace(manifest, evidence={**manifest.evidence, "quantization": quantization}).write(bundle)
    stored = parity(loaded, bundle, examples).stored
    assert stored.constant_error == stored.rounding == 0


def test_an_fp32_bundle_with_swapped_vectors_of_tokens_that_no_example_has_fails(
    exported: Exported, bert: Path, texts: list[str]
) -> None:
    bundle = exported("fp32")
    manifest = Manifest.read(bundle)
    stored = parity_of(bert, bundle, texts[:2]).stored
    assert (stored.constant_error, stored.weight_error, stored.rounding) == (0, None, None)
    graphs = stored_graphs(bundle, manifest)
    constants = graphs["model"].graph.initializers
    table = next(constants[name] for name in constants if "word_embeddings" in name)
    assert table.const_value is not None
    vectors = table.const_value.numpy().copy()
    unseen = sorted(
        set(range(len(vectors))) - {i for row in load_classifier(bert).tokenize(texts[:2]) for i in row.ids}
    )
    vectors[unseen[-2:]] = vectors[unseen[:-3:-1]]
    table.const_value = ir.tensor(vectors, name=table.name)
    with as_bundle(graphs, bundle, manifest) as spoiled:
        assert "constant_error" in failed(parity_of(bert, spoiled, texts[:2]))


def add_to_a_bias(array: np.ndarray) -> None:
    array[0] += 0.3


def swap_rows(array: np.ndarray) -> None:
    array[[3, 5]] = array[[5, 3]]


def swap_columns(array: np.ndarray) -> None:
    array[..., [3, 5]] = array[..., [5, 3]]


def scale_slightly(array: np.ndarray) -> None:
    array *= 1.03


@pytest.fixture(scope="module")
def derived(exported: Exported, bert: Path, texts: list[str]) -> Callable[[str], Derived]:
    """The graphs that the tiny BERT gives in a precision, made once."""
    made: dict[str, Derived] = {}

    def of(precision: str) -> Derived:
        if precision not in made:
            manifest = Manifest.read(exported(precision))
            loaded = load_classifier(bert)
            examples = ClassificationExamples(loaded=loaded, inputs=texts)
            made[precision] = derive(loaded, manifest, stored_graphs(exported(precision), manifest), examples)
        return made[precision]

    return of


def spoiled_graph(bundle: Path, name: str, ending: str, change: Change) -> Models:
    """A bundle's graphs, the first constant of graph `name` whose name has the ending changed."""
    graphs = stored_graphs(bundle, Manifest.read(bundle))
    constants = graphs[name].graph.initializers
    key = next(key for key in constants if key.endswith(ending) and "embed" not in key)
    constant = constants[key].const_value
    assert constant is not None
    array = constant.numpy().copy()
    change(array)
    constants[key].const_value = ir.tensor(array, name=key)
    return graphs


@pytest.mark.parametrize(("precision", "levels"), [("int8", ".int8"), ("w8", ".blocks"), ("w4", ".nibbles")])
def test_a_spoiled_weight_or_constant_is_found(
    exported: Exported, derived: Callable[[str], Derived], precision: str, levels: str
) -> None:
    exact, quantized = derived(precision).exact["model"], derived(precision).quantized["model"]
    biased = spoiled_graph(exported(precision), "model", ".bias", add_to_a_bias)["model"]
    assert constant_error(biased, quantized) > 1e-3
    for ending, change in ((levels, swap_rows), (levels, swap_columns), (".scale", scale_slightly)):
        graph = spoiled_graph(exported(precision), "model", ending, change)["model"]
        fed_back = fed_back_levels(graph, exact, PLANS["encoder"][precision])
        assert weight_error(graph, exact, fed_back) > 0.5, change.__name__


def test_a_spoiled_table_in_4_bits_fails(exported: Exported, bert: Path, texts: list[str]) -> None:
    bundle = exported("int8+4")
    manifest = Manifest.read(bundle)
    for change in (swap_rows, swap_columns):
        graphs = stored_graphs(bundle, manifest)
        constants = graphs["model"].graph.initializers
        table = next(value for name, value in constants.items() if name.endswith(".nibble_rows"))
        assert table.const_value is not None
        levels = table.const_value.numpy().copy()
        change(levels)
        table.const_value = ir.tensor(levels, name=table.name)
        with as_bundle(graphs, bundle, manifest) as spoiled:
            assert "weight_error" in failed(parity_of(bert, spoiled, texts)), change.__name__


def test_a_spoiled_bundle_fails_though_its_hashes_are_right(
    exported: Exported, bert: Path, texts: list[str]
) -> None:
    bundle = exported("int8")
    for ending, change, check in (
        (".bias", add_to_a_bias, "constant_error"),
        (".int8", swap_rows, "weight_error"),
    ):
        graphs = spoiled_graph(bundle, "model", ending, change)
        with as_bundle(graphs, bundle, Manifest.read(bundle)) as spoiled:
            assert check in failed(parity_of(bert, spoiled, texts))


def test_a_graph_that_computes_otherwise_on_the_same_weights_fails(
    exported: Exported, bert: Path, texts: list[str]
) -> None:
    bundle = exported("w8")
    manifest = Manifest.read(bundle)
    graphs = stored_graphs(bundle, manifest)
    norm = next(node for node in graphs["model"].graph if node.op_type == "LayerNormalization")
    norm.attributes["epsilon"] = ir.AttrFloat32("epsilon", 0.1)
    with as_bundle(graphs, bundle, manifest) as spoiled:
        assert failed(parity_of(bert, spoiled, texts)) & {"rounding", "weight_error", "constant_error"} == {
            "rounding"
        }


SOURCES = GenerationExamples(inputs=[[4, 5, 6, 7, 8, 9], [20, 21, 22], [40, 41, 42, 43]])


def exported_generator(loaded: LoadedGenerator, tiny: PassSettings, bundle: Path, precision: str) -> Path:
    loaded.generation_config.update(max_new_tokens=12, max_length=None)
    settings = ExportSettings(bundle=bundle, precision=precision, allow_drift=True, passes=tiny)
    assert export(settings, loaded, SOURCES).bundle == bundle
    return bundle


@pytest.mark.parametrize(("precision", "levels"), [("int8", ".int8"), ("w8", ".blocks"), ("w4", ".nibbles")])
def test_a_generators_bundle_is_derived_too_and_its_swapped_weights_fail(
    make_generator: Callable[..., LoadedGenerator],
    tiny: PassSettings,
    tmp_path: Path,
    precision: str,
    levels: str,
) -> None:
    loaded = make_generator("llama")
    bundle = exported_generator(loaded, tiny, tmp_path / "b", precision)
    with fresh_captures():
        stored = parity(loaded, bundle, SOURCES).stored
    assert 0.3 < stored.weight_error <= 0.5
    assert stored.constant_error == stored.rounding == 0
    graphs = spoiled_graph(bundle, "decoder", levels, swap_rows)
    with as_bundle(graphs, bundle, Manifest.read(bundle)) as spoiled:
        assert "weight_error" in failed(parity(loaded, spoiled, SOURCES))


def test_rounding_of_another_processor_keeps_masks_finite() -> None:
    lowest = np.finfo(np.float32).min
    values = np.array([lowest, -lowest, np.inf, -np.inf, 1.0, 0.0] * 20, dtype=np.float32)
    model = graph("agraph (float[n] x) => (float[n] y) { y = Add(x, c) }", c=values)
    (moved,) = [value.const_value.numpy() for value in jittered(model).graph.initializers.values()]
    np.testing.assert_array_equal(np.isinf(moved), np.isinf(values))
    np.testing.assert_allclose(moved, values, rtol=1e-6)
    assert (moved != values).any()
