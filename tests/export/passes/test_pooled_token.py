"""The last layer is computed only for the token that is pooled, and the outputs stay the same."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from tests.helpers.graphs import check, graph, numbers, run

from ftool_export.passes import PassSettings
from ftool_export.passes.pack_qkv import PackQKV
from ftool_export.passes.pooled_token import PooledTokenOnly

TOKENS = "float[batch, time, 16]"
LAYER = """
    q0 = MatMul (x, query)
    q = Add (q0, query_bias)
    k0 = MatMul (x, key)
    k = Add (k0, key_bias)
    v0 = MatMul (x, value)
    v = Add (v0, value_bias)
    attended = com.microsoft.MultiHeadAttention <num_heads: int = 2> (q, k, v, , padding{bias})
    projected = MatMul (attended, output)
    summed = Sum (projected, x)
    normed = LayerNormalization <axis: int = -1> (summed, scale, shift)
    wide = MatMul (normed, up)
    active = Gelu <approximate: string = "none"> (wide)
    narrow = MatMul (active, down)
    residual = Sum (narrow, normed)
"""
NAMES = [
    "x",
    "q0",
    "q",
    "k0",
    "k",
    "v0",
    "v",
    "attended",
    "projected",
    "summed",
    "normed",
    "narrow",
    "residual",
]


def layer(result: str, inputs: str = "", bias: str = "") -> ir.Model:
    """Return one encoder layer of width 16 whose output `residual` the node `result` reads."""
    shapes = ", ".join(
        [f"{TOKENS} {name}" for name in NAMES] + [f"float[batch, time, 32] {n}" for n in ("wide", "active")]
    )
    body = f"""encoder (int64[batch, time] input_ids, int32[batch, time] padding{inputs}) => (float y) <{shapes}> {{
    x = Gather (table, input_ids)
    {LAYER.format(bias=bias)}
    {result}
    }}"""
    weights = {name: numbers(16, 16) / 4 for name in ("query", "key", "value", "output")}
    vectors = {f"{name}_bias": numbers(16) for name in ("query", "key", "value")}
    return graph(
        body,
        table=numbers(32, 16),
        **weights,
        **vectors,
        up=numbers(16, 32) / 4,
        down=numbers(32, 16) / 4,
        scale=numbers(16),
        shift=numbers(16),
        **({"index": np.array(0)} if "index" in result else {}),
    )


def feeds(**others: np.ndarray) -> dict[str, np.ndarray]:
    """Return three rows of seven tokens, of which the last row has three tokens of padding."""
    padding = np.ones((3, 7), dtype=np.int32)
    padding[2, 4:] = 0
    return {"input_ids": np.arange(21, dtype=np.int64).reshape(3, 7), "padding": padding, **others}


FIRST = "y = Gather <axis: int = 1> (residual, index)"
MEAN = (
    "one = Constant <value: tensor = int64[1] {1}> ()\n    y = ReduceMean <keepdims: int = 0> (residual, one)"
)
BOTH = """first = Gather <axis: int = 1> (residual, index)
    most = ReduceMax <keepdims: int = 1> (residual)
    y = Add (first, most)"""


def reads(model: ir.Model, operator: str) -> list[ir.Node]:
    """Return the nodes of an operator, in order."""
    return [node for node in model.graph if node.op_type == operator]


def sizes(model: ir.Model, operator: str) -> list[object]:
    """Return the number of tokens in the output of each node of an operator, in order."""
    return [node.outputs[0].shape[1] for node in reads(model, operator)]  # type: ignore[index]


def test_only_keys_and_values_are_computed_for_all_tokens(tmp_path: Path) -> None:
    model = check(PooledTokenOnly(PassSettings()), layer(FIRST), tmp_path, **feeds())
    assert [one == 1 for one in sizes(model, "MatMul")] == [True, False, False, True, True, True]
    assert sizes(model, "MultiHeadAttention") == [2]  # the query twice


def test_key_and_value_are_packed_without_the_query(tmp_path: Path) -> None:
    model = check(PooledTokenOnly(PassSettings()), layer(FIRST), tmp_path, **feeds())
    model = check(PackQKV(), model, tmp_path, **feeds())
    assert len(reads(model, "MatMul")) == 5
    assert len(reads(model, "Split")[0].outputs) == 2


def test_a_row_has_the_same_output_alone_and_padded_in_a_batch(tmp_path: Path) -> None:
    model = layer(FIRST)
    PooledTokenOnly(PassSettings())(model)
    for tokens in range(2, 24):
        ids = np.arange(tokens, dtype=np.int64)[None]
        padded = np.pad(ids, ((0, 3), (0, 30)))
        mask = np.zeros_like(padded, dtype=np.int32)
        mask[:, :tokens] = 1
        alone = run(model, tmp_path, input_ids=ids, padding=np.ones_like(ids, dtype=np.int32))
        batch = run(model, tmp_path, input_ids=padded, padding=mask)
        np.testing.assert_array_equal(batch[0][0], alone[0][0])


@pytest.mark.parametrize("position", [2, -1])
def test_another_token_than_the_first_is_selected(position: int, tmp_path: Path) -> None:
    model = layer(FIRST)
    index = next(value for name, value in model.graph.initializers.items() if name == "index")
    index.const_value = ir.tensor(np.array(position), name="index")
    assert sizes(
        check(PooledTokenOnly(PassSettings()), model, tmp_path, **feeds()), "MultiHeadAttention"
    ) == [2]


@pytest.mark.parametrize("result", [MEAN, BOTH])
def test_a_layer_whose_other_tokens_are_read_is_left_alone(result: str) -> None:
    assert not PooledTokenOnly(PassSettings())(layer(result)).modified


def test_a_bias_of_the_scores_keeps_the_whole_attention(tmp_path: Path) -> None:
    model = layer(FIRST, ", float[batch, 2, time, time] scores", bias=", scores")
    given = feeds(scores=numbers(3, 2, 7, 7))
    model = check(PooledTokenOnly(PassSettings()), model, tmp_path, **given)
    assert sizes(model, "MultiHeadAttention") != [1]
    assert sizes(model, "MatMul")[3:] == [1, 1, 1]


def test_nothing_is_done_for_bundles_exported_before() -> None:
    assert PassSettings.recorded({"smallest": 1, "smallest_table": 1, "block_size": 32}) == PassSettings(
        smallest=1, smallest_table=1, block_size=32, pooled_token=False
    )
    assert not PooledTokenOnly(PassSettings(pooled_token=False))(layer(FIRST)).modified
