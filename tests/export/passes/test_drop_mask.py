"""An encoder whose rows run singly loses its attention mask, and gives the same outputs."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
from tests.helpers.graphs import graph, numbers, run

from ftool_export.graph.guards import count_operators
from ftool_export.passes.drop_mask import DropMask

BODY = """encoder (int64[batch, time] input_ids, int64[batch, time] attention_mask) => (float[batch, 16] y) {
    x = Gather (table, input_ids)
    padding = Cast <to: int = 6> (attention_mask)
    attended = com.microsoft.MultiHeadAttention <num_heads: int = 2> (x, x, x, , padding)
    sizes = Shape (attention_mask)
    whole = ConstantOfShape (sizes)
    axis = Constant <value: tensor = int64[1] {2}> ()
    wide = Unsqueeze (attention_mask, axis)
    weight = Cast <to: int = 1> (wide)
    zero = Unsqueeze (whole, axis)
    kept = Mul (attended, weight)
    moved = Add (kept, zero)
    one = Constant <value: tensor = int64[1] {1}> ()
    y = ReduceSum <keepdims: int = 0> (moved, one)
}"""


def encoder() -> ir.Model:
    return graph(BODY, table=numbers(32, 16))


def test_a_row_without_padding_has_the_same_outputs_without_a_mask(tmp_path: Path) -> None:
    model = encoder()
    ids = np.arange(9, dtype=np.int64)[None]
    before = run(model, tmp_path, input_ids=ids, attention_mask=np.ones_like(ids))
    assert DropMask()(model).modified
    assert [value.name for value in model.graph.inputs] == ["input_ids"]
    np.testing.assert_allclose(
        run(model, tmp_path, input_ids=ids)[0], before[0], atol=1e-6
    )  # other order of sums
    assert not DropMask()(model).modified


def test_attention_operators_get_no_mask_and_nothing_asks_for_its_shape() -> None:
    model = encoder()
    DropMask()(model)
    attention = next(node for node in model.graph if node.op_type == "MultiHeadAttention")
    assert [value and value.name for value in attention.inputs][3:] in ([], [None, None])
    assert {node.inputs[0].name for node in model.graph if node.op_type == "Shape"} == {"input_ids"}  # type: ignore[union-attr]
    assert count_operators(model)["ConstantOfShape"] == 2
