"""The accuracy gate: what quantisation may cost, judged on labelled texts that were not trained on."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftool_export.answers import agreement, probability_distance
from ftool_export.classifier import LoadedClassifier
from ftool_export.errors import ExportError

ROUNDING = 1e-9  # 0.93 - 0.92 is a little more than 0.01 in binary


@dataclass(frozen=True, slots=True)
class Judge:
    """Labelled texts, and how logits on them are scored.

    Attributes:
        texts: the validation texts.
        metric: the name of the task's main metric, of which more is better.
        score: that metric from float32 logits (texts, labels).
    """

    texts: Sequence[str]
    metric: str
    score: Callable[[NDArray[np.float32]], float]

    def __post_init__(self) -> None:
        if not self.texts:
            raise ExportError("no validation texts to judge the bundle by; name data that has some")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the gate says.

    Attributes:
        passed: whether the bundle may be written. True where nothing could be judged.
        judged: whether there were labelled texts; without them only agreement with torch is known.
        metric: the metric's name, None where not judged.
        reference: torch's score.
        bundle: the graph's score.
        max_drop: how far the second may lie below the first.
        examples: texts compared.
        agreement: share of answers that are the same, see `answers.agreement`.
        largest_difference: of a probability, over all texts and labels.
    """

    passed: bool
    judged: bool
    metric: str | None = None
    reference: float | None = None
    bundle: float | None = None
    max_drop: float
    examples: int
    agreement: float
    largest_difference: float

    @property
    def drop(self) -> float | None:
        """How much of the metric was lost; below 0 where the bundle is better. None where not judged."""
        return None if self.reference is None or self.bundle is None else self.reference - self.bundle

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "drop": self.drop}

    def __str__(self) -> str:
        score = "" if self.drop is None else f"{self.metric} {self.bundle:.4f} against {self.reference:.4f}, "
        return f"{score}{self.agreement:.2%} of {self.examples} answers the same"


def judge_logits(
    loaded: LoadedClassifier,
    reference: NDArray[np.float32],
    candidate: NDArray[np.float32],
    *,
    judge: Judge | None,
    max_drop: float,
) -> Verdict:
    """Compare a graph's logits with torch's on the same texts.

    Args:
        loaded: the reference, which knows what logits stand for.
        reference: torch's, float32 (texts, labels).
        candidate: the graph's, likewise.
        judge: how to score them; None where there are no labels.
        max_drop: absolute loss of the metric that is allowed.
    """
    scores = (judge.score(reference), judge.score(candidate)) if judge else None
    return Verdict(
        passed=scores is None or scores[0] - scores[1] <= max_drop + ROUNDING,
        judged=judge is not None,
        metric=judge.metric if judge else None,
        reference=scores[0] if scores else None,
        bundle=scores[1] if scores else None,
        max_drop=max_drop,
        examples=len(reference),
        agreement=agreement(loaded, reference, candidate),
        largest_difference=float(probability_distance(loaded, reference, candidate).max()),
    )
