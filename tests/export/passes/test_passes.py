"""Each graph pass, on a small graph: outputs before and after the pass are equal."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tests.helpers.graphs import check, graph, numbers, run

from ftool_export.errors import ExportError
from ftool_export.graph.guards import count_operators
from ftool_export.passes import PassSettings
from ftool_export.passes.drop_reshapes import DropReshapes
from ftool_export.passes.fold_transposes import FoldTransposes
from ftool_export.passes.fold_uniform_lookups import FoldUniformLookups
from ftool_export.passes.gemm_to_matmul import GemmToMatMul
from ftool_export.passes.matching import layer_of
from ftool_export.passes.name_layers import NameLayers
from ftool_export.passes.pack_qkv import PackQKV
from ftool_export.passes.quantize_blocks import QuantizeBlocks, quantize_in_blocks
from ftool_export.passes.quantize_matmul import QuantizeMatMul, quantize_channels
from ftool_export.passes.quantize_products import QuantizeProducts
from ftool_export.passes.quantized_weights import quantize_symmetric
from ftool_export.passes.residual_sums import ResidualSums
from ftool_export.passes.share_constants import ShareConstants
from ftool_export.passes.smooth_activations import SmoothActivations, smoothing_factors

ALL = PassSettings(smallest=1, smallest_table=1, block_size=16)


LINEAR = """linear (float[batch, time, 16] x) => (float[batch, time, 32] y)
{ product = MatMul (x, w)  y = Add (product, b) }"""


def test_fold_transposes_folds_a_transposed_constant(tmp_path: Path) -> None:
    body = """tied (float[batch, 16] x) => (float[batch, 8] y)
    { wt = Transpose <perm: ints = [1, 0]> (w)  y = MatMul (x, wt) }"""
    model = check(FoldTransposes(), graph(body, w=numbers(8, 16)), tmp_path, x=numbers(3, 16))
    assert count_operators(model) == {"MatMul": 1}


def test_fold_transposes_folds_a_large_weight_that_two_layers_share(tmp_path: Path) -> None:
    body = """shared (float[batch, 1024] x) => (float[batch, 1024] z)
    { wt = Transpose <perm: ints = [1, 0]> (w)  y = MatMul (x, wt)
      vt = Transpose <perm: ints = [1, 0]> (w)  z = MatMul (y, vt) }"""
    model = graph(body, w=numbers(1024, 1024) / 32)
    model = check(FoldTransposes(), model, tmp_path, atol=1e-5, x=numbers(3, 1024))
    assert count_operators(model) == {"MatMul": 2}
    assert ShareConstants()(model).modified
    assert len(model.graph.initializers) == 1


@pytest.mark.parametrize("transposed", [0, 1])
def test_gemm_to_matmul_spells_gemm_out(tmp_path: Path, transposed: int) -> None:
    body = f"""gemm (float[batch, 16] x) => (float[batch, 8] y)
    {{ y = Gemm <transB: int = {transposed}> (x, w, b) }}"""
    weight = numbers(8, 16) if transposed else numbers(16, 8)
    model = check(GemmToMatMul(), graph(body, w=weight, b=numbers(8)), tmp_path, x=numbers(3, 16))
    assert count_operators(model) == {"MatMul": 1, "Add": 1}


def test_gemm_to_matmul_leaves_a_scaled_gemm(tmp_path: Path) -> None:
    body = "gemm (float[batch, 16] x) => (float[batch, 8] y) { y = Gemm <alpha: float = 0.5> (x, w, b) }"
    model = graph(body, w=numbers(16, 8), b=numbers(8))
    assert not GemmToMatMul()(model).modified


RESHAPES = """heads (float[batch, time, 16] x) => (float[batch, time, 16] y)
<float[batch, time, 16] shifted, float[batch, time, 4, 4] split, float[batch, time, 16] joined>
{ shifted = Neg (x)  split = Reshape (shifted, four)  joined = Reshape (split, three)  y = Neg (joined) }"""


def test_drop_reshapes_drops_a_chain_that_ends_as_it_began(tmp_path: Path) -> None:
    constants = {"four": np.array([0, 0, 4, 4]), "three": np.array([0, 0, 16])}
    model = check(DropReshapes(), graph(RESHAPES, **constants), tmp_path, x=numbers(2, 3, 16))
    assert count_operators(model) == {"Neg": 2}


def test_drop_reshapes_keeps_a_chain_of_unknown_sizes() -> None:
    constants = {"four": np.array([0, 0, 4, 4]), "three": np.array([0, 0, 16])}
    model = graph(RESHAPES, **constants)
    for node in model.graph:  # two sizes that are not known need not be the same
        node.outputs[0].shape = ir.Shape([None, None, 16])
    model.graph.inputs[0].shape = ir.Shape([None, None, 16])
    assert not DropReshapes()(model).modified


LOOKUP = """types (int64[batch, time] ids) => (float[batch, time, 16] y)
<float[batch, time, 16] words, float[batch, time, 16] kinds>
{ shape = Shape (ids)  zeros = Expand (zero, shape)
  words = Gather (table, ids)  kinds = Gather (types, zeros)  y = Add (words, kinds) }"""


def test_fold_uniform_lookups_adds_the_row_itself(tmp_path: Path) -> None:
    constants = {"zero": np.array([[1]]), "table": numbers(9, 16), "types": numbers(2, 16)}
    ids = np.array([[1, 2, 8], [4, 4, 0]])
    model = check(FoldUniformLookups(), graph(LOOKUP, **constants), tmp_path, ids=ids)
    assert count_operators(model) == {"Gather": 1, "Add": 1}


def test_fold_uniform_lookups_leaves_indices_that_differ() -> None:
    constants = {"zero": np.array([[0, 1, 0]]), "table": numbers(9, 16), "types": numbers(2, 16)}
    assert not FoldUniformLookups()(graph(LOOKUP, **constants)).modified


QKV = """attention (float[batch, time, 16] x) => (float[batch, time, 16] y)
<float[batch, time, 16] q, float[batch, time, 16] k, float[batch, time, 16] v>
{ qp = MatMul (x, wq)  q = Add (qp, bq)  kp = MatMul (x, wk)  k = Add (kp, bk)  vp = MatMul (x, wv)  v = Add (bv, vp)
  y = com.microsoft.MultiHeadAttention <num_heads: int = 4> (q, k, v) }"""


def qkv_constants(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    weights = {f"w{name}": rng.standard_normal((16, 16), dtype=np.float32) for name in "qkv"}
    return weights | {f"b{name}": rng.standard_normal(16, dtype=np.float32) for name in "qkv"}


def test_pack_qkv_makes_three_products_one(tmp_path: Path) -> None:
    model = graph(QKV, **qkv_constants())
    model = check(PackQKV(), model, tmp_path, atol=1e-5, x=numbers(2, 5, 16))
    assert count_operators(model) == {"MatMul": 1, "Add": 1, "Split": 1, "MultiHeadAttention": 1}


def test_pack_qkv_needs_one_source() -> None:
    model = graph(QKV.replace("kp = MatMul (x, wk)", "z = Neg (x) kp = MatMul (z, wk)"), **qkv_constants())
    assert not PackQKV()(model).modified


def test_share_constants_keeps_one_copy(tmp_path: Path) -> None:
    body = "twice (float[batch, 16] x) => (float[batch, 16] y) { z = MatMul (x, v)  y = MatMul (z, w) }"
    model = graph(body, v=numbers(16, 16), w=numbers(16, 16))
    model = check(ShareConstants(), model, tmp_path, x=numbers(3, 16))
    assert len(model.graph.initializers) == 1


def test_share_constants_compares_transposed_views(tmp_path: Path) -> None:
    """Large weights arrive as views that are not C-contiguous, on which onnx_ir's own pass fails."""
    body = "twice (float[batch, 16] x) => (float[batch, 16] y) { z = MatMul (x, v)  y = MatMul (z, w) }"
    model = graph(body, v=numbers(16, 16).T, w=numbers(16, 16).T)
    model = check(ShareConstants(), model, tmp_path, x=numbers(3, 16))
    assert len(model.graph.initializers) == 1


def test_residual_sums_keeps_onnxruntime_from_a_slower_fusion(tmp_path: Path) -> None:
    body = """norm (float[batch, time, 16] x) => (float[batch, time, 16] y)
    <float[batch, time, 16] negative, float[batch, time, 16] total>
    { negative = Erf (x)  total = Add (x, negative)  y = LayerNormalization <axis: int = -1> (total, w, b) }"""
    model = graph(body, w=numbers(16), b=numbers(16))
    assert "SkipLayerNormalization" in optimized_operators(model, tmp_path)
    on_gpu = ResidualSums(PassSettings(device="cuda"))(model.clone())
    assert not on_gpu.modified
    model = check(ResidualSums(ALL), model, tmp_path, x=numbers(2, 3, 16))
    assert "SkipLayerNormalization" not in optimized_operators(model, tmp_path)


def optimized_operators(model: ir.Model, tmp_path: Path) -> set[str]:
    ir.save(model, tmp_path / "plain.onnx")
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    ort.InferenceSession(tmp_path / "plain.onnx", options, providers=["CPUExecutionProvider"])
    return {node.op_type for node in ir.load(tmp_path / "optimized.onnx").graph}


def test_quantize_matmul_takes_the_bias_along(tmp_path: Path) -> None:
    weight, bias, x = numbers(16, 32), numbers(32), numbers(2, 3, 16)
    # half a step of 7-bit weights over 16 inputs, and of 8-bit activations
    model = check(QuantizeMatMul(ALL), graph(LINEAR, w=weight, b=bias), tmp_path, atol=0.25, x=x)
    assert count_operators(model) == {"DynamicQuantizeMatMul": 1}
    assert model.graph.initializers["w.int8"].const_value.numpy().dtype == np.int8


def test_quantize_blocks_takes_the_bias_along(tmp_path: Path) -> None:
    weight, bias, x = numbers(16, 32), numbers(32), numbers(2, 3, 16)
    model = check(QuantizeBlocks(ALL), graph(LINEAR, w=weight, b=bias), tmp_path, atol=0.1, x=x)
    assert count_operators(model) == {"MatMulNBits": 1}
    node = next(iter(model.graph))
    assert node.attributes["accuracy_level"].value == 4  # without it 27 times slower


@pytest.mark.parametrize("quantize", [QuantizeMatMul, QuantizeBlocks])
def test_a_layer_left_out_and_a_small_one_stay_as_they_are(quantize: type[QuantizeProducts]) -> None:
    model = graph(LINEAR, w=numbers(16, 32), b=numbers(32))
    NameLayers()(model)
    (matmul,) = (node for node in model.graph if node.op_type == "MatMul")
    left_out = PassSettings(smallest=1, left_out=frozenset({matmul.name}))
    assert not quantize(left_out)(model).modified
    assert not quantize(PassSettings(smallest=16 * 32 + 1))(model).modified
    assert quantize(PassSettings(smallest=16 * 32))(model).modified


def test_name_layers_names_modules_and_forgets_paths() -> None:
    model = graph(LINEAR, w=numbers(16, 32), b=numbers(32))
    for node in model.graph:
        node.metadata_props["pkg.torch.onnx.name_scopes"] = "['', 'encoder', 'encoder.query', 'linear_1']"
        node.metadata_props["pkg.torch.onnx.stack_trace"] = 'File "/home/someone/model.py"'
    NameLayers()(model)
    assert [node.name for node in model.graph] == ["encoder.query/MatMul", "encoder.query/Add"]
    assert all(node.metadata_props == {"layer": "encoder.query"} for node in model.graph)


finite = st.floats(-1e4, 1e4, width=32)
matrices = hnp.arrays(np.float32, st.tuples(st.integers(1, 40), st.integers(1, 8)), elements=finite)


@given(matrices)
@settings(max_examples=50, deadline=None)
def test_seven_bit_channels_are_within_half_a_step(weight: np.ndarray) -> None:
    levels, scale = quantize_channels(weight)
    assert np.abs(levels.astype(int)).max() <= 64  # 255 * 64 * 2 < 2**15: no saturation without VNNI
    assert (np.abs(levels * scale - weight) <= scale * 0.501).all()


@given(matrices, st.sampled_from([16, 32]))
@settings(max_examples=50, deadline=None)
def test_eight_bit_blocks_are_within_half_a_step(weight: np.ndarray, block: int) -> None:
    levels, scale = quantize_in_blocks(weight, block)
    restored = (levels.astype(np.float32) - 128) * scale[..., None]
    flat = restored.reshape(weight.shape[1], -1)[:, : weight.shape[0]].T
    steps = np.repeat(scale, block, axis=1)[:, : weight.shape[0]].T
    assert (np.abs(flat - weight) <= steps * 0.501).all()


@given(matrices)
@settings(max_examples=50, deadline=None)
def test_eight_bit_rows_are_within_half_a_step(table: np.ndarray) -> None:
    levels, scale = quantize_symmetric(table, axis=1)
    assert (np.abs(levels * scale - table) <= scale * 0.501).all()


def test_settings_are_checked() -> None:
    with pytest.raises(ExportError, match="power of two"):
        PassSettings(block_size=24)
    with pytest.raises(ExportError, match="smallest"):
        PassSettings(smallest=0)


@pytest.fixture
def outlier() -> np.ndarray:
    """Activations as transformers have them: one channel tens of times larger than the rest."""
    x = numbers(2, 9, 16)
    x[..., 3] *= 40
    return x


def test_smooth_activations_keeps_the_product_and_evens_its_input(
    tmp_path: Path, outlier: np.ndarray
) -> None:
    weight = numbers(16, 32)
    factors = smoothing_factors(np.abs(outlier).max(axis=(0, 1)))
    assert factors is not None
    measured = replace(ALL, smoothing={"w": 1 / factors})
    model = graph(LINEAR, w=weight, b=numbers(32))
    before = run(model, tmp_path, x=outlier)[0]
    assert SmoothActivations(measured)(model).modified
    np.testing.assert_allclose(run(model, tmp_path, x=outlier)[0], before, atol=1e-4)  # numbers of about 100
    assert not SmoothActivations(measured)(model).modified
    peaks = np.abs(outlier / factors).max(axis=(0, 1))
    assert peaks.max() / np.median(peaks) < 4  # 25 and more before


def test_smoothing_halves_what_int8_loses_to_an_outlier(tmp_path: Path, outlier: np.ndarray) -> None:
    factors = smoothing_factors(np.abs(outlier).max(axis=(0, 1)))
    assert factors is not None
    measured = replace(ALL, smoothing={"w": 1 / factors})
    exact = run(graph(LINEAR, w=numbers(16, 32), b=numbers(32)), tmp_path, x=outlier)[0]

    def error(smooth: bool) -> float:
        model = graph(LINEAR, w=numbers(16, 32), b=numbers(32))
        if smooth:
            SmoothActivations(measured)(model)
        QuantizeMatMul(ALL)(model)
        return float(np.square(run(model, tmp_path, x=outlier)[0] - exact).mean())

    assert error(smooth=True) < error(smooth=False) / 2


def test_smooth_activations_leaves_layers_that_are_left_out_or_were_not_measured() -> None:
    model = graph(LINEAR, w=numbers(16, 32), b=numbers(32))
    halves = {"w": np.full(16, 0.5, np.float32)}
    layer = layer_of(next(node for node in model.graph if node.op_type == "MatMul"))
    assert not SmoothActivations(ALL)(model).modified
    out = replace(ALL, smoothing=halves, left_out=frozenset({layer}))
    assert not SmoothActivations(out)(model).modified


def test_even_activations_are_left_as_they_are() -> None:
    assert smoothing_factors(np.linspace(1, 2.9, 16, dtype=np.float32)) is None


@given(hnp.arrays(np.float32, 16, elements=st.floats(0, 2.0**100, width=32)))
def test_smoothing_factors_are_finite_and_never_below_1(peaks: np.ndarray) -> None:
    factors = smoothing_factors(peaks)
    if factors is not None:
        assert np.isfinite(factors).all()
        assert (factors >= 1).all()
        assert (factors[peaks <= np.percentile(peaks, 75)] <= 1 + 1e-6).all()
