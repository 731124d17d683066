"""Compare a trained model with baselines: simple models that learn from the same training examples in seconds."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ftool.data.dataset import Example, fingerprint
from ftool.evaluation.confidence_intervals import (
    ConfidenceSettings,
    Estimate,
    every_estimate,
    finite,
    paired_difference,
)
from ftool.evaluation.statistics import Statistics
from ftool.terminal import format_table


@dataclass(frozen=True, kw_only=True)
class FittedBaseline:
    """A baseline's answers to the test split.

    Attributes:
        name: the baseline's name in JSON.
        title: what the baseline is, for people.
        statistics: a function that computes per-example statistics of the answers.
        learnt_from: the number of training examples that were used.
        trivial: whether the baseline ignores its input.
    """

    name: str
    title: str
    statistics: Callable[[], Statistics]
    learnt_from: int
    trivial: bool = False


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """A baseline's score.

    Attributes:
        title: what the baseline is, for people.
        score: the main metric with its interval.
        learnt_from: the number of training examples that were used.
        trivial: whether the baseline ignores its input.
        advantage: the trained model's score minus this one, with the interval of the difference; None if only the two
            scores are known.
    """

    title: str
    score: Estimate
    learnt_from: int
    trivial: bool = False
    advantage: Estimate | None = None

    def beaten_by(self, model: Estimate) -> bool:
        """Whether the model's score is higher, beyond chance if the interval of the difference is known.

        A model without a score, such as one that gives the same number to all texts, beats none. A model with a score
        beats a baseline without one.
        """
        if np.isnan(model.value):
            return False
        if self.advantage is not None and np.isfinite(self.advantage.low):
            return self.advantage.low > 0
        return bool(np.isnan(self.score.value)) or model.value > self.score.value

    def to_json(self) -> dict[str, Any]:
        """Return the baseline as plain JSON."""
        difference = {} if self.advantage is None else {"advantage": self.advantage.to_json()}
        return {
            "title": self.title,
            **self.score.to_json(),
            "learnt_from": self.learnt_from,
            "trivial": self.trivial,
            **difference,
        }


@dataclass(frozen=True, kw_only=True)
class BaselineReport:
    """A trained model's main metric on one split beside that of its baselines.

    Attributes:
        metric: the main metric's name.
        model: the trained model's score.
        baselines: the baselines by name.
        examples_sha256: the fingerprint of the split's examples, which tells whether another split is the same.
        next_step: what to try if the model does not beat the baselines.
        seconds: the time that the baselines took.
    """

    metric: str
    model: Estimate
    baselines: Mapping[str, Baseline]
    examples_sha256: str
    next_step: str
    seconds: float

    @classmethod
    def from_json(cls, stored: Mapping[str, Any], statistics: Statistics) -> Self:
        """Return the stored report of another evaluation on the same examples, with this model's `statistics`.

        The differences are taken over if this model scores as the stored one did. Otherwise they are left out, because
        their intervals need the baselines' answers, which the stored report does not hold.
        """
        model = _estimate(statistics, stored["metric"])
        same = model.to_json() == stored["model"]
        known = {
            name: Baseline(
                title=one["title"],
                score=_stored(one),
                learnt_from=one["learnt_from"],
                trivial=one["trivial"],
                advantage=_stored(one["advantage"]) if same and "advantage" in one else None,
            )
            for name, one in stored["models"].items()
        }
        return cls(
            metric=stored["metric"],
            model=model,
            baselines=known,
            examples_sha256=stored["examples_sha256"],
            next_step=stored["next_step"],
            seconds=stored["seconds"],
        )

    @property
    def unbeaten(self) -> list[Baseline]:
        """The baselines that the model does not beat, those that ignore their input first."""
        found = [one for one in self.baselines.values() if not one.beaten_by(self.model)]
        return sorted(found, key=lambda one: not one.trivial)

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain JSON for metrics.json."""
        return {
            "metric": self.metric,
            "model": self.model.to_json(),
            "models": {name: one.to_json() for name, one in self.baselines.items()},
            "beats_all": not self.unbeaten,
            "verdict": self.verdict(),
            "examples_sha256": self.examples_sha256,
            "next_step": self.next_step,
            "seconds": self.seconds,
        }

    def verdict(self) -> str:
        """Return one sentence that says whether the model beats the baselines, and what to do if it does not."""
        if not self.unbeaten:
            known = {1: "the baseline", 2: "both baselines"}
            others = known.get(len(self.baselines), "all baselines")
            if any(one.advantage is None for one in self.baselines.values()):
                return f"This model scores higher than {others}; whether by chance is told by `ftool train` alone."
            return f"This model beats {others}."
        worst = self.unbeaten[0]
        if self.model.value == worst.score.value == 1.0:
            return (
                f"This model and {worst.title} both score 1: only harder test examples can tell them apart."
            )
        clearly, by = "", ""
        if (gap := worst.advantage) is not None and np.isfinite(gap.low):
            clearly = " clearly" if gap.value > 0 else ""
            by = f" (difference {gap.value:+.4f}, {gap.low:+.4f} to {gap.high:+.4f})"
        return f"This model does not{clearly} beat {worst.title}{by}. Next: {self.next_step}."

    def table(self, metric_name: str) -> str:
        """Return the scores as a table, followed by the verdict; `metric_name` is the metric's name for people."""
        rows = [[f"{metric_name}, beside baselines", "", "95% interval"]]
        rows.append(["this model", *_cells(self.model)])
        rows += [[one.title, *_cells(one.score)] for one in self.baselines.values()]
        return f"{format_table(rows)}\n{self.verdict()}"


def compare_with_baselines(
    fit: Callable[[], list[FittedBaseline]],
    statistics: Statistics,
    examples: Sequence[Example],
    next_step: str,
) -> BaselineReport:
    """Train the baselines and compare the model with them.

    Args:
        fit: trains the baselines.
        statistics: those of the model's answers to `examples`.
        examples: the examples that model and baselines have answered.
        next_step: what to try if the model does not beat the baselines.
    """
    began = time.monotonic()
    metric, confidence = statistics.main, ConfidenceSettings()
    found = {}
    for one in fit():
        own = one.statistics()
        found[one.name] = Baseline(
            title=one.title,
            score=_estimate(own, metric),
            learnt_from=one.learnt_from,
            trivial=one.trivial,
            advantage=paired_difference(statistics, own, metric, confidence),
        )
    return BaselineReport(
        metric=metric,
        model=_estimate(statistics, metric),
        baselines=found,
        examples_sha256=fingerprint(examples),
        next_step=next_step,
        seconds=time.monotonic() - began,
    )


def _estimate(statistics: Statistics, metric: str) -> Estimate:
    return every_estimate(statistics)[metric]


def _stored(stored: Mapping[str, Any]) -> Estimate:
    return Estimate(*(np.nan if stored[end] is None else stored[end] for end in ("value", "low", "high")))


def _cells(score: Estimate) -> tuple[str, str]:
    value, low, high = (finite(one) for one in (score.value, score.low, score.high))
    return (
        "none" if value is None else f"{value:.4f}",
        "none" if low is None else f"{low:.4f} to {high:.4f}",
    )
