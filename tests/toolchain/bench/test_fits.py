"""Fits of costs, and their check on points that were left out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftool.bench.fits import fit_cost

SIZES = (16, 64, 128, 256, 512)
PARTS = st.floats(0.01, 10)


@given(PARTS, PARTS, PARTS)
def test_a_cost_of_the_form_is_found_and_predicted_at_each_point(a: float, b: float, c: float) -> None:
    fit = fit_cost(SIZES, [a + b * n + c * n**2 for n in SIZES], 2)
    assert fit.coefficients == pytest.approx((a, b, c), rel=1e-4)
    assert [one.size for one in fit.left_out] == list(SIZES)
    assert all(abs(one.error) < 1e-6 for one in fit.left_out)


def test_a_point_does_not_take_part_in_its_own_prediction() -> None:
    fit = fit_cost((1, 2, 3, 4), (1.0, 2.0, 6.0, 4.0), 1)
    assert fit.left_out[2].predicted == pytest.approx(3.0)
    assert fit.left_out[2].error == pytest.approx(-0.5)
    assert fit.left_out[3].error > 0.1  # the third point is among the others


def test_no_part_of_a_cost_is_negative() -> None:
    fit = fit_cost(SIZES, [5.0, 4.0, 3.0, 2.0, 1.0], 2)
    assert min(fit.coefficients) == 0


def test_small_costs_count_as_much_as_large_ones() -> None:
    fit = fit_cost((1, 10, 100, 1000), (1.0, 10.0, 100.0, 1500.0), 1)
    assert fit.coefficients[1] * 10 == pytest.approx(10, rel=0.2)  # absolute errors would give 15


@pytest.mark.parametrize(("degree", "form"), [(1, "a + b*n"), (2, "a + b*n + c*n^2")])
def test_too_few_points_give_no_fit(degree: int, form: str) -> None:
    sizes = SIZES[: degree + 1]
    found = fit_cost(sizes, [float(n) for n in sizes], degree).to_json()
    assert found == {
        "form": form,
        "coefficients": None,
        "points": degree + 1,
        "points_needed": degree + 2,
        "left_out": [],
    }
    enough = SIZES[: degree + 2]
    fitted = fit_cost(enough, [float(n) for n in enough], degree).to_json()
    assert set(fitted["coefficients"]) == set("abc"[: degree + 1])
    assert len(fitted["left_out"]) == degree + 2
