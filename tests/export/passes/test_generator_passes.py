"""Graph passes for generators, on small graphs: outputs before and after a pass are equal."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from tests.helpers.graphs import check, graph, numbers, run

from ftool_export.graph.guards import count_operators
from ftool_export.passes import PassSettings
from ftool_export.passes.feed_packed import FeedPacked
from ftool_export.passes.fold_transposes import FoldTransposes
from ftool_export.passes.matching import layer_of
from ftool_export.passes.pack_qkv import PackQKV
from ftool_export.passes.quantize_blocks import fitting_block
from ftool_export.passes.share_table import ShareTable
from ftool_export.passes.tie_head import TieHead, tied_products

EXACT = 1e-5  # float32, sums of about 10 in another order
ALL = PassSettings(smallest=1, smallest_table=1, block_size=16)

TIED = """tied (int64[batch, t] x, float[batch, kept, 32] h) => (float[batch, t, 32] e, float[batch, kept, 50] y)
{ e = Gather (w, x)  wt = Transpose <perm: ints = [1, 0]> (w)  y = MatMul (h, wt) }"""
FOLDED = """tied (int64[batch, t] x, float[batch, kept, 32] h) => (float[batch, t, 32] e, float[batch, kept, 50] y)
{ e = Gather (w, x)  y = MatMul (h, wt) }"""
ATTENTION = """attention (float[batch, time, 32] x, int32[batch] k, int32 t) => (float[batch, time, 32] y)
{ q0 = MatMul (x, wq)  k0 = MatMul (x, wk)  v0 = MatMul (x, wv)
  y, pk, pv = com.microsoft.GroupQueryAttention <num_heads: int = 4, kv_num_heads: int = 2> (q0, k0, v0, , , k, t) }"""


TOKENS = {"x": np.array([[3, 49, 0]]), "h": numbers(1, 2, 32)}


def test_a_tied_head_reads_the_table_of_the_embedding(tmp_path: Path) -> None:
    model = check(TieHead(), graph(TIED, w=numbers(50, 32)), tmp_path, EXACT, **TOKENS)
    assert count_operators(model) == {"Gather": 1, "FusedMatMul": 1}
    assert len(model.graph.initializers) == 1


def test_a_tied_head_is_known_by_its_numbers_where_its_transpose_was_folded(tmp_path: Path) -> None:
    table = numbers(50, 32)
    model = check(TieHead(), graph(FOLDED, w=table, wt=table.T.copy()), tmp_path, EXACT, **TOKENS)
    assert count_operators(model) == {"Gather": 1, "FusedMatMul": 1}
    assert len(model.graph.initializers) == 1


def test_a_head_of_its_own_is_left_alone() -> None:
    assert not TieHead()(graph(FOLDED, w=numbers(50, 32), wt=numbers(32, 50))).modified


def test_head_and_embedding_share_one_table_in_blocks(tmp_path: Path) -> None:
    table = numbers(50, 32)
    tied = TieHead()(graph(TIED, w=table)).model
    # 8 bits of numbers to 3, sums of 32 products
    model = check(ShareTable(ALL), tied, tmp_path, 0.5, **TOKENS)
    operators = count_operators(model)
    assert (operators["MatMulNBits"], operators["GatherBlockQuantized"]) == (1, 1)
    tables = [value for value in model.graph.initializers.values() if value.dtype == ir.DataType.UINT8]
    assert len(tables) == 1
    embedded = run(model, tmp_path, **TOKENS)[0][0]
    np.testing.assert_allclose(
        embedded, table[[3, 49, 0]], atol=np.abs(table).max() / 254 + EXACT
    )  # half a level


@pytest.mark.parametrize("left_out", [True, False])
def test_a_head_that_is_left_out_keeps_its_table(left_out: bool) -> None:
    tied = TieHead()(graph(TIED, w=numbers(50, 32))).model
    product = tied_products(tied)[0]
    settings = PassSettings(
        smallest=1, block_size=16, left_out=frozenset({layer_of(product)}) if left_out else frozenset()
    )
    assert ShareTable(settings)(tied).modified is not left_out


def test_a_width_that_fills_no_whole_blocks_keeps_a_table_for_the_embedding(tmp_path: Path) -> None:
    body = TIED.replace("32", "24")
    feeds = {"x": TOKENS["x"], "h": numbers(1, 2, 24)}
    tied = TieHead()(graph(body, w=numbers(50, 24))).model
    model = check(ShareTable(ALL), tied, tmp_path, 0.5, **feeds)
    assert count_operators(model) == {"Gather": 1, "MatMulNBits": 1}


@pytest.mark.parametrize(
    ("inputs", "widest", "block"),
    [(768, 128, 128), (320, 128, 64), (96, 256, 32), (100, 128, 32), (24, 16, 16)],
)
def test_blocks_are_as_wide_as_divides_the_inputs(inputs: int, widest: int, block: int) -> None:
    assert fitting_block(inputs, widest) == block


def test_head_and_embedding_share_blocks_that_fit_their_width(tmp_path: Path) -> None:
    tied = TieHead()(graph(TIED.replace("32", "192"), w=numbers(50, 192))).model
    before = run(tied, tmp_path, x=TOKENS["x"], h=numbers(1, 2, 192))
    wide = PassSettings(smallest=1, smallest_table=1, block_size=128)
    model = ShareTable(wide)(tied).model
    assert count_operators(model)["GatherBlockQuantized"] == 1  # 128 would leave half of a block over
    widths = {n.attributes.get_int("block_size", 0) for n in model.graph if n.op_type == "MatMulNBits"}
    assert widths == {64}
    for array, expected in zip(
        run(model, tmp_path, x=TOKENS["x"], h=numbers(1, 2, 192)), before, strict=True
    ):
        np.testing.assert_allclose(array, expected, atol=0.05 * np.abs(expected).max())


def test_grouped_heads_are_packed_and_fed_as_one(tmp_path: Path) -> None:
    weights = {"wq": numbers(32, 32), "wk": numbers(32, 16), "wv": numbers(32, 16) + 1}
    feeds = {"x": numbers(2, 5, 32) / 4, "k": np.array([4, 4], np.int32), "t": np.array(5, np.int32)}
    packed = check(PackQKV(), graph(ATTENTION, **weights), tmp_path, EXACT, **feeds)
    model = check(FeedPacked(), packed, tmp_path, EXACT, **feeds)
    assert count_operators(model) == {"MatMul": 1, "GroupQueryAttention": 1}


def test_parts_in_another_order_are_not_fed_as_one() -> None:
    body = """attention (float[batch, time, 64] x, int32[batch] k, int32 t) => (float[batch, time, 32] y)
    { kk, q, v = Split <axis: int = -1> (x, sizes)
      y, p, r = com.microsoft.GroupQueryAttention <num_heads: int = 4, kv_num_heads: int = 2> (q, kk, v, , , k, t) }"""
    assert not FeedPacked()(graph(body, sizes=np.array([16, 32, 16]))).modified


def test_folding_after_tying_leaves_the_table_alone() -> None:
    tied = TieHead()(graph(TIED, w=numbers(50, 32))).model
    assert not FoldTransposes()(tied).modified
