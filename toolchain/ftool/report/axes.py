"""Axes of charts: a range of values, linear or logarithmic, with round ticks, and where on it a value lies."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Self

_TICKS: Final = 5  # about as many as fit on a phone
_MOST_TICKS: Final = 7
_STEPS: Final = (1.0, 2.0, 2.5, 5.0, 10.0)  # round steps, times a power of ten
_ROOM: Final = 0.04  # of the axis, beyond the outermost values
_EXACT: Final = 1e-9


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A range of values that a chart shows. `title` has the unit."""

    low: float
    high: float
    ticks: Sequence[float]
    title: str = ""
    logarithmic: bool = False

    @classmethod
    def linear(
        cls,
        values: Iterable[float],
        *,
        title: str = "",
        low: float | None = None,
        high: float | None = None,
        ticks: int = _TICKS,
    ) -> Self:
        """Return an axis that holds all `values`, with about `ticks` ticks; `low` and `high` fix its ends."""
        known = list(values)
        first = min(known) if low is None else low
        last = max(known) if high is None else high
        if last - first < _EXACT:  # a single value
            first, last = (first - 0.5 if low is None else low), (last + 0.5 if high is None else high)
        room = (last - first) * _ROOM
        first, last = (first - room if low is None else low), (last + room if high is None else high)
        return cls(low=first, high=last, ticks=_round_ticks(first, last, ticks), title=title)

    @classmethod
    def log(cls, values: Iterable[float], *, title: str = "") -> Self:
        """Return a logarithmic axis that holds all `values`, which must be above 0."""
        known = list(values)
        span = max(math.log10(max(known) / min(known)), 0.3)  # at least a factor of 2
        middle = math.log10(max(known) * min(known)) / 2
        half = span * (0.5 + _ROOM)
        low, high = 10 ** (middle - half), 10 ** (middle + half)
        return cls(low=low, high=high, ticks=_log_ticks(low, high), title=title, logarithmic=True)

    def place(self, value: float) -> float:
        """Return where a value lies, in percent of the axis; a value beyond an end lies at this end."""
        if self.logarithmic:
            if value <= 0:
                return 0.0
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return round(100 * min(max(share, 0.0), 1.0), 3)

    def labels(self) -> list[tuple[float, str]]:
        """Return each tick's place in percent and its text."""
        return [(self.place(tick), tick_text(tick)) for tick in self.ticks]


def tick_text(value: float) -> str:
    """Return a tick's value in the shortest form, such as 0.5, 20 or 1,000."""
    return f"{value:,.10g}" if abs(value) >= 1e-3 or value == 0 else f"{value:.3g}"


def _round_ticks(low: float, high: float, about: int) -> tuple[float, ...]:
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * one for one in _STEPS if power * one >= raw - _EXACT * power)
    first, last = math.ceil(low / step - _EXACT), math.floor(high / step + _EXACT)
    return tuple(float(f"{number * step:.12g}") for number in range(first, last + 1))


def _log_ticks(low: float, high: float) -> tuple[float, ...]:
    """Return ticks at 1, 2 and 5 times powers of ten, or fewer if these are too many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for within in ((1, 1.5, 2, 3, 4, 5, 6, 8), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,)):
        ticks = [float(f"{one * 10.0**power:.12g}") for power in powers for one in within]
        inside = [tick for tick in ticks if low * (1 - _EXACT) <= tick <= high * (1 + _EXACT)]
        if len(inside) <= _MOST_TICKS:
            return tuple(inside)
    every = -(-len(inside) // _MOST_TICKS)  # many powers of ten
    return tuple(inside[::every])
