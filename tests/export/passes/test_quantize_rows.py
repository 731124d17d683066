"""int8 products with a scale per row: close to the fp32 product, and bit for bit equal for single and batched rows."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from tests.helpers.graphs import graph, run

from ftool_export.passes import PassSettings
from ftool_export.passes.quantize_rows import QuantizeRows

TWO = """two (float[batch, t, 64] x) => (float[batch, t, 48] y, float[batch, t, 32] z)
{ p = MatMul (x, w)  y = Add (p, b)  z = MatMul (x, v) }"""
ALL = PassSettings(smallest=1)
RANDOM = np.random.default_rng(5)
WEIGHTS = {
    "w": RANDOM.standard_normal((64, 48), dtype=np.float32),
    "b": RANDOM.standard_normal(48, dtype=np.float32),
    "v": RANDOM.standard_normal((64, 32), dtype=np.float32),
}
INPUT = RANDOM.standard_normal((3, 5, 64), dtype=np.float32)


@pytest.fixture
def model() -> ir.Model:
    """Two products of one input, one with a bias."""
    return graph(TWO, **WEIGHTS)


def test_the_products_stay_close(model: ir.Model, tmp_path: Path) -> None:
    result = QuantizeRows(ALL)(model)
    assert result.modified
    for found, expected in zip(
        run(model, tmp_path, x=INPUT),
        (INPUT @ WEIGHTS["w"] + WEIGHTS["b"], INPUT @ WEIGHTS["v"]),
        strict=True,
    ):
        error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
        assert 0.001 < error < 0.02  # a hundredth for 8 and 7 bits; nothing would be fp32


def test_a_rows_result_is_the_same_bit_for_bit_beside_an_outlier(model: ir.Model, tmp_path: Path) -> None:
    QuantizeRows(ALL)(model)
    alone = run(model, tmp_path, x=INPUT[:1, :1])
    company = INPUT.copy()
    company[1] *= 1000
    for one, several in zip(alone, run(model, tmp_path, x=company), strict=True):
        np.testing.assert_array_equal(one[0, 0], several[0, 0])


def test_a_row_of_zeros_is_the_bias(model: ir.Model, tmp_path: Path) -> None:
    QuantizeRows(ALL)(model)
    y, z = run(model, tmp_path, x=np.zeros((1, 2, 64), np.float32))
    np.testing.assert_array_equal(y, np.broadcast_to(WEIGHTS["b"], y.shape))
    np.testing.assert_array_equal(z, np.zeros_like(z))


def test_an_input_is_quantised_once_for_all_that_read_it(model: ir.Model) -> None:
    QuantizeRows(ALL)(model)
    operators = [node.op_type for node in model.graph]
    assert operators.count("QuantizeLinear") == operators.count("ReduceMax") == 1
    assert operators.count(QuantizeRows.operator) == 2
    weights = [
        v.const_value.numpy() for v in model.graph.initializers.values() if v.dtype == ir.DataType.INT8
    ]
    assert sorted(w.shape for w in weights) == [(64, 32), (64, 48)]
    assert all(np.abs(w.astype(int)).max() == 64 for w in weights)  # 7 bits: no CPU's sums saturate


def test_layers_left_out_and_small_ones_stay(model: ir.Model) -> None:
    named = next(node for node in model.graph if node.op_type == "MatMul")
    named.metadata_props["layer"] = "first"
    assert QuantizeRows(PassSettings(smallest=1, left_out=frozenset({"first"})))(model).modified
    assert [node.name for node in model.graph if node.op_type == "MatMul"] == [named.name]
    assert not QuantizeRows(PassSettings(smallest=10_000))(model).modified
