"""Moving scales between neighbouring layers: the same bits in fp32, and only where nothing else reads the channels."""

from pathlib import Path

import numpy as np
import pytest
from tests.helpers.graphs import graph, numbers, run

from ftool_export.passes import PassSettings
from ftool_export.passes.matching import constant
from ftool_export.passes.move_scales import MoveScales, input_divisors, measured_moves

NORM = """norm (float[batch, t, 16] x) => (float[batch, t, 8] y, float[batch, t, 8] z)
{ n = LayerNormalization (x, g, c)  y = MatMul (n, w)  z = MatMul (n, v) }"""
RESIDUAL = """post (float[batch, t, 16] x) => (float[batch, t, 16] y)
{ n = LayerNormalization (x, g, c)  p = MatMul (n, w)  y = Add (p, n) }"""
GATED = """gated (float[batch, t, 16] x) => (float[batch, t, 8] y)
{ a = MatMul (x, gate)  s = Sigmoid (a)  u = MatMul (x, up)  b = Add (u, c)  m = Mul (s, b)  y = MatMul (m, w) }"""


def scaled(array: np.ndarray, channels: list[int], factor: float, axis: int) -> np.ndarray:
    array = array.copy()
    np.moveaxis(array, axis, 0)[channels] *= factor
    return array


CASES = {
    "norm": (
        NORM,
        {
            "g": scaled(numbers(16), [3], 100, 0),
            "c": scaled(numbers(16), [3], 100, 0),
            "w": scaled(numbers(16, 8), [3], 0.01, 0),
            "v": scaled(numbers(16, 8), [3], 0.01, 0),
        },
        ["w", "v"],
    ),
    "gated": (
        GATED,
        {
            "gate": numbers(16, 16),
            "up": scaled(numbers(16, 16), [5], 100, 1),
            "c": scaled(numbers(16), [5], 100, 0),
            "w": scaled(numbers(16, 8), [5], 0.01, 0),
        },
        ["w"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_scales_move_into_the_products_that_read_and_no_bit_changes(name: str, tmp_path: Path) -> None:
    body, constants, readers = CASES[name]
    model = graph(body, **constants)
    x = numbers(2, 3, 16)
    before = run(model, tmp_path, x=x)
    peaks = {reader: np.where(np.arange(16) == (3 if name == "norm" else 5), 200, 2.0) for reader in readers}
    moved = measured_moves(model, peaks)
    assert list(moved) == [readers[0]]
    assert np.flatnonzero(moved[readers[0]]).tolist() == [3 if name == "norm" else 5]
    assert set(input_divisors(model, moved)) == set(readers)
    assert MoveScales(moved)(model).modified
    assert not MoveScales(moved)(model).modified
    for found, expected in zip(run(model, tmp_path, x=x), before, strict=True):
        np.testing.assert_array_equal(found, expected)
    weight = constant(model.graph.initializers[readers[0]])
    assert weight is not None
    rows = np.abs(weight).max(axis=1)
    assert rows.max() / rows.min() < 20  # 100 and more before


def test_a_norm_that_a_residual_sum_reads_keeps_its_scales() -> None:
    model = graph(RESIDUAL, g=scaled(numbers(16), [3], 100, 0), c=numbers(16), w=numbers(16, 16))
    assert measured_moves(model, {"w": scaled(np.ones(16), [3], 100, 0)}) == {}


def test_channels_of_usual_size_are_not_moved() -> None:
    body, _, _ = CASES["gated"]
    constants = {"gate": numbers(16, 16), "up": numbers(16, 16), "c": numbers(16), "w": numbers(16, 8)}
    assert measured_moves(graph(body, **constants), {"w": np.linspace(1, 4, 16)}) == {}


def test_a_silent_channel_is_not_moved() -> None:
    body, constants, _ = CASES["gated"]
    assert measured_moves(graph(body, **constants), {"w": np.zeros(16)}) == {}


def test_exponents_survive_the_manifest() -> None:
    moved = {"w": np.array([0, 8, 0, -3], dtype=np.int8)}
    again = PassSettings.recorded(PassSettings(moved=moved).to_json())
    assert again is not None
    np.testing.assert_array_equal(again.moved["w"], moved["w"])
