"""Rounding with error feedback: nearer outputs on real inputs, and levels that stay next to the weights."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tests.helpers.graphs import graph, numbers, run

from ftool_export.graph.guards import count_operators
from ftool_export.passes import PassSettings
from ftool_export.passes.error_feedback import FARTHEST, round_with_feedback
from ftool_export.passes.matching import constant_matmuls, layer_of, output_layer
from ftool_export.passes.quantize_blocks import (
    QuantizeNibbles,
    quantize_in_nibbles,
    signed_levels,
    stored_levels,
)
from ftool_export.passes.quantize_matmul import QuantizeMatMul, quantize_channels
from ftool_export.passes.quantize_products import QuantizeProducts
from ftool_export.passes.smooth_activations import SmoothActivations


def correlated(rows: int, width: int) -> np.ndarray:
    """Inputs that vary in a few directions, as activations do."""
    random = np.random.default_rng(0)
    causes = random.standard_normal((rows, 6)) @ random.standard_normal((6, width))
    return (causes + 0.3 * random.standard_normal((rows, width))).astype(np.float32)


def restored(levels: np.ndarray, scale: np.ndarray, inputs: int) -> np.ndarray:
    """The weight, (inputs, outputs), that 4-bit blocks stand for."""
    weight = signed_levels(levels, 4) * scale[..., None]
    return weight.reshape(len(weight), -1)[:, :inputs].T


@pytest.mark.parametrize("inputs", [48, 300])  # 300: more than are spread at once
def test_feedback_brings_outputs_nearer_on_inputs_like_those_it_saw(inputs: int) -> None:
    weight, x = numbers(inputs, 24), correlated(800, inputs)
    seen, unseen = x[:400], x[400:]
    gram = seen.T @ seen
    for quantize in (
        lambda gram: np.multiply(*quantize_channels(weight, gram)),
        lambda gram: restored(*quantize_in_nibbles(weight, 16, gram), inputs),
    ):
        errors = [np.square(unseen @ (quantize(one) - weight)).mean() for one in (None, gram)]
        assert errors[1] < 0.5 * errors[0]


def test_inputs_without_correlation_and_inputs_that_are_never_there_are_rounded_to_the_nearest() -> None:
    weight = numbers(40, 8)
    nearest, scale = quantize_channels(weight)
    np.testing.assert_array_equal(quantize_channels(weight, np.eye(40, dtype=np.float32))[0], nearest)
    np.testing.assert_array_equal(
        round_with_feedback(weight, scale, -64, 64, np.zeros((40, 40), np.float32)), nearest
    )


@given(
    hnp.arrays(
        np.float32, st.tuples(st.integers(1, 40), st.integers(1, 8)), elements=st.floats(-1e4, 1e4, width=32)
    ),
    st.integers(0, 5),
)
@settings(max_examples=50, deadline=None)
def test_a_level_is_the_nearest_or_its_neighbour(weight: np.ndarray, seed: int) -> None:
    x = np.random.default_rng(seed).standard_normal((7, len(weight))).astype(np.float32)
    levels, scale = quantize_channels(weight, x.T @ x)
    assert np.abs(levels.astype(int)).max() <= 64
    assert (np.abs(levels * scale - weight) <= scale * FARTHEST * 1.001).all()


@given(hnp.arrays(np.int8, st.tuples(st.just(2), st.just(3), st.just(16)), elements=st.integers(-8, 7)))
@settings(max_examples=25, deadline=None)
def test_levels_are_read_as_they_were_stored(levels: np.ndarray) -> None:
    for bits in (4, 8):
        np.testing.assert_array_equal(signed_levels(stored_levels(levels, bits), bits), levels)


LINEAR = """linear (float[batch, time, 70] x) => (float[batch, time, 32] y)
{ product = MatMul (x, w)  y = Add (product, b) }"""
ALL = PassSettings(smallest=1, smallest_table=1)


def test_four_bit_blocks_are_what_the_operator_multiplies(tmp_path: Path) -> None:
    weight, bias, x = numbers(70, 32), numbers(32), numbers(2, 3, 70)  # a last block that is not full
    model = graph(LINEAR, w=weight, b=bias)
    assert QuantizeNibbles(ALL)(model).modified
    assert count_operators(model) == {"MatMulNBits": 1}
    levels, scale = (
        model.graph.initializers[f"w.{form}"].const_value.numpy() for form in ("nibbles", "scale")
    )
    assert levels.shape == (32, 3, 16)
    expected = x @ restored(levels, scale, 70) + bias
    np.testing.assert_allclose(run(model, tmp_path, x=x)[0], expected, atol=0.2)  # activations of 8 bits
    assert np.abs(expected - (x @ weight + bias)).max() > 0.5  # weights of 4 bits: more


def test_a_row_of_four_bit_blocks_is_the_same_alone_and_in_a_batch(tmp_path: Path) -> None:
    body = "wide (float[batch, 256] x) => (float[batch, 64] y) { y = MatMul (x, w) }"
    x = numbers(9, 256)
    model = QuantizeNibbles(PassSettings(smallest=1, block_size=128))(graph(body, w=numbers(256, 64))).model
    alone = np.concatenate([run(model, tmp_path, x=row[None])[0] for row in x])
    np.testing.assert_array_equal(run(model, tmp_path, x=x)[0], alone)


@pytest.mark.parametrize("quantize", [QuantizeMatMul, QuantizeNibbles])
def test_a_pass_feeds_errors_back_through_smoothed_weights_too(quantize: type[QuantizeProducts]) -> None:
    weight, x = numbers(70, 32), correlated(400, 70)
    reciprocal = np.linspace(0.2, 1, 70, dtype=np.float32)
    known = PassSettings(smallest=1, smoothing={"w": reciprocal}, grams={"w": x.T @ x})
    errors = []
    for given_ in (known, PassSettings(smallest=1, smoothing={"w": reciprocal})):
        model = graph(LINEAR, w=weight, b=numbers(32))
        SmoothActivations(given_)(model)
        quantize(given_)(model)
        constants = {name: value.const_value.numpy() for name, value in model.graph.initializers.items()}
        levels = next(array for name, array in constants.items() if name.endswith((".int8", ".nibbles")))
        scale = next(array for name, array in constants.items() if name.endswith(".scale"))
        found = levels * scale if quantize is QuantizeMatMul else restored(levels, scale, 70)
        errors.append(np.square(x @ (found * reciprocal[:, None] - weight)).mean())
    assert errors[0] < 0.5 * errors[1]


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("{ h = MatMul (x, v)  z = Relu (h)  p = MatMul (z, w)  y = Add (p, b) }", True),
        ("{ h = MatMul (x, v)  z = Relu (h)  p = MatMul (z, w)  q = Add (p, b)  y = Tanh (q) }", True),
        ("{ h = MatMul (x, v)  p = MatMul (h, w)  y = Add (p, x) }", True),  # x is an input, not computed
        ("{ h = MatMul (x, v)  p = MatMul (h, w)  y = Add (p, h) }", False),  # a residual sum
        ("{ y = Relu (x) }", False),
    ],
)
def test_the_layer_of_the_output_is_found(body: str, found: bool) -> None:
    constants = {name: numbers(16, 16) for name in "vw" if f", {name})" in body}
    constants |= {"b": numbers(16)} if ", b)" in body else {}
    model = graph(f"some (float[batch, 16] x) => (float[batch, 16] y) {body}", **constants)
    products = constant_matmuls(model)
    assert output_layer(model) == (frozenset({layer_of(products[-1])}) if found else frozenset())
