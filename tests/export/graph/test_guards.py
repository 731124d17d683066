"""Each guard refuses the kind of damage that it checks for, and its error names the stage."""

import pickle
from dataclasses import replace

import numpy as np
import onnx_ir as ir
import pytest

from ftool_export.errors import ExportError, GuardError
from ftool_export.graph.graphs import Graphs
from ftool_export.graph.guards import (
    check_answers,
    check_none_missed,
    check_quantized,
    check_structure,
    count_operators,
)
from ftool_export.passes import PassSettings
from ftool_export.passes.matching import constant_matmuls
from ftool_export.precision_plans import PLANS, precision_plan
from ftool_export.quantization import quantize


@pytest.fixture
def graph(source: Graphs) -> ir.Model:
    """A copy to damage."""
    return source.models["model"].clone()


def test_a_whole_graph_passes(source: Graphs, graph: ir.Model) -> None:
    check_structure("capture", graph, source.contracts["model"])
    assert check_answers("capture", {"model": graph}, source.probes, quantized=False) < 1e-4


def test_an_empty_graph_is_refused(source: Graphs) -> None:
    empty = ir.Model(ir.Graph([], [], nodes=[], opset_imports={"": 20}), ir_version=10)
    with pytest.raises(GuardError, match="after capture: the graph is empty"):
        check_structure("capture", empty, source.contracts["model"])


def test_a_missing_input_is_refused(source: Graphs, graph: ir.Model) -> None:
    graph.graph.inputs[1].name = "mask"
    with pytest.raises(GuardError, match="input_ids, mask instead of input_ids, attention_mask"):
        check_structure("capture", graph, source.contracts["model"])


def test_an_input_that_nothing_reads_is_refused(source: Graphs, graph: ir.Model) -> None:
    ids, mask = graph.graph.inputs
    ir.convenience.replace_all_uses_with(mask, ids)
    with pytest.raises(GuardError, match="nothing reads the input attention_mask"):
        check_structure("capture", graph, source.contracts["model"])


@pytest.mark.parametrize("axis", [0, 1])
def test_a_fixed_axis_is_refused(source: Graphs, graph: ir.Model, axis: int) -> None:
    shape: list[int | str] = ["batch", "sequence"]
    shape[axis] = 9
    graph.graph.inputs[0].shape = ir.Shape(shape)
    with pytest.raises(GuardError, match=f"axis {axis} of input_ids is fixed"):
        check_structure("capture", graph, source.contracts["model"])


def test_a_fused_attention_that_went_missing_is_refused(source: Graphs, graph: ir.Model) -> None:
    node = next(node for node in graph.graph if node.op_type == "MultiHeadAttention")
    node.op_type = "SomethingElse"
    with pytest.raises(GuardError, match="has 1 MultiHeadAttention; 2 fused attentions"):
        check_structure("capture", graph, source.contracts["model"])


def test_a_graph_that_does_not_load_is_refused(source: Graphs, graph: ir.Model) -> None:
    next(node for node in graph.graph if node.op_type == "MatMul").op_type = "NoSuchOperator"
    with pytest.raises(GuardError, match=r"ONNX Runtime refuses the graph: .*NoSuchOperator"):
        check_answers("tidying", {"model": graph}, source.probes, quantized=False)


def test_answers_that_differ_from_torch_are_refused(source: Graphs, graph: ir.Model) -> None:
    weight = constant_matmuls(graph)[0].inputs[1]
    assert weight is not None
    assert weight.const_value is not None
    weight.const_value = ir.tensor(weight.const_value.numpy() * np.float32(1.01))
    with pytest.raises(GuardError, match=r"logits differ from torch by .*, allowed 1e-04"):
        check_answers("tidying", {"model": graph}, source.probes, quantized=False)


def test_a_swapped_scale_is_refused(source: Graphs, tiny: PassSettings) -> None:
    plan = PLANS["encoder"]["int8"]
    quantized = quantize(source, plan, tiny)
    for node in quantized.models["model"].graph:
        if node.op_type == "DynamicQuantizeMatMul":
            scale = node.inputs[2]
            assert scale is not None
            assert scale.const_value is not None
            scale.const_value = ir.tensor(scale.const_value.numpy() * np.float32(3))
    with pytest.raises(GuardError, match="logits are off by"):
        check_answers("quantize_matmul", quantized.models, quantized.probes, quantized=True)


def test_products_left_in_fp32_are_refused_unless_named(source: Graphs) -> None:
    names = [node.metadata_props["layer"] for node in constant_matmuls(source.models["model"], 512)]
    with pytest.raises(GuardError, match=r"still in fp32: .*query\+key\+value"):
        check_none_missed("quantize_matmul", source.models["model"], 512, frozenset(names[1:]))
    check_none_missed("quantize_matmul", source.models["model"], 512, frozenset(names))
    with pytest.raises(GuardError, match="0 of 9 products became DynamicQuantizeMatMul"):
        check_quantized("quantize_matmul", source.models["model"], "DynamicQuantizeMatMul", 9)


def test_a_layer_left_out_stays_in_fp32(source: Graphs, tiny: PassSettings) -> None:
    name = constant_matmuls(source.models["model"], 512)[0].metadata_props["layer"]
    settings = PassSettings(smallest=512, smallest_table=512, left_out=frozenset({name}))
    graph = quantize(source, PLANS["encoder"]["w8"], settings).models["model"]
    assert [node.metadata_props["layer"] for node in constant_matmuls(graph, 512)] == [name]


def test_a_layer_left_out_of_int8_gets_8_bit_blocks(source: Graphs, tiny: PassSettings) -> None:
    settings = replace(
        tiny, left_out=frozenset({constant_matmuls(source.models["model"], 512)[0].metadata_props["layer"]})
    )
    graph = quantize(source, PLANS["encoder"]["int8"], settings).models["model"]
    assert not constant_matmuls(graph, 512)
    assert count_operators(graph)["MatMulNBits"] == 1


def test_a_guard_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(GuardError("capture", "the graph is empty")))
    assert (error.stage, str(error)) == ("capture", "export stopped after capture: the graph is empty")


def test_precisions_say_where_they_run() -> None:
    with pytest.raises(
        ExportError, match="int8 does not run on 'cuda'; use --precision fp32 or fp16, or --device cpu"
    ):
        precision_plan("int8", "cuda")
    with pytest.raises(ExportError, match=r"fp16 does not run on 'cpu'; .* or --device cuda"):
        precision_plan("fp16", "cpu")
    with pytest.raises(ExportError, match=r"fp32, fp16, int8, .*w8, w4"):
        precision_plan("int4", "cpu")
