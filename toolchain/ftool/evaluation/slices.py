"""Metrics of parts of the data, such as one dialect's or one product's, and how far apart these parts are.

A task hands over `Outcomes` and the table that its examples come from, a row each; a slice is the examples of one
value of a column.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ftool.data.columns import column_of, find_column
from ftool.data.examples import is_missing
from ftool.data.table import Cell, Table
from ftool.evaluation.confidence import (
    Chance,
    Estimate,
    Positions,
    difference,
    estimates,
    finite,
    widest_gap_p_values,
)
from ftool.evaluation.per_example import Outcomes
from ftool_runtime.errors import InputError

EMPTY = "(empty)"  # the value of cells that hold nothing

_MOST_RANKED = 200  # slices; a column of more is no grouping, such as an id


@dataclass(frozen=True, kw_only=True)
class SliceSettings:
    """How slices are reported."""

    min_examples: int = 30  # a slice of fewer is named, not ranked
    chance: Chance = field(default_factory=Chance)

    def __post_init__(self) -> None:
        if self.min_examples < 1:
            raise InputError(f"a slice needs 1 example or more to be ranked, got {self.min_examples}")


@dataclass(frozen=True, kw_only=True)
class Slice:
    """The examples of one value."""

    value: str
    examples: int
    ranked: bool  # whether it has enough examples to be compared
    metrics: Mapping[str, Estimate]

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        metrics = {name: estimate.to_json() for name, estimate in self.metrics.items()}
        return {"value": self.value, "examples": self.examples, "ranked": self.ranked, "metrics": metrics}


@dataclass(frozen=True, kw_only=True)
class Gap:
    """The two ranked slices between which a metric differs most."""

    highest: str
    lowest: str
    gap: Estimate  # the bootstrap interval of the difference between these two
    p_value: float  # how often chance alone makes some two of the slices differ as much

    @property
    def beyond_chance(self) -> bool:
        """Whether chance alone makes such a gap in fewer than one case in 20."""
        return bool(self.p_value < 0.05)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
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
    """The metrics of every slice by one column; ranked slices first, by the main metric, highest first."""

    column: str
    main: str
    slices: Sequence[Slice]
    gaps: Mapping[str, Gap]  # by metric; empty where fewer than two slices are ranked
    settings: SliceSettings

    @property
    def rare(self) -> list[Slice]:
        """The slices of too few examples to be ranked."""
        return [one for one in self.slices if not one.ranked]

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            "column": self.column,
            "main_metric": self.main,
            "slices": [one.to_json() for one in self.slices],
            "rare": [one.value for one in self.rare],
            "widest_gaps": {name: gap.to_json() for name, gap in self.gaps.items()},
            "min_examples": self.settings.min_examples,
            **self.settings.chance.to_json(),
        }


def slice_report(
    outcomes: Outcomes, table: Table, name: str, settings: SliceSettings | None = None
) -> SliceReport:
    """The metrics by the values of the column `name`.

    Raises DataError, which lists the columns, where there is no such column, and InputError where its values are too
    many to be groups or the rows of the examples are not known.
    """
    settings = settings or SliceSettings()
    if len(table.rows) != len(outcomes):
        raise InputError(
            f"{table.source or 'these examples'}: which row an example comes from is not known (several files read "
            "as one?), so there are no columns to slice by; name one file with --data"
        )
    find_column(table, name, (), "slices", "--by")
    groups = _groups(column_of(table, name))
    if len(groups) > _MOST_RANKED:
        raise InputError(
            f"{table.source}: the column {name!r} has {len(groups)} values in {len(outcomes)} examples; "
            f"slices need one of at most {_MOST_RANKED}"
        )
    slices = [
        Slice(
            value=value,
            examples=len(positions),
            ranked=len(positions) >= settings.min_examples,
            metrics=estimates(outcomes, positions, settings.chance),
        )
        for value, positions in groups.items()
    ]
    slices.sort(key=lambda one: (not one.ranked, -_order(one.metrics[outcomes.main]), one.value))
    return SliceReport(
        column=name,
        main=outcomes.main,
        slices=slices,
        gaps=_gaps(outcomes, groups, [one for one in slices if one.ranked], settings.chance),
        settings=settings,
    )


def value_name(cell: Cell) -> str:
    """What a slice is called after the cell that its examples share."""
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
    outcomes: Outcomes, groups: Mapping[str, Positions], ranked: Sequence[Slice], chance: Chance
) -> dict[str, Gap]:
    if len(ranked) < 2:
        return {}
    p_values = widest_gap_p_values(outcomes, [groups[one.value] for one in ranked], chance)
    gaps = {}
    for name, p_value in p_values.items():
        known = [one for one in ranked if np.isfinite(one.metrics[name].value)]
        if len(known) < 2:
            continue
        highest = max(known, key=lambda one: one.metrics[name].value)
        lowest = min(known, key=lambda one: one.metrics[name].value)
        low, high = difference(outcomes, groups[highest.value], groups[lowest.value], name, chance)
        width = highest.metrics[name].value - lowest.metrics[name].value
        gaps[name] = Gap(
            highest=highest.value, lowest=lowest.value, gap=Estimate(width, low, high), p_value=p_value
        )
    return gaps


def _order(estimate: Estimate) -> float:
    return estimate.value if np.isfinite(estimate.value) else -np.inf
