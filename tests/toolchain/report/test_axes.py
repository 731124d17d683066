"""Axes of charts: all values lie on them, and their ticks are round and few."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftool.report.axes import Axis, tick_text

VALUES = st.lists(st.floats(1e-4, 1e6), min_size=1, max_size=20)


@given(VALUES)
def test_all_values_lie_on_an_axis_in_their_order(values: list[float]) -> None:
    for axis in (Axis.linear(values), Axis.log(values)):
        places = [axis.place(one) for one in sorted(values)]
        assert places == sorted(places)
        assert all(0 <= place <= 100 for place in places)
        assert axis.low <= min(values)
        assert axis.high >= max(values)


@given(VALUES)
def test_ticks_are_few_ascend_and_lie_on_the_axis(values: list[float]) -> None:
    for axis in (Axis.linear(values), Axis.log(values)):
        assert 1 <= len(axis.ticks) <= 8
        assert list(axis.ticks) == sorted(set(axis.ticks))
        slack = 1e-6 * max(abs(axis.low), abs(axis.high))
        assert all(axis.low - slack <= tick <= axis.high + slack for tick in axis.ticks)


def test_ticks_are_round() -> None:
    assert Axis.linear([0.9, 0.94], low=0.9, high=0.94).ticks == (0.9, 0.91, 0.92, 0.93, 0.94)
    assert Axis.linear([], low=0, high=1).ticks == (0, 0.2, 0.4, 0.6, 0.8, 1)
    assert Axis.linear([], low=0, high=2200, ticks=2).ticks == (0, 2000)
    assert Axis.log([0.3, 30]).ticks == (0.5, 1, 2, 5, 10, 20)
    assert Axis.log([0.55, 2.0]).ticks == (0.6, 0.8, 1, 1.5, 2)


def test_a_logarithmic_axis_gives_equal_ratios_equal_lengths() -> None:
    axis = Axis.log([1, 100])
    assert axis.place(10) - axis.place(1) == pytest.approx(axis.place(100) - axis.place(10))
    assert axis.place(10) == pytest.approx(50)


def test_a_value_beyond_an_end_lies_at_the_end() -> None:
    axis = Axis.linear([], low=0.9, high=1.0)
    assert (axis.place(0.01), axis.place(2)) == (0, 100)
    assert Axis.log([1, 10]).place(0) == 0


def test_ticks_are_written_in_the_shortest_form() -> None:
    texts = [tick_text(one) for one in (0, 0.5, 20.0, 1000.0, 0.0002)]
    assert texts == ["0", "0.5", "20", "1,000", "0.0002"]
