"""The search for layers to keep in fp32 takes the most harmful layers first, and no more than the gate requires."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ftool_runtime as ft
from ftool_export.checkpoints.classifier import LoadedClassifier, compute_logits
from ftool_export.checkpoints.encoder import compute_outputs
from ftool_export.examples.classification import ClassificationExamples
from ftool_export.examples.generation import sample_examples
from ftool_export.gate import judge
from ftool_export.graph.graphs import Graphs
from ftool_export.graph.sensitivity import fewest_left_out, outputs_on, rank_layers
from ftool_export.passes import PassSettings
from ftool_export.pipeline import export
from ftool_export.precision_plans import PLANS
from ftool_export.quantization import quantizable_layers
from ftool_export.settings import ExportSettings
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.session.encoder_engine import Outputs
from ftool_runtime.text.encode import Tokens


@given(st.integers(1, 80), st.integers(1, 80))
def test_as_few_layers_as_needed_are_left_out(layers: int, needed: int) -> None:
    ranked = [f"layer.{number}" for number in range(layers)]
    tried = []

    def trial(left_out: Sequence[str]) -> bool:
        tried.append(len(left_out))
        assert list(left_out) == ranked[: len(left_out)]  # the worst first
        return len(left_out) >= needed

    found = fewest_left_out(ranked, trial)
    if needed <= layers // 2:
        assert found is not None
        assert found == tuple(ranked[:needed])
    else:
        assert found is None  # past half the layers another precision is the better choice
    assert len(tried) == len(set(tried)) <= 2 * max(1, layers).bit_length()


def add_outliers(model: ir.Model, layer: str) -> None:
    """Give every channel of a layer's weight an outlier: 7 bits leave nothing for the other numbers."""
    for node in model.graph:
        if node.metadata_props.get("layer") == layer and node.op_type == "MatMul":
            weight = node.inputs[1]
            assert weight is not None
            assert weight.const_value is not None
            array = weight.const_value.numpy().copy()
            array[0] *= 300
            weight.const_value = ir.tensor(array)


def test_the_layer_that_quantises_worst_ranks_first(
    source: Graphs, tiny: PassSettings, texts: list[str]
) -> None:
    model = source.models["model"].clone()
    worst = next(name for name in quantizable_layers(model, tiny) if name.endswith("1.output.dense"))
    add_outliers(model, worst)
    plan = PLANS["encoder"]["int8"]
    ranked = rank_layers({"model": model}, plan, tiny, outputs_on(source.loaded, texts, plan))
    assert ranked[0] == worst
    assert sorted(ranked) == sorted(quantizable_layers(model, tiny))


@pytest.mark.parametrize(
    ("name", "graph", "ending"),
    [("gpt2", "decoder", "h.1.mlp.c_proj"), ("bart", "encoder", "1.fc2"), ("bart", "decoder", "1.fc2")],
)
def test_layers_of_generators_are_ranked_across_their_graphs(
    graphs_of: Callable[..., Graphs], tiny: PassSettings, name: str, graph: str, ending: str
) -> None:
    source, plan = graphs_of(name), PLANS["decoder"]["int8"]
    models = source.clone().models
    worst = next(layer for layer in quantizable_layers(models[graph], tiny) if layer.endswith(ending))
    add_outliers(models[graph], worst)
    inputs = sample_examples(source.loaded).inputs
    ranked = rank_layers(models, plan, tiny, outputs_on(source.loaded, inputs, plan))
    assert next(layer for layer in ranked if layer in quantizable_layers(models[graph], tiny)) == worst
    products = [layer for model in models.values() for layer in quantizable_layers(model, tiny)]
    assert set(products) <= set(ranked)
    assert len(ranked) == len(set(ranked))
    assert any("lm_head" in layer for layer in ranked)


def test_a_refused_graph_is_mended_by_leaving_layers_out(
    source: Graphs, tiny: PassSettings, texts: list[str], tmp_path: Path
) -> None:
    reference = compute_logits(cast(LoadedClassifier, source.loaded), texts)
    everything = _distance(source, tiny, texts, reference)

    def score(
        logits: np.ndarray,
    ) -> float:  # a stand-in for a metric, that falls with the distance from torch
        return 1.0 - float(np.abs(logits - reference).mean()) / everything

    settings = ExportSettings(bundle=tmp_path / "b", max_drop=0.42, passes=tiny)
    report = export(settings, source.loaded, _examples(source, texts, score), captured=source)
    assert report.verdict.passed
    assert 0 < len(report.left_out) <= len(quantizable_layers(source.models["model"], tiny)) // 2
    manifest = Manifest.read(tmp_path / "b")
    assert manifest.precision.left_out == report.left_out
    with ft.load(tmp_path / "b") as model:  # the judged draft is the one that ships
        assert score(model.outputs(texts)) == pytest.approx(report.verdict.bundle)


def _distance(source: Graphs, tiny: PassSettings, texts: list[str], reference: np.ndarray) -> float:
    from ftool_export.graph.session import encoder_outputs
    from ftool_export.quantization import quantize

    graph = quantize(source, PLANS["encoder"]["int8"], tiny).models["model"]
    rows = source.loaded.tokenize(texts)
    outputs = encoder_outputs(graph, source.loaded, rows, one_by_one=True)
    return float(np.abs(np.asarray(outputs) - reference).mean())


def _examples(
    source: Graphs, texts: list[str], scorer: Callable[[np.ndarray], float] | None
) -> ClassificationExamples:
    metric = "closeness" if scorer else None
    loaded = cast(LoadedClassifier, source.loaded)
    return ClassificationExamples(loaded=loaded, inputs=texts, metric=metric, scorer=scorer)


@dataclass(frozen=True)
class Torch:
    """A model that gives the checkpoint's own outputs, with the sign changed for the texts in `negated`."""

    loaded: LoadedClassifier
    negated: Sequence[str] = ()

    def outputs(self, texts: Sequence[str]) -> np.ndarray:
        signs = np.array([[-1.0 if text in self.negated else 1.0] for text in texts], dtype=np.float32)
        return compute_logits(self.loaded, texts) * signs

    def token_outputs(self, rows: Sequence[Tokens]) -> Outputs:
        return compute_outputs(self.loaded, rows)


def test_the_gate_counts_a_drop_of_exactly_the_limit_as_passed(source: Graphs, texts: list[str]) -> None:
    model = Torch(cast(LoadedClassifier, source.loaded))
    scores = iter([0.93, 0.92, 0.93, 0.9199])
    examples = _examples(source, texts, lambda _: next(scores))
    assert judge(source.loaded, model, examples, precision="w8", max_drop=0.01).passed
    assert not judge(source.loaded, model, examples, precision="w8", max_drop=0.01).passed


def test_without_labels_nothing_is_judged(source: Graphs, texts: list[str]) -> None:
    model = Torch(cast(LoadedClassifier, source.loaded), negated=texts[:1])
    examples = _examples(source, texts, None)
    found = judge(source.loaded, model, examples, precision="w8", max_drop=0.01, allow_drift=True)
    assert found.passed
    assert not found.judged
    assert found.drop is None
    assert found.agreement == pytest.approx(1 - 1 / len(texts))
