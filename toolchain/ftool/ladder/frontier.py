"""The frontier: every candidate's accuracy and costs, the chosen one, and the reason why each other was not chosen."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ftool.evaluation.confidence_intervals import Estimate
from ftool.evaluation.results import METRIC_NAMES
from ftool.ladder.choice import Ranked, cheapest, least_provable, nearest, upper_end
from ftool.recipe.sections import ExportRecipe

CROSS_FITTED = (
    "training tuned thresholds on these examples, so every score here is with thresholds that were tuned, for each "
    "example, on others"
)
_COSTS = {"latency": "slower", "size": "larger", "memory": "needs more memory"}


@dataclass(frozen=True, kw_only=True)
class ScoredBaseline:
    """A simple model's main metric on the validation examples. `trivial`: it ignores its input."""

    title: str
    score: Estimate
    trivial: bool


@dataclass(frozen=True, kw_only=True)
class Frontier:
    """The result of an export that chose its precision.

    Attributes:
        subject: the model's name.
        metric: the main metric's name.
        examples: the number of validation examples.
        cross_fitted: whether numbers such as thresholds were tuned on these examples, so that each example is judged
            with numbers that were tuned on others.
        reference: the metric of the trained model in torch.
        ranked: the candidates, with their costs and the limits that they miss.
        wanted: the limits and the preference.
        baselines: simple models on the same examples; empty if the task has none, or without training data.
        timings: the report of `ftool bench` on the candidates, as plain JSON.
        generates: whether the model generates text, so that latencies are those of a token.
        page: the HTML file with the picture.
        bundle: the folder that the chosen bundle was written to; None if no candidate qualified.
    """

    subject: str
    metric: str
    examples: int
    cross_fitted: bool = False
    reference: Estimate
    ranked: Sequence[Ranked]
    wanted: ExportRecipe
    baselines: Sequence[ScoredBaseline]
    timings: Mapping[str, Any]
    generates: bool
    page: Path
    bundle: Path | None = None

    @property
    def chosen(self) -> Ranked | None:
        """The cheapest candidate that qualifies; None if none does."""
        return cheapest(self.ranked, self.wanted)

    @property
    def refusal(self) -> str | None:
        """Why no candidate qualified; None if one did."""
        return None if self.bundle else "; ".join(self.notes())

    @property
    def on_frontier(self) -> set[str]:
        """The names of the candidates that no other candidate beats in both accuracy and the preferred cost."""
        timed = [
            (one.rung.name, one.rung.score.value, one.costs.by(self.wanted.prefer))
            for one in self.ranked
            if one.costs is not None and one.rung.score is not None
        ]
        return {
            name
            for name, score, cost in timed
            if not any(
                other_score >= score and other_cost <= cost and (other_score, other_cost) != (score, cost)
                for _, other_score, other_cost in timed
            )
        }

    def reason(self, one: Ranked) -> str:
        """Return why a candidate was chosen or was not."""
        chosen = self.chosen
        if one is chosen:
            return "chosen"
        if one.misses:
            return "; ".join(miss.text for miss in one.misses)
        return f"kept, but {_COSTS[self.wanted.prefer]} than {chosen.rung.name if chosen else 'another'}"

    def to_json(self) -> dict[str, Any]:
        """Return the frontier as plain JSON."""
        closest = None if self.chosen else nearest(self.ranked)
        return {
            "subject": self.subject,
            "chosen": self.chosen.rung.name if self.chosen else None,
            "nearest": closest.rung.name if closest else None,
            "split": "validation",
            "examples": self.examples,
            "cross_fitted": self.cross_fitted,
            "metric": self.metric,
            "reference": self.reference.to_json(),
            "limits": self._limits(),
            "latency_of": "token" if self.generates else "answer",
            "candidates": [self._candidate(one) for one in self.ranked],
            "baselines": [
                {"title": one.title, "trivial": one.trivial, **one.score.to_json()} for one in self.baselines
            ],
            "notes": self.notes(),
            "timings": dict(self.timings),
        }

    def evidence(self) -> dict[str, Any]:
        """Return what the chosen bundle's manifest records: the limits, and each candidate's figures."""
        known = self.to_json()
        kept = ("chosen", "split", "examples", "cross_fitted", "metric", "reference", "limits", "latency_of")
        figures = ("name", "source", "precision", "embedding_bits", "reason", "score", "drop", *_FIGURES)
        return {
            **{name: known[name] for name in kept},
            "source": self.chosen.rung.source if self.chosen else None,
            "candidates": [{name: one[name] for name in figures} for one in known["candidates"]],
            "machine": self.timings["machine"]["cpu"],
        }

    def export_json(self) -> dict[str, Any]:
        """Return what `ftool export --json` prints: the report of the chosen bundle's export, and the frontier."""
        report = dict(self.chosen.rung.report or {}) if self.chosen else {"precision": None, "gate": None}
        return {**report, "bundle": str(self.bundle) if self.bundle else None, "ladder": self.to_json()}

    def _limits(self) -> dict[str, Any]:
        names = ("max_drop", "confidence", "max_latency", "max_size", "prefer")
        return {name: value for name, value in asdict(self.wanted).items() if name in names}

    def _candidate(self, one: Ranked) -> dict[str, Any]:
        costs = dict.fromkeys(_FIGURES) if one.costs is None else asdict(one.costs)
        return {
            **one.rung.to_json(),
            **costs,
            "qualifies": one.qualifies,
            "on_frontier": one.rung.name in self.on_frontier,
            "reason": self.reason(one),
        }

    def notes(self) -> list[str]:
        """Return sentences about the choice: the chosen or nearest candidate, and limits of the evidence."""
        chosen, closest = self.chosen, nearest(self.ranked)
        lines = []
        if chosen is None and closest is not None:
            missed = "; ".join(miss.text for miss in closest.misses)
            lines.append(f"no candidate qualifies; nearest: {closest.rung.name}, which {missed}")
        elif chosen is None:
            lines.append("no candidate qualifies: the gate refused every one")
        if self.cross_fitted:
            lines.append(CROSS_FITTED)
        least = least_provable(self.examples, self.wanted.confidence)
        if least > self.wanted.max_drop:
            lines.append(
                f"{self.examples} examples are few: even the same answers to all of them leave a loss of up to "
                f"{least:.4f} possible, more than --max-drop {self.wanted.max_drop:g}"
            )
        return lines

    def misses(self) -> list[str]:
        """Return a line for each candidate that misses a limit."""
        return [f"{one.rung.name}: {self.reason(one)}" for one in self._ordered if one.misses]

    def table(self) -> list[list[str]]:
        """Return the candidates as rows of text below a header, the preferred cost ascending; the chosen is marked."""
        chosen = self.chosen
        metric = METRIC_NAMES.get(self.metric, self.metric)
        unit = "ms/token" if self.generates else "ms"
        worst = f"at most ({self.wanted.confidence:.0%})"
        rows = [["", metric, "drop", worst, unit, "x fp32", "MB", "peak MB", "texts/s", ""]]
        rows.append(["torch fp32", f"{self.reference.value:.4f}", *[""] * 8])
        rows += [[one.rung.name, *_figures(one), "chosen" if one is chosen else ""] for one in self._ordered]
        rows += [[one.title, f"{one.score.value:.4f}", *[""] * 7, "baseline"] for one in self.baselines]
        return rows

    @property
    def _ordered(self) -> list[Ranked]:
        return sorted(
            self.ranked, key=lambda one: one.costs.by(self.wanted.prefer) if one.costs else math.inf
        )


_FIGURES = ("latency_ms", "size_mb", "memory_mb", "throughput_per_s", "faster")


def _figures(one: Ranked) -> list[str]:
    """Return a candidate's figures as cells of the table."""
    rung, costs = one.rung, one.costs
    if rung.score is None or rung.drop is None or costs is None:
        return [""] * 8
    return [
        f"{rung.score.value:.4f}",
        f"{rung.drop.value:+.4f}",
        f"{upper_end(rung.drop):.4f}",
        f"{costs.latency_ms:.2f}",
        "" if costs.faster is None else f"{costs.faster:.2f}",
        f"{costs.size_mb:.1f}",
        f"{costs.memory_mb:.0f}",
        f"{costs.throughput_per_s:,.0f}",
    ]
