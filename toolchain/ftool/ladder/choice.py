"""The choice: the cheapest candidate that stays within every limit, and what each of the others misses."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ftool.evaluation.confidence_intervals import Estimate
from ftool.ladder.rungs import Rung
from ftool.recipe.sections import ExportRecipe

_ROUNDING = 1e-9  # 0.93 - 0.92 is slightly more than 0.01 in binary
_SMALLEST_MARGIN = 1e-3  # a drop beyond a limit of 0 is compared with this


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What a candidate costs on this machine.

    Attributes:
        latency_ms: the median time of an answer in milliseconds, one text at a time; for a model that generates text,
            the time of a token.
        size_mb: the size of the bundle's files in MB (10^6 bytes).
        memory_mb: the peak memory of its process in MB.
        throughput_per_s: answers a second, many texts in one call.
        faster: how many times faster an answer is than that of the fp32 bundle, a median over alternating rounds; None
            if there is no fp32 bundle.
    """

    latency_ms: float
    size_mb: float
    memory_mb: float
    throughput_per_s: float
    faster: float | None = None

    @classmethod
    def of(cls, engine: Mapping[str, Any], ratio: Mapping[str, Any] | None) -> "Costs":
        """Return the costs in an engine's figures in the report of `ftool bench`, and in its ratios to fp32."""
        tokens = engine.get("tokens_per_s")
        return cls(
            latency_ms=1e3 / tokens if tokens else engine["latency_ms"]["p50"],
            size_mb=engine["size_mb"],
            memory_mb=engine["peak_memory_mb"],
            throughput_per_s=engine["throughput_per_s"],
            faster=None if ratio is None else ratio["latency_p50"],
        )

    def by(self, prefer: str) -> float:
        """Return the cost that `export.prefer` compares."""
        return {"latency": self.latency_ms, "size": self.size_mb, "memory": self.memory_mb}[prefer]


@dataclass(frozen=True)
class Miss:
    """A limit that a candidate misses: in words, and by what share of the limit."""

    text: str
    excess: float


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """A candidate with its costs (None if it was not timed), and the limits that it misses."""

    rung: Rung
    costs: Costs | None
    misses: tuple[Miss, ...]

    @property
    def qualifies(self) -> bool:
        """Whether the candidate has a proved bundle and stays within every limit."""
        return self.costs is not None and not self.misses


def rank(
    rungs: Sequence[Rung], costs: Mapping[str, Costs], wanted: ExportRecipe, examples: int
) -> list[Ranked]:
    """Return the candidates in the given order, each with the limits that it misses; `examples` judged the drops."""
    return [
        Ranked(
            rung=rung,
            costs=costs.get(rung.name),
            misses=_misses(rung, costs.get(rung.name), wanted, examples),
        )
        for rung in rungs
    ]


def cheapest(ranked: Sequence[Ranked], wanted: ExportRecipe) -> Ranked | None:
    """Return the candidate of the lowest preferred cost among those that qualify; None if none does."""
    return min(
        (one for one in ranked if one.qualifies),
        key=lambda one: one.costs.by(wanted.prefer) if one.costs else math.inf,
        default=None,
    )


def nearest(ranked: Sequence[Ranked]) -> Ranked | None:
    """Return the candidate that misses the fewest limits, and those by least; None if the gate refused every one."""
    built = [one for one in ranked if one.costs is not None and one.misses]
    return min(
        built, key=lambda one: (len(one.misses), max(miss.excess for miss in one.misses)), default=None
    )


def least_provable(examples: int, confidence: float) -> float:
    """Return the drop that even equal answers to all `examples` can't rule out at this confidence.

    If a share p of all texts lost their right answer, none of n would show it with probability (1 - p)^n: the rule of
    three (Hanley and Lippman-Hand 1983).
    """
    return float(1 - (1 - confidence) ** (1 / examples))


def _misses(rung: Rung, costs: Costs | None, wanted: ExportRecipe, examples: int) -> tuple[Miss, ...]:
    if rung.drop is None:
        return (Miss(rung.refusal or "not built", math.inf),)
    found = [_drop_miss(rung.drop, wanted, examples)]
    if costs is not None:
        found += [
            _limit_miss("takes", costs.latency_ms, "ms", "--max-latency", wanted.max_latency),
            _limit_miss("has", costs.size_mb, "MB", "--max-size", wanted.max_size),
        ]
    return tuple(miss for miss in found if miss is not None)


def _drop_miss(drop: Estimate, wanted: ExportRecipe, examples: int) -> Miss | None:
    worst = upper_end(drop)
    if not math.isfinite(worst):
        return Miss(f"its loss can't be estimated from {examples} examples", math.inf)
    if worst <= wanted.max_drop + _ROUNDING:
        return None
    text = f"may lose {worst:.4f}, more than --max-drop {wanted.max_drop:g}"
    margin = wanted.max_drop - drop.value
    if margin > 0:  # an interval narrows with the root of the number of examples
        needed = examples * ((worst - drop.value) / margin) ** 2
        text += f"; it lost {drop.value:.4f}, and about {_two_digits(needed):,} examples would tell"
    return Miss(text, (worst - wanted.max_drop) / max(wanted.max_drop, _SMALLEST_MARGIN))


def _two_digits(number: float) -> int:
    """Return a number of at least 1 rounded up to two significant digits."""
    step = int(10 ** max(math.floor(math.log10(number)) - 1, 0))
    return math.ceil(number / step - _ROUNDING) * step


def upper_end(drop: Estimate) -> float:
    """Return the largest drop that the examples leave possible; nan if the drop has no interval.

    If the interval of a bootstrap ends below the drop itself, this is the drop.
    """
    return float(np.maximum(drop.value, drop.high))


def _limit_miss(verb: str, value: float, unit: str, flag: str, limit: float | None) -> Miss | None:
    if limit is None or value <= limit:
        return None
    return Miss(f"{verb} {value:.2f} {unit}, more than {flag} {limit:g}", (value - limit) / limit)
