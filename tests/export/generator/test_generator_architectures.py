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


def test_an_attention_of_its_own_is_exported_with_joined_caches(graphs_of: GraphsOf) -> None:
    graphs = graphs_of("gpt_neo")
    assert (graphs.attention, graphs.caches) == ("plain", "joined")


@pytest.mark.parametrize("name", ["gpt2", "t5"])
def test_a_head_size_that_the_operator_refuses_leads_to_joined_caches(name: str, graphs_of: GraphsOf) -> None:
    changes = {"n_embd": 48} if name == "gpt2" else {"d_kv": 12}
    graphs = graphs_of(name, **changes)
    assert (graphs.attention, graphs.caches) == ("plain", "joined")


def test_a_window_over_joined_caches_counts_tokens_and_not_holes(graphs_of: GraphsOf) -> None:
    graphs = graphs_of(
        "mistral", hidden_size=48
    )  # heads of 12; its probes hold ragged prompts with steps behind
    assert (graphs.attention, graphs.caches) == ("plain", "joined")
