"""Costs of scale in a benchmark's report: time and memory against length and batch, with fits checked on each point.

The JSON of an engine has, besides its other figures,

    lengths   [{"tokens", "p50_ms", "interval_ms", "peak_memory_mb"}, ...]
    batches   [{"texts", "texts_per_s", "call_ms", "peak_memory_mb"}, ...]
    costs     {key of COSTS: the fit, as `CostFit.to_json` returns it}

and that of a ratio `lengths` and `batches`, with the median and the range of the ratios within rounds. All are left out
if no lengths or batches were timed.
"""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ftool.bench.fits import fit_cost
from ftool.bench.timings import Timings, medians, percentile_interval

Cell = Callable[[Mapping[str, Any]], str]  # of a point in an engine's JSON


@dataclass(frozen=True, kw_only=True)
class Cost:
    """A cost that is fitted: how it is named, and where an engine's JSON has its points."""

    title: str
    unit: str
    points: str  # "lengths" or "batches"
    size: str  # the key of n in a point
    value: str  # the key of the cost in a point
    degree: int  # 2 with a term in n^2: attention compares each token with each


COSTS: Final = {
    "latency_by_length": Cost(
        title="latency", unit="ms", points="lengths", size="tokens", value="p50_ms", degree=2
    ),
    "memory_by_length": Cost(
        title="peak memory", unit="MB", points="lengths", size="tokens", value="peak_memory_mb", degree=2
    ),
    "call_by_batch": Cost(
        title="time of a call", unit="ms", points="batches", size="texts", value="call_ms", degree=1
    ),
    "memory_by_batch": Cost(
        title="peak memory of calls",
        unit="MB",
        points="batches",
        size="texts",
        value="peak_memory_mb",
        degree=1,
    ),
}


def scale_json(timings: Timings) -> dict[str, Any]:
    """Return an engine's figures by length and batch as JSON, with fits; {} if none were timed."""
    found: dict[str, Any] = {}
    if timings.length_ms:
        found["lengths"] = [
            {
                "tokens": length,
                "p50_ms": statistics.median(one for chunk in rounds for one in chunk),
                "interval_ms": percentile_interval(rounds, 50),
                "peak_memory_mb": timings.length_memory_mb[length],
            }
            for length, rounds in timings.length_ms.items()
        ]
    if timings.batch_ms:
        middle = {size: statistics.median(rounds) for size, rounds in timings.batch_ms.items()}
        found["batches"] = [
            {
                "texts": size,
                "texts_per_s": 1e3 * size / ms,
                "call_ms": ms,
                "peak_memory_mb": timings.batch_memory_mb[size],
            }
            for size, ms in middle.items()
        ]
    costs = {key: _fit(found[cost.points], cost) for key, cost in COSTS.items() if cost.points in found}
    return {**found, "costs": costs} if costs else {}


def _fit(points: Sequence[Mapping[str, Any]], cost: Cost) -> dict[str, Any]:
    sizes, values = ([point[key] for point in points] for key in (cost.size, cost.value))
    return {"unit": cost.unit, **fit_cost(sizes, values, cost.degree).to_json()}


def scale_ratios(bundle: Timings, other: Timings) -> dict[str, Any]:
    """Return how many times faster the bundle is than `other`, by length and by batch; {} if none were timed."""
    lengths = {
        length: (medians(rounds), medians(other.length_ms[length]))
        for length, rounds in bundle.length_ms.items()
    }
    batches = {size: (rounds, other.batch_ms[size]) for size, rounds in bundle.batch_ms.items()}
    found = {
        "lengths": [{"tokens": length, **_ratio(*both)} for length, both in lengths.items()],
        "batches": [{"texts": size, **_ratio(*both)} for size, both in batches.items()],
    }
    return {key: rows for key, rows in found.items() if rows}


def _ratio(bundle: Sequence[float], other: Sequence[float]) -> dict[str, Any]:
    ratios = [b / a for a, b in zip(bundle, other, strict=True)]
    return {"ratio": statistics.median(ratios), "ratio_range": [min(ratios), max(ratios)]}


def scale_tables(report: Mapping[str, Any]) -> list[list[list[str]]]:
    """Return tables of a report, given as JSON, each as rows of text: by length, by batch, and the points left out.

    Tables of what was not timed are left out.
    """
    first = report["engines"][report["subject"]]
    tables = []
    if "lengths" in first:
        part = "to the first token" if "tokens_per_s" in first else "one at a time"
        columns = {"p50, ms": _latency, "MB": _memory}
        tables.append(_by_size(report, "lengths", "tokens", f"tokens of a text, {part}", columns))
    if "batches" in first:
        columns = {"texts/s": lambda point: number(point["texts_per_s"]), "MB": _memory}
        tables.append(_by_size(report, "batches", "texts", "texts in a call", columns))
    if left_out := list(_left_out(report)):
        tables.append([["predicted from the other sizes", "n", "measured", "predicted", "error"], *left_out])
    return tables


def _by_size(
    report: Mapping[str, Any], points: str, size: str, title: str, columns: Mapping[str, Cell]
) -> list[list[str]]:
    """Return a table with a row for each size: the cells of `columns` for each engine, and the ratios."""
    engines, ratios = report["engines"], report["ratios"]
    heads = [f"{name} ({unit})" for name in engines for unit in columns]
    rows = [[title, *heads, *(f"faster than {name}" for name in ratios)]]
    for place, point in enumerate(engines[report["subject"]][points]):
        cells = [cell(one[points][place]) for one in engines.values() for cell in columns.values()]
        compared = (one[points][place] for one in ratios.values())
        rows.append([str(point[size]), *cells, *map(_times, compared)])
    return rows


def _memory(point: Mapping[str, Any]) -> str:
    return f"{point['peak_memory_mb']:,.0f}"


def _latency(point: Mapping[str, Any]) -> str:
    interval = point["interval_ms"]
    between = f" ({number(interval[0])} to {number(interval[1])})" if interval else ""
    return f"{number(point['p50_ms'])}{between}"


def _times(point: Mapping[str, Any]) -> str:
    low, high = point["ratio_range"]
    return f"{point['ratio']:.2f}x ({low:.2f} to {high:.2f})"


def _left_out(report: Mapping[str, Any]) -> Iterator[list[str]]:
    for name, engine in report["engines"].items():
        for key, fit in engine.get("costs", {}).items():
            for one in fit["left_out"]:
                cells = (
                    str(one["n"]),
                    number(one["measured"]),
                    number(one["predicted"]),
                    f"{one['error']:+.1%}",
                )
                yield [f"{name}: {COSTS[key].title} ({fit['unit']})", *cells]


def scale_sentences(report: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each fit of a report, given as JSON, or one that says how many sizes a fit needs."""
    result = []
    for name, engine in report["engines"].items():
        for key, fit in engine.get("costs", {}).items():
            cost = COSTS[key]
            if fit["coefficients"] is not None:
                worst = max(abs(one["error"]) for one in fit["left_out"])
                result.append(
                    f"{name}: {cost.title} with n {cost.size} = {_formula(fit)} {fit['unit']}; "
                    f"each point is predicted by the others to within {worst:.1%}"
                )
            elif name == report["subject"]:
                result.append(
                    f"{cost.title}: {fit['points']} {cost.points} are too few to fit {fit['form']} and to check it; "
                    f"time at least {fit['points_needed']}"
                )
    return result


def _formula(fit: Mapping[str, Any]) -> str:
    terms = fit["form"].split(" + ")
    values = fit["coefficients"].values()
    return " + ".join(f"{value:.3g}{term[1:]}" for value, term in zip(values, terms, strict=True))


def number(value: float) -> str:
    """Return a figure for a table: one decimal place from 1, and three below."""
    return f"{value:,.1f}" if value >= 1 else f"{value:.3f}"
