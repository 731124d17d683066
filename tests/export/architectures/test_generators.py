"""Graphs of generators of all architectures give the outputs of torch; quantised graphs nearly do."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ftool_export.architectures.supported import GENERATORS
from ftool_export.graph.activations import input_statistics
from ftool_export.graph.graphs import Graphs
from ftool_export.graph.guards import FP32_TOLERANCE, count_operators
from ftool_export.passes import PassSettings
from ftool_export.passes.matching import constant_matmuls
from ftool_export.precision_plans import PLANS
from ftool_export.quantization import quantize

GraphsOf = Callable[..., Graphs]

# Always run, one per mechanism: position bias, learned positions, grouped heads with rotation, concatenated caches.
ALWAYS = {"t5", "gpt2", "llama", "gpt_neo"}
EACH = [
    name if name in ALWAYS else pytest.param(name, marks=pytest.mark.slow)
    for name in ("t5-gated", "opt-post-norm", *dict.fromkeys(row.model_type for row in GENERATORS))
]
RECORDS = {row.model_type: row for row in GENERATORS}


@pytest.mark.parametrize("name", EACH)
def test_answers_are_those_of_torch_and_attention_is_as_the_docs_say(name: str, graphs_of: GraphsOf) -> None:
    graphs = graphs_of(name)
    record = RECORDS[graphs.loaded.model.config.model_type]
    assert (graphs.attention, graphs.caches) == (record.attention, record.caches)
    assert graphs.loaded.family == record.family
    largest = max(abs(probe.outputs).max() for probe in graphs.probes)
    assert graphs.difference <= FP32_TOLERANCE * max(1.0, largest)
    layers = 2 if record.attention == "fused" else 0
    assert count_operators(graphs.models["decoder"])["GroupQueryAttention"] == layers


@pytest.mark.parametrize("name", EACH)
@pytest.mark.parametrize("precision", ["int8", "w8", "w4"])
def test_quantised_graphs_answer_nearly_as_torch_does(
    name: str, precision: str, graphs_of: GraphsOf, tiny: PassSettings
) -> None:
    source = graphs_of(name)
    probes: Any = [probe for probe in source.probes if probe.real]
    rows = [row for probe in probes for row in probe.sources or probe.prompts]
    read = input_statistics(source.models, source.loaded, rows, tiny.smallest) if precision == "w4" else {}
    settings = replace(tiny, grams={weight: one.gram for weight, one in read.items()})
    graphs = quantize(source, PLANS["decoder"][precision], settings)  # which compares with torch
    for graph in (graphs.models.get("encoder"), graphs.models["decoder"]):
        assert graph is None or not constant_matmuls(graph, tiny.smallest)
    assert count_operators(graphs.models["decoder"])["FusedMatMul"] == 0
    assert graphs.difference > source.difference


@pytest.mark.parametrize("name", ["gpt2", "t5"])
def test_a_head_size_that_the_operator_refuses_leads_to_concatenated_caches(
    name: str, graphs_of: GraphsOf
) -> None:
    changes = {"n_embd": 48, "n_layer": 1} if name == "gpt2" else {"d_kv": 12, "num_layers": 1}
    graphs = graphs_of(name, **changes)
    assert (graphs.attention, graphs.caches) == ("plain", "joined")


def test_a_window_over_concatenated_caches_counts_tokens_and_not_holes(graphs_of: GraphsOf) -> None:
    graphs = graphs_of(
        "mistral", hidden_size=48, num_hidden_layers=1
    )  # heads of 12; its probes hold ragged prompts with steps behind
    assert (graphs.attention, graphs.caches) == ("plain", "joined")


def test_positions_are_turned_by_one_operator_for_query_and_one_for_key(graphs_of: GraphsOf) -> None:
    operators = count_operators(graphs_of("llama").models["decoder"])
    assert operators["RotaryEmbedding"] == 4  # in two layers
    assert operators["Neg"] == operators["Transpose"] == 0


@pytest.mark.slow
def test_positions_that_turn_neighbours_are_left_to_the_architecture(graphs_of: GraphsOf) -> None:
    assert count_operators(graphs_of("cohere").models["decoder"])["RotaryEmbedding"] == 0


def test_a_norm_is_one_operator_and_a_bias_is_looked_up(graphs_of: GraphsOf) -> None:
    for graph, norms in ((graphs_of("t5").models["encoder"], 5), (graphs_of("t5").models["decoder"], 7)):
        operators = count_operators(graph)
        assert operators["SimplifiedLayerNormalization"] == norms
        assert operators["Log"] == operators["ReduceMean"] == 0
