"""Written texts as sums, from which their metrics on any part of the examples follow."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ftool.evaluation.metrics.generation import MetricOfSums, example_metrics, sums_of_translation
from ftool.evaluation.per_example import Floats, SummedOutcomes
from ftool_runtime.errors import InputError

_MAIN = ("bleu", "rougeL")  # of translation, and of the others


def text_outcomes(
    predictions: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    task: str,
    language: str | None = None,
    main: str | None = None,
) -> SummedOutcomes:
    """The metrics that `text_metrics` has, of any part of the examples; arguments as there.

    `main` is the metric that decides, where it is one of these. Perplexity and the share of tokens are none of them:
    they are the model's, not its texts'.
    """
    if not predictions:
        raise InputError("plain text is continued, not answered, so there is nothing to tell by slice")
    parts: dict[str, Any] = {
        name: np.asarray(values, dtype=np.float64)
        for name, values in example_metrics(predictions, references, task=task, language=language).items()
    }
    scorers: dict[str, MetricOfSums] = {}
    if task == "translation":
        scorers = sums_of_translation(predictions, references, language=language)
        parts |= {name: np.asarray(scorer.rows, dtype=np.float64) for name, scorer in scorers.items()}
    names = [*scorers, *(name for name in parts if name not in scorers and not name.startswith("_"))]

    def formula(totals: Mapping[str, Floats]) -> Mapping[str, Floats]:
        examples = totals["examples"][:, 0]
        found = {
            name: _each(scorers[name].score, totals[name])
            if name in scorers
            else totals[name][:, 0] / examples
            for name in names
        }
        found["length_ratio"] = totals["_written"][:, 0] / np.maximum(totals["_wanted"][:, 0], 1)
        if "_marked" in totals:
            found["answer_accuracy"] = totals["_right"][:, 0] / totals["_marked"][:, 0]
        return found

    chosen = main if main in (*names, "length_ratio") else _MAIN[task != "translation"]
    return SummedOutcomes(parts, formula, main=chosen, shares=("exact_match",))


def _each(score: Callable[[Sequence[int]], float], totals: Floats) -> Floats:
    """The score of each row of totals; nan of none."""
    return np.array([score(row.astype(int).tolist()) if row.any() else np.nan for row in totals])
