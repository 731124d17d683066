"""Each guard of a generator's graphs refuses the kind of damage that it checks for, and its error names the stage."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx_ir as ir
import pytest
import torch

from ftool_export.capture.attention import IMPLEMENTATION
from ftool_export.errors import ExportError, GuardError
from ftool_export.graph.graphs import Graphs
from ftool_export.graph.guards import check_answers, check_structure, count_operators
from ftool_export.passes import PassSettings
from ftool_export.passes.matching import initializer, layer_of
from ftool_export.passes.tie_head import tied_products
from ftool_export.precision_plans import PLANS, precision_plan
from ftool_export.quantization import check_tables, quantize, saved_by_nibbles

GraphsOf = Callable[..., Graphs]


@pytest.fixture(scope="session")
def graphs(graphs_of: GraphsOf) -> Graphs:
    """The tiny GPT-2; tests that change its graph clone it."""
    return graphs_of("gpt2")


def node_of(model: ir.Model, operator: str) -> ir.Node:
    return next(node for node in model.graph if node.op_type == operator)


def test_a_fixed_axis_is_refused(graphs: Graphs) -> None:
    decoder = graphs.models["decoder"].clone()
    cache = next(value for value in decoder.graph.inputs if value.name == "past.0.key")
    cache.shape = ir.Shape(["batch", 4, 32, 8])
    with pytest.raises(GuardError, match=r"after capture: axis 2 of past\.0\.key is fixed"):
        check_structure("capture", decoder, graphs.contracts["decoder"])


def test_a_lost_input_is_refused(graphs: Graphs) -> None:
    decoder = graphs.models["decoder"].clone()
    decoder.graph.inputs[1].name = "positions"
    with pytest.raises(GuardError, match="takes input_ids, positions"):
        check_structure("capture", decoder, graphs.contracts["decoder"])


def test_a_lost_output_is_refused(graphs: Graphs) -> None:
    decoder = graphs.models["decoder"].clone()
    decoder.graph.outputs.pop()
    with pytest.raises(GuardError, match=r"gives logits, present\.0\.key"):
        check_structure("capture", decoder, graphs.contracts["decoder"])


def test_a_lost_attention_is_refused(graphs: Graphs) -> None:
    decoder = graphs.models["decoder"].clone()
    node_of(decoder, "GroupQueryAttention").op_type = "MultiHeadAttention"
    with pytest.raises(GuardError, match="has 1 GroupQueryAttention; 2 fused attentions"):
        check_structure("capture", decoder, graphs.contracts["decoder"])


def test_an_empty_graph_is_refused(graphs: Graphs) -> None:
    empty = ir.Model(ir.Graph([], [], nodes=[], opset_imports={"": 20}), ir_version=10)
    with pytest.raises(GuardError, match="the graph is empty"):
        check_structure("capture", empty, graphs.contracts["decoder"])


def test_other_answers_than_those_of_torch_are_refused(graphs: Graphs) -> None:
    decoder = graphs.models["decoder"].clone()
    node_of(decoder, "GroupQueryAttention").attributes["scale"] = ir.AttrFloat32("scale", 0.5)
    with pytest.raises(GuardError, match="logits differ from torch"):
        check_answers("capture", {"decoder": decoder}, graphs.probes, quantized=False)


def test_a_cache_that_is_wrong_from_the_second_step_on_is_refused(graphs: Graphs) -> None:
    decoder = graphs.models["decoder"].clone()
    for node in decoder.graph:
        if node.op_type == "GroupQueryAttention":  # a window of one token: a prompt of one token still fits
            node.attributes["local_window_size"] = ir.AttrInt64("local_window_size", 1)
    with pytest.raises(GuardError, match="logits differ from torch"):
        check_answers(
            "capture",
            {"decoder": decoder},
            [probe for probe in graphs.probes if probe.name == "prompts of one token"],
            quantized=False,
        )


def test_a_wrong_scale_of_a_quantised_graph_is_refused(graphs: Graphs, tiny: PassSettings) -> None:
    w8 = quantize(graphs, PLANS["decoder"]["w8"], tiny)
    product = next(node for node in w8.models["decoder"].graph if node.op_type == "MatMulNBits")
    scale = product.inputs[2]
    assert scale is not None
    assert scale.const_value is not None
    wrong = initializer(
        w8.models["decoder"].graph, "wrong", np.full(scale.const_value.numpy().shape, 9.0, np.float32)
    )
    product.replace_input_with(2, wrong)
    with pytest.raises(GuardError, match="logits are off by"):
        check_answers("quantize_blocks", {"decoder": w8.models["decoder"]}, w8.probes, quantized=True)


def test_a_graph_that_does_not_load_is_refused(graphs: Graphs) -> None:
    decoder = graphs.models["decoder"].clone()
    node_of(decoder, "LayerNormalization").op_type = "NoSuchOperator"
    with pytest.raises(GuardError, match="ONNX Runtime refuses the graph"):
        check_answers("capture", {"decoder": decoder}, graphs.probes, quantized=False)


def test_a_tied_head_that_is_left_out_stays_in_fp32(graphs: Graphs, tiny: PassSettings) -> None:
    head = layer_of(tied_products(graphs.models["decoder"])[0])
    w8 = quantize(graphs, PLANS["decoder"]["w8"], replace(tiny, left_out=frozenset({head})))
    assert len(tied_products(w8.models["decoder"])) == 1


def test_embeddings_get_4_bits_unless_the_head_reads_their_table(
    graphs: Graphs, graphs_of: GraphsOf, tiny: PassSettings
) -> None:
    settings, plan = replace(tiny, embedding_bits=4), PLANS["decoder"]["w8"]
    with pytest.raises(ExportError, match=r"the output layer .* reads the embedding table too"):
        check_tables(graphs, plan, settings)
    assert saved_by_nibbles(graphs, plan, settings) == 0
    untied = graphs_of("llama", tie_word_embeddings=False)
    check_tables(untied, plan, settings)
    assert saved_by_nibbles(untied, plan, settings) > 0
    operators = count_operators(quantize(untied, plan, settings).models["decoder"])
    assert operators["GatherBlockQuantized"] == 1


def test_quantising_leaves_the_fp32_graphs_as_they_were(graphs: Graphs, tiny: PassSettings) -> None:
    before = graphs.models["decoder"].graph.num_nodes()
    quantize(graphs, PLANS["decoder"]["w8"], tiny)
    assert graphs.models["decoder"].graph.num_nodes() == before


def test_a_device_other_than_the_cpu_is_refused() -> None:
    with pytest.raises(ExportError, match="don't run on 'cuda' yet"):
        precision_plan("w8", "cuda", "decoder")


@pytest.mark.parametrize("name", ["gpt2", "t5", "gpt_neo"])
def test_a_captured_model_is_as_it_was(name: str, graphs_of: GraphsOf) -> None:
    model = graphs_of(name).loaded.model
    for part in model.modules():
        assert not {"forward", "compute_bias"} & set(vars(part))
        assert not part._forward_pre_hooks
    assert model.config._attn_implementation != IMPLEMENTATION
    tokens = {
        "inputs": torch.tensor([[5, 6, 7]]),
        "max_new_tokens": 3,
        "do_sample": False,
        "eos_token_id": None,
    }
    assert model.generate(**tokens).shape[1] >= 4
    assert not model.training
