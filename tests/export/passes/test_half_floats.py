"""Conversion to float16: what is converted, what stays in float32, and that the CPU imitates what a GPU computes."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from tests.helpers.graphs import check, graph, numbers, run

from ftool_export.graph.guards import count_operators
from ftool_export.graph.half_arithmetic import imitate_half
from ftool_export.graph.session import model_bytes
from ftool_export.passes.half_floats import LARGEST, HalfFloats, to_half

FLOAT, HALF = ir.DataType.FLOAT, ir.DataType.FLOAT16

LAYER = """layer (float[batch, time, 16] x) => (float[batch, time, 16] y)
<float[batch, time, 32] product, float[batch, time, 32] biased, float[batch, time, 32] active,
 float[batch, time, 16] back, float[batch, time, 16] total>
{ product = MatMul (x, w)  biased = Add (product, b)  active = Gelu (biased)  back = MatMul (active, v)
  total = Add (back, x)  y = LayerNormalization <axis: int = -1> (total, s, c) }"""


def layer() -> ir.Model:
    return graph(LAYER, w=numbers(16, 32), b=numbers(32), v=numbers(32, 16), s=numbers(16), c=numbers(16))


def types(model: ir.Model, operator: str) -> set[ir.DataType | None]:
    return {value.dtype for node in model.graph if node.op_type == operator for value in node.outputs}


def test_weights_are_halved_and_only_inputs_and_outputs_are_cast(tmp_path: Path) -> None:
    model = layer()
    before = model_bytes(model)
    model = check(HalfFloats(), model, tmp_path, atol=0.01, x=numbers(2, 3, 16))  # 11 binary digits
    assert model_bytes(model) == before / 2
    assert count_operators(model)["Cast"] == 2  # x, which two nodes read, and y
    assert types(model, "MatMul") == types(model, "LayerNormalization") == {HALF}
    assert [value.dtype for value in (*model.graph.inputs, *model.graph.outputs)] == [FLOAT, FLOAT]
    assert model.graph.outputs[0].name == "y"


def test_a_clone_keeps_its_float32(tmp_path: Path) -> None:
    model = layer()
    HalfFloats()(model.clone())
    assert types(model, "MatMul") == {FLOAT}
    assert all(value.dtype == FLOAT for value in model.graph.initializers.values())
    run(model, tmp_path, x=numbers(2, 3, 16))


POOLING = """pooling (int64[batch, time] ids, int64[batch, time] mask) => (float[batch, 8] y)
<float[batch, time, 16] words, int64[batch, time, 1] column, float[batch, time, 1] weight, float[batch, time, 16] kept,
 float[batch, 16] total, float[batch, 1] length, float[batch, 1] bounded, float[batch, 16] unit>
{ words = Gather (table, ids)  column = Unsqueeze (mask, last)  weight = Cast <to: int = 1> (column)
  kept = Mul (words, weight)  total = ReduceSum <keepdims: int = 0> (kept, axis)  length = ReduceL2 (total, axis)
  bounded = Clip (length, least)  unit = Div (total, bounded)  y = MatMul (unit, w) }"""


def pooling(scale: float) -> ir.Model:
    table = np.abs(numbers(9, 16)) * np.float32(scale)
    axes = {"last": np.array([-1]), "axis": np.array([1])}
    return graph(POOLING, table=table, least=np.array(1e-12, np.float32), w=numbers(16, 8), **axes)


def test_sums_over_tokens_and_lengths_of_vectors_stay_in_float32(tmp_path: Path) -> None:
    ids = np.tile(np.arange(9), (2, 10))
    feeds = {"ids": ids, "mask": np.ones_like(ids)}
    model = pooling(4000.0)  # a sum of 90 vectors, and a square of one number, exceed 65,504
    expected = run(model, tmp_path, **feeds)[0]
    HalfFloats()(model)
    assert types(model, "Gather") == types(model, "MatMul") == {HALF}
    for operator in ("Mul", "ReduceSum", "ReduceL2", "Clip", "Div"):
        assert types(model, operator) == {FLOAT}, operator
    assert count_operators(model)["Cast"] == 4  # the mask's own; words, unit and y
    np.testing.assert_allclose(run(imitate_half(model), tmp_path, **feeds)[0], expected, atol=0.01)


def test_a_vector_of_zeros_is_not_divided_by_0(tmp_path: Path) -> None:
    model = pooling(0.0)
    HalfFloats()(model)
    ids = np.zeros((1, 3), np.int64)
    assert (run(imitate_half(model), tmp_path, ids=ids, mask=np.ones_like(ids))[0] == 0).all()


def test_a_small_limit_of_a_divisor_is_not_rounded_to_0(tmp_path: Path) -> None:
    body = """limited (float[batch, 16] x) => (float[batch, 16] y)
    <float[batch, 16] h, float[batch, 16] bounded>
    { h = MatMul (x, w)  bounded = Clip (h, least)  y = Div (h, bounded) }"""
    model = graph(body, w=numbers(16, 16), least=np.array(1e-12, np.float32))
    HalfFloats()(model)
    assert types(model, "Clip") == types(model, "Div") == {FLOAT}
    assert (run(imitate_half(model), tmp_path, x=np.zeros((1, 16), np.float32))[0] == 0).all()


MASKED = """masked (float[batch, time] scores, bool[batch, time] real) => (float[batch, time] y)
<float[batch, time] bias, float[batch, time] product, float[batch, time] total>
{ bias = Where (real, zero, lowest)  product = MatMul (scores, w)  total = Add (product, bias)
  y = Softmax <axis: int = -1> (total) }"""


def test_a_mask_beyond_the_range_becomes_the_largest_number(tmp_path: Path) -> None:
    constants = {"zero": np.array(0, np.float32), "lowest": np.array(np.finfo(np.float32).min)}
    feeds = {"scores": numbers(2, 4), "real": np.array([[True, True, False, False], [True] * 4])}
    model = graph(MASKED, w=numbers(4, 4), **constants)
    model = check(HalfFloats(), model, tmp_path, atol=0.01, **feeds)
    (mask,) = (v.const_value.numpy() for v in model.graph.initializers.values() if v.name == "lowest")
    assert mask == -LARGEST
    nothing = {**feeds, "real": np.zeros((2, 4), np.bool_)}  # as in a row of padding
    assert np.isfinite(run(imitate_half(model), tmp_path, **nothing)[0]).all()


def test_finite_numbers_stay_finite_and_infinite_ones_infinite() -> None:
    given = np.array([1e5, -3.4e38, 65519.0, np.inf, -np.inf, 1.5, 1e-9], np.float32)
    np.testing.assert_array_equal(to_half(given), [LARGEST, -LARGEST, LARGEST, np.inf, -np.inf, 1.5, 0])


def test_a_constant_that_nodes_of_both_kinds_read_is_kept_in_both(tmp_path: Path) -> None:
    body = """both (float[batch, 16] x) => (float[batch, 16] y, float[batch, 16] z)
    { y = MatMul (x, w)  z = Pow (x, w1) }"""
    model = graph(body.replace("w1", "e"), w=numbers(16, 16), e=np.full(16, 2, np.float32))
    HalfFloats()(model)
    assert (types(model, "MatMul"), types(model, "Pow")) == ({HALF}, {FLOAT})
    shared = graph(body.replace("w1", "w"), w=np.ones((16, 16), np.float32))
    model = check(HalfFloats(), shared, tmp_path, atol=0.01, x=numbers(16, 16))
    assert {name: value.dtype for name, value in model.graph.initializers.items()} == {
        "w": FLOAT,
        "w.half": HALF,
    }


@pytest.mark.parametrize(("size", "finite"), [(1.0, True), (1e5, False)])
def test_the_imitation_overflows_where_the_cpu_alone_would_not(
    tmp_path: Path, size: float, finite: bool
) -> None:
    body = """large (float[batch, 16] x) => (float[batch, 16] y)
    <float[batch, 16] first, float[batch, 16] up, float[batch, 16] down>
    { first = MatMul (x, w)  up = Mul (first, a)  down = Mul (up, c)  y = MatMul (down, w) }"""
    root = np.array([size**0.5], np.float32)
    model = graph(body, a=root, c=1 / root, w=np.eye(16, dtype=np.float32))
    HalfFloats()(model)
    x = np.full((1, 16), 1000, np.float32)
    assert np.isfinite(run(model, tmp_path, x=x)[0]).all()
    assert np.isfinite(run(imitate_half(model), tmp_path, x=x)[0]).all() == finite


def test_the_imitation_rounds_after_every_operator(tmp_path: Path) -> None:
    model = graph(LAYER, w=numbers(16, 32), b=numbers(32), v=numbers(32, 16), s=numbers(16), c=numbers(16))
    HalfFloats()(model)
    x = numbers(2, 3, 16)
    product = x.astype(np.float16).astype(np.float32) @ to_half(numbers(16, 32)).astype(np.float32)
    node = next(node for node in model.graph if node.op_type == "MatMul")
    node.outputs[0].name = "first"
    imitated = imitate_half(model)
    rounded = next(v for node in imitated.graph for v in node.outputs if v.name == "first.rounded")
    imitated.graph.outputs.append(rounded)
    found = run(imitated, tmp_path, x=x)[1]
    np.testing.assert_array_equal(found, found.astype(np.float16))
    np.testing.assert_allclose(found, product, rtol=2**-11, atol=1e-3)
