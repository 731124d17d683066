"""int8 products with constant activation scales: close to fp32, independent of the batch, cut off at the range."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from tests.helpers.graphs import graph, numbers, run

from ftool_export.graph.guards import count_operators
from ftool_export.passes import PassSettings
from ftool_export.passes.quantize_static import QuantizeStatic, input_levels, measured_levels
from ftool_export.passes.smooth_activations import SmoothActivations, smoothing_multipliers

TWO = """two (float[batch, t, 64] x) => (float[batch, t, 48] y, float[batch, t, 32] z)
{ p = MatMul (x, w)  y = Add (p, b)  z = MatMul (x, v) }"""
WEIGHTS = {"w": numbers(64, 48), "b": numbers(48), "v": numbers(64, 32)}
INPUT = numbers(3, 5, 64).clip(-1, 3)
LEVELS = input_levels(-1, 3)
SETTINGS = PassSettings(smallest=1, inputs={"w": LEVELS, "v": LEVELS})


@pytest.fixture
def model() -> ir.Model:
    """Two products of one input, one with a bias, quantised."""
    model = graph(TWO, **WEIGHTS)
    assert QuantizeStatic(SETTINGS)(model).modified
    assert not QuantizeStatic(SETTINGS)(model).modified
    return model


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def test_the_products_stay_close(model: ir.Model, tmp_path: Path) -> None:
    y, z = run(model, tmp_path, x=INPUT)
    assert 0.001 < relative_error(y, INPUT @ WEIGHTS["w"] + WEIGHTS["b"]) < 0.02
    assert 0.001 < relative_error(z, INPUT @ WEIGHTS["v"]) < 0.02


def test_a_rows_result_is_the_same_bit_for_bit_beside_an_outlier(model: ir.Model, tmp_path: Path) -> None:
    alone = run(model, tmp_path, x=INPUT[:1, :1])
    company = INPUT.copy()
    company[1] *= 1000
    for one, several in zip(alone, run(model, tmp_path, x=company), strict=True):
        np.testing.assert_array_equal(one[0, 0], several[0, 0])


def test_numbers_outside_the_range_become_its_ends(model: ir.Model, tmp_path: Path) -> None:
    far, ends = np.where(INPUT > 0, 50, -50).astype(np.float32), np.where(INPUT > 0, 3, -1).astype(np.float32)
    for cut, expected in zip(run(model, tmp_path, x=far), run(model, tmp_path, x=ends), strict=True):
        np.testing.assert_array_equal(cut, expected)


def test_an_input_is_rounded_once_for_all_that_read_it(model: ir.Model) -> None:
    assert count_operators(model) == {"QuantizeLinear": 1, "MatMulIntegerToFloat": 2}


@pytest.mark.parametrize(("lowest", "highest"), [(-1, 3), (0.5, 2), (-4, -1), (0, 0), (1e-42, 1e-42)])
def test_the_levels_cover_the_range_and_represent_zero_exactly(lowest: float, highest: float) -> None:
    step, zero = input_levels(lowest, highest)
    assert step >= np.finfo(np.float32).tiny
    assert (0 - float(zero)) * step <= min(lowest, 0) + 0.51 * step
    assert (255 - float(zero)) * step >= max(highest, 0) - 0.51 * step


def test_the_range_of_a_smoothed_input_is_measured_after_smoothing(tmp_path: Path) -> None:
    x = numbers(2, 5, 64)
    x[..., 7] *= 40
    lowest, highest = (edge.reshape(-1, 64) for edge in (x, x))
    ranges = {name: (lowest.min(axis=0), highest.max(axis=0)) for name in ("w", "v")}
    smoothing = smoothing_multipliers({name: np.abs(x).max(axis=(0, 1)) for name in ranges})
    settings = replace(SETTINGS, smoothing=smoothing, inputs=measured_levels(ranges, smoothing))
    assert settings.inputs["w"][0] < input_levels(float(x.min()), float(x.max())).step / 4
    model = graph(TWO, **WEIGHTS)
    SmoothActivations(settings)(model)
    QuantizeStatic(settings)(model)
    y, _ = run(model, tmp_path, x=x)
    assert relative_error(y, x @ WEIGHTS["w"] + WEIGHTS["b"]) < 0.02
