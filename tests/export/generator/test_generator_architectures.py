"""Every architecture's graphs answer as torch does: prompts, ragged ones, steps, answers begun, in every precision."""

from collections.abc import Callable

import pytest

from ftool_export.generator.precision import GeneratorGraphs, quantize_generator
from ftool_export.guards import FP32_TOLERANCE, count_operators
from ftool_export.passes import PassSettings
from ftool_export.precision import PRECISIONS

GraphsOf = Callable[..., GeneratorGraphs]

# One a mechanism runs always: position bias, learned positions, grouped heads with rotation, caches that are joined.
FUSED_ALWAYS = ("t5", "gpt2", "llama")
FUSED = (
    "mt5",
    "t5-gated",
    "bart",
    "mbart",
    "marian",
    "pegasus",
    "m2m_100",
    "opt",
    "opt-post-norm",
    "mistral",
    "qwen2",
    "qwen3",
    "gemma",
    "gemma2",
    "phi",
)
EACH = [*FUSED_ALWAYS, *(pytest.param(name, marks=pytest.mark.slow) for name in FUSED)]


@pytest.mark.parametrize("name", EACH)
def test_attention_is_fused_and_answers_are_those_of_torch(name: str, graphs_of: GraphsOf) -> None:
    graphs = graphs_of(name)
    assert (graphs.attention, graphs.caches) == ("fused", "in_place")
    largest = max(abs(probe.logits).max() for probe in graphs.probes)
    assert graphs.difference <= FP32_TOLERANCE * max(1.0, largest)
    assert count_operators(graphs.decoder)["GroupQueryAttention"] == 2  # layers


@pytest.mark.parametrize("name", EACH)
@pytest.mark.parametrize("precision", ["int8", "w8"])
def test_quantised_graphs_answer_nearly_as_torch_does(
    name: str, precision: str, graphs_of: GraphsOf, tiny: PassSettings
) -> None:
    graphs = quantize_generator(graphs_of(name), PRECISIONS[precision], tiny)
    operators = count_operators(graphs.decoder)
    assert operators["MatMul"] == operators["FusedMatMul"] == operators["Gemm"] == 0
