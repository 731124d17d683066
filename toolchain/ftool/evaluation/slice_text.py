"""A report of slices for a person."""

import math
from collections.abc import Mapping

from ftool.evaluation.confidence import Estimate
from ftool.evaluation.slices import Gap, Slice, SliceReport
from ftool.tables import format_table

_MOST_METRICS = 4  # columns; --json has all
_MOST_SLICES = 40  # lines


def slice_text(report: SliceReport, metric_names: Mapping[str, str]) -> str:
    """The ranked slices with their intervals, the widest gaps, and the slices that are too few to rank."""
    names = [name for name in metric_names if all(name in one.metrics for one in report.slices)]
    names.sort(key=lambda name: name != report.main)
    names = names[:_MOST_METRICS]
    parts = [_rare(report)] if report.rare else []
    ranked = [one for one in report.slices if one.ranked]
    if ranked:
        parts.insert(0, _table(report.column, ranked, names, metric_names))
    parts.append(_gaps(report, names, metric_names))
    return "\n\n".join(parts)


def _table(column: str, ranked: list[Slice], names: list[str], metric_names: Mapping[str, str]) -> str:
    rows = [[f"by {column}", *(metric_names[name] for name in names), "examples"]]
    rows += [
        [one.value, *(_shown(one.metrics[name]) for name in names), str(one.examples)]
        for one in ranked[:_MOST_SLICES]
    ]
    if len(ranked) > _MOST_SLICES:
        rows.append([f"({len(ranked) - _MOST_SLICES} more; --json has all)", *[""] * (len(names) + 1)])
    return format_table(rows)


def _shown(estimate: Estimate) -> str:
    if math.isnan(estimate.value):
        return "none"
    if math.isnan(estimate.low):
        return f"{estimate.value:.3f} (too few to tell)"
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"


def _rare(report: SliceReport) -> str:
    named = [f"{one.value} ({one.examples})" for one in report.rare[:_MOST_SLICES]]
    more = len(report.rare) - len(named)
    listed = ", ".join(named) + (f" and {more} more" if more else "")
    return f"fewer than {report.settings.min_examples} examples, so not ranked: {listed}"


def _gaps(report: SliceReport, names: list[str], metric_names: Mapping[str, str]) -> str:
    confidence = f"{report.settings.chance.confidence:.0%}"
    if not report.gaps:
        return "no gap to judge: fewer than two slices have enough examples"
    lines = [_gap(metric_names[name], report.gaps[name]) for name in names if name in report.gaps]
    return "\n".join([*lines, f"in brackets {confidence} intervals"])


def _gap(metric: str, gap: Gap) -> str:
    if gap.highest == gap.lowest:
        return f"no gap, {metric}: all slices alike"
    verdict = "more than chance" if gap.beyond_chance else "no more than chance"
    return (
        f"widest gap, {metric}: {_shown(gap.gap)}, {gap.highest} above {gap.lowest}; "
        f"{verdict} (p {gap.p_value:.2g})"
    )
