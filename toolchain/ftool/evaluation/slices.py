"""Metrics of slices of the data, such as all texts in one dialect, and the gaps between slices.

A slice holds the examples whose table rows have the same value in a column. Metrics are computed from `Statistics`.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ftool.data.cells import is_missing
from ftool.data.columns import named_column
from ftool.data.table import Cell, Table
from ftool.evaluation.confidence_intervals import (
    ConfidenceSettings,
    Estimate,
    Positions,
    difference,
    estimates,
    finite,
    widest_gap_p_values,
)
from ftool.evaluation.statistics import Statistics
from ftool.terminal import format_table
from ftool_runtime.errors import InputError

EMPTY = "(empty)"  # the value of empty cells
_MOST_METRICS = 4  # largest number of metric columns in a table; --json has all metrics
_MOST_SLICES = 40  # largest number of slices in a table
_MOST_RANKED = 200  # largest number of values; a column with more, such as an id, is not a grouping


@dataclass(frozen=True, kw_only=True)
class SliceSettings:
    """Settings for reports of slices."""

    min_examples: int = 30  # smaller slices are listed but not ranked
    confidence: ConfidenceSettings = field(default_factory=ConfidenceSettings)

    def __post_init__(self) -> None:
        if self.min_examples < 1:
            raise InputError(f"a slice needs 1 example or more to be ranked, got {self.min_examples}")


@dataclass(frozen=True, kw_only=True)
class Slice:
    """The metrics of the examples that share one value of a column."""

    value: str
    examples: int
    ranked: bool  # whether the slice has enough examples to be compared with others
    metrics: Mapping[str, Estimate]

    def to_json(self) -> dict[str, Any]:
        """Return the slice as plain JSON."""
        metrics = {name: estimate.to_json() for name, estimate in self.metrics.items()}
        return {"value": self.value, "examples": self.examples, "ranked": self.ranked, "metrics": metrics}


@dataclass(frozen=True, kw_only=True)
class Gap:
    """The two ranked slices between which a metric differs most, and the size and significance of the difference."""

    highest: str
    lowest: str
    gap: Estimate  # the difference between the two slices, with its bootstrap interval
    p_value: float  # probability that chance alone gives so wide a gap between any two slices

    @property
    def beyond_chance(self) -> bool:
        """Whether the gap is significant: its p-value is below 0.05."""
        return bool(self.p_value < 0.05)

    def to_json(self) -> dict[str, Any]:
        """Return the gap as plain JSON."""
        return {
            "highest": self.highest,
            "lowest": self.lowest,
            "gap": finite(self.gap.value),
            "low": finite(self.gap.low),
            "high": finite(self.gap.high),
            "p_value": self.p_value,
            "beyond_chance": self.beyond_chance,
        }


@dataclass(frozen=True, kw_only=True)
class SliceReport:
    """The metrics of the slices that one column defines. Ranked slices are first, from the highest main metric down."""

    column: str
    main: str
    slices: Sequence[Slice]
    gaps: Mapping[str, Gap]  # by metric; empty if fewer than two slices are ranked
    settings: SliceSettings

    @property
    def rare(self) -> list[Slice]:
        """The slices with too few examples to be ranked."""
        return [one for one in self.slices if not one.ranked]

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain JSON."""
        return {
            "column": self.column,
            "main_metric": self.main,
            "slices": [one.to_json() for one in self.slices],
            "rare": [one.value for one in self.rare],
            "widest_gaps": {name: gap.to_json() for name, gap in self.gaps.items()},
            "min_examples": self.settings.min_examples,
            **self.settings.confidence.to_json(),
        }


def slice_report(
    statistics: Statistics, table: Table, name: str, settings: SliceSettings | None = None
) -> SliceReport:
    """Return the metrics of the examples for each value of the table's column `name`.

    `table` has one row for each example. Raises DataError, which lists the columns, if there is no such column, and
    InputError if the column has more than 200 values or the table does not have one row for each example.
    """
    settings = settings or SliceSettings()
    if len(table.rows) != len(statistics):
        raise InputError(
            f"{table.source or 'these examples'}: the rows of the examples are not known (are several files read "
            "as one?), so there are no columns to slice by; name one file with --data"
        )
    groups = _groups(table.cells(named_column(table, name)))
    if len(groups) > _MOST_RANKED:
        raise InputError(
            f"{table.source}: the column {name!r} has {len(groups)} values in {len(statistics)} examples; "
            f"slices need a column with at most {_MOST_RANKED}"
        )
    slices = [
        Slice(
            value=value,
            examples=len(positions),
            ranked=len(positions) >= settings.min_examples,
            metrics=estimates(statistics, positions, settings.confidence),
        )
        for value, positions in groups.items()
    ]
    slices.sort(key=lambda one: (not one.ranked, -_order(one.metrics[statistics.main]), one.value))
    return SliceReport(
        column=name,
        main=statistics.main,
        slices=slices,
        gaps=_gaps(statistics, groups, [one for one in slices if one.ranked], settings.confidence),
        settings=settings,
    )


def slices_text(report: SliceReport, metric_names: Mapping[str, str]) -> str:
    """Return a report as text: ranked slices with confidence intervals, slices too small to rank, and the widest gaps.

    `metric_names` maps the metrics' names in JSON to the names to print.
    """
    names = [name for name in metric_names if all(name in one.metrics for one in report.slices)]
    names.sort(key=lambda name: name != report.main)
    names = names[:_MOST_METRICS]
    parts = [_rare(report)] if report.rare else []
    ranked = [one for one in report.slices if one.ranked]
    if ranked:
        parts.insert(0, _slice_table(report.column, ranked, names, metric_names))
    parts.append(_gaps_text(report, names, metric_names))
    return "\n\n".join(parts)


def value_name(cell: Cell) -> str:
    """Return the name of a slice as text; `cell` is the column's value in all its examples."""
    if is_missing(cell):
        return EMPTY
    if isinstance(cell, list | tuple):
        return ", ".join(map(value_name, cell)) or EMPTY
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()


def _groups(cells: Sequence[Cell]) -> dict[str, Positions]:
    positions: dict[str, list[int]] = defaultdict(list)
    for position, cell in enumerate(cells):
        positions[value_name(cell)].append(position)
    return {value: np.array(found) for value, found in positions.items()}


def _gaps(
    statistics: Statistics,
    groups: Mapping[str, Positions],
    ranked: Sequence[Slice],
    confidence: ConfidenceSettings,
) -> dict[str, Gap]:
    if len(ranked) < 2:
        return {}
    p_values = widest_gap_p_values(statistics, [groups[one.value] for one in ranked], confidence)
    gaps = {}
    for name, p_value in p_values.items():
        known = [one for one in ranked if np.isfinite(one.metrics[name].value)]
        if len(known) < 2:
            continue
        highest = max(known, key=lambda one: one.metrics[name].value)
        lowest = min(known, key=lambda one: one.metrics[name].value)
        low, high = difference(statistics, groups[highest.value], groups[lowest.value], name, confidence)
        width = highest.metrics[name].value - lowest.metrics[name].value
        gaps[name] = Gap(
            highest=highest.value, lowest=lowest.value, gap=Estimate(width, low, high), p_value=p_value
        )
    return gaps


def _order(estimate: Estimate) -> float:
    return estimate.value if np.isfinite(estimate.value) else -np.inf


def _slice_table(column: str, ranked: list[Slice], names: list[str], metric_names: Mapping[str, str]) -> str:
    rows = [[f"by {column}", *(metric_names[name] for name in names), "examples"]]
    rows += [
        [one.value, *(_interval(one.metrics[name]) for name in names), str(one.examples)]
        for one in ranked[:_MOST_SLICES]
    ]
    if len(ranked) > _MOST_SLICES:
        rows.append([f"({len(ranked) - _MOST_SLICES} more; --json has all)", *[""] * (len(names) + 1)])
    return format_table(rows)


def _interval(estimate: Estimate) -> str:
    if math.isnan(estimate.value):
        return "none"
    if math.isnan(estimate.low):
        return f"{estimate.value:.3f} (too few examples)"
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"


def _rare(report: SliceReport) -> str:
    named = [f"{one.value} ({one.examples})" for one in report.rare[:_MOST_SLICES]]
    more = len(report.rare) - len(named)
    listed = ", ".join(named) + (f" and {more} more" if more else "")
    return f"fewer than {report.settings.min_examples} examples, so not ranked: {listed}"


def _gaps_text(report: SliceReport, names: list[str], metric_names: Mapping[str, str]) -> str:
    confidence = f"{report.settings.confidence.level:.0%}"
    if not report.gaps:
        return "no gaps: fewer than two slices have enough examples"
    lines = [_gap_text(metric_names[name], report.gaps[name]) for name in names if name in report.gaps]
    return "\n".join([*lines, f"{confidence} intervals in brackets"])


def _gap_text(metric: str, gap: Gap) -> str:
    if gap.highest == gap.lowest:
        return f"no gap, {metric}: all slices are equal"
    verdict = "more than chance" if gap.beyond_chance else "no more than chance"
    return (
        f"widest gap, {metric}: {_interval(gap.gap)}, {gap.highest} above {gap.lowest}; "
        f"{verdict} (p {gap.p_value:.2g})"
    )
