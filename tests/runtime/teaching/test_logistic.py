"""Fitting one row: it ends at the minimum, from any start and for features of any scale."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftool_runtime.numerics import sigmoid
from ftool_runtime.teaching.logistic import Examples, Ridge, fit_row, log_sum_exp


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(2, 60),
    width=st.integers(1, 12),
    scale=st.sampled_from([0.01, 1.0, 30.0]),
)
def test_a_fitted_row_is_where_the_gradient_vanishes(seed: int, rows: int, width: int, scale: float) -> None:
    random = np.random.default_rng(seed)
    features = np.hstack([scale * random.normal(size=(rows, width)), np.ones((rows, 1))])
    weights = random.uniform(0.1, 1, rows) / rows
    examples = Examples(features, random.normal(size=rows), random.uniform(0.05, 0.95, rows), weights)
    ridge = Ridge(1e-2, random.normal(size=width + 1))
    length = np.sqrt(np.square(features[:, :-1]).sum(axis=1).mean())
    found = [
        fit_row(examples, start, ridge) for start in (np.zeros(width + 1), random.normal(size=width + 1))
    ]
    for row in found:
        errors = weights * (sigmoid(features @ row - examples.offsets) - examples.targets)
        slope = errors @ features + np.append(ridge.strength * (row - ridge.centre)[:-1] * length**2, 0.0)
        assert np.abs(slope / [*[length] * width, 1.0]).max() < 1e-3


def test_log_sum_exp_does_not_overflow() -> None:
    values = np.array([[1000.0, 1000.0], [-1000.0, -1001.0]])
    assert log_sum_exp(values) == pytest.approx([1000 + np.log(2), -1000 + np.log1p(np.exp(-1))])
    assert log_sum_exp(np.empty((2, 0))).tolist() == [-1e9, -1e9]
