"""Exact match and F1 of answers, as in the scripts of SQuAD 1.1 and 2.0 (Rajpurkar et al. 2016, 2018).

All scores are fractions from 0 to 1. Texts are compared in lower case, without punctuation and without English
articles. F1 counts the words that an answer shares with a reference, so in languages written without spaces F1 is
little more than exact match.
"""

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ftool.data.rows.questions import Question
from ftool.evaluation.confidence_intervals import Estimate, every_estimate
from ftool.evaluation.results import Metrics
from ftool.evaluation.statistics import RecomputedStatistics, SummedStatistics, averaged
from ftool_runtime.postprocessing.spans import Spans

MAIN_METRIC = "f1"

Threshold = float | NDArray[np.float64]  # the no-answer threshold, or (questions,) each question's own

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


@dataclass(frozen=True, kw_only=True)
class ScoredSpans:
    """The best span of each of some questions, with its score; each attribute has one entry per question.

    Attributes:
        best: the text of the best span; "" if there is no span.
        margins: the score of the best span minus the score of "no answer", float64 (questions,).
        references: the answers that count as correct; empty if the question has no answer.
    """

    best: Sequence[str]
    margins: NDArray[np.float64]
    references: Sequence[Sequence[str]]

    def answers(self, threshold: Threshold | None) -> list[str]:
        """Return each question's answer: the best span, or "" if its margin is below -`threshold`.

        If `threshold` is None, the best span is always the answer.
        """
        if threshold is None:
            return list(self.best)
        answered = -self.margins <= threshold
        return [text if given else "" for text, given in zip(self.best, answered, strict=True)]


def scored_spans(examples: Sequence[Question], spans: Sequence[Spans]) -> ScoredSpans:
    """Return the best span and the correct answers of each question; `spans` has the spans of each of `examples`."""
    best = [
        example.context[found.best[0].start : found.best[0].end] if found.best else ""
        for example, found in zip(examples, spans, strict=True)
    ]
    return ScoredSpans(
        best=best,
        margins=np.array([found.margin for found in spans], dtype=np.float64),
        references=[example.answers for example in examples],
    )


def question_metrics(scored: ScoredSpans, threshold: float | None) -> Metrics:
    """Return all metrics of the answers that `scored.answers(threshold)` returns.

    If some questions are unanswerable, the metrics are also reported for answerable and unanswerable questions;
    `best_f1` and `best_exact_match` use the threshold that gives the highest value on the given questions, as in SQuAD
    2.0; and `span_f1` scores the best spans of the answerable questions, regardless of the threshold.
    """
    answers = scored.answers(threshold)
    exact, f1 = score_answers(answers, scored.references)
    answerable = np.array([has_answer(references) for references in scored.references], dtype=bool)
    metrics: Metrics = {"f1": float(f1.mean()), "exact_match": float(exact.mean())}
    if answerable.all():
        return metrics
    for name, subset in (("has_answer", answerable), ("no_answer", ~answerable)):
        if subset.any():
            metrics |= {f"{name}_f1": float(f1[subset].mean())}
            metrics |= {f"{name}_exact_match": float(exact[subset].mean())}
            metrics |= {f"{name}_examples": int(subset.sum())}
    best_exact, best_f1 = score_answers(scored.best, scored.references)
    if answerable.any():
        metrics["span_f1"] = float(best_f1[answerable].mean())
    metrics["best_f1"], metrics["best_f1_threshold"] = best_threshold(scored, best_f1, answerable)
    metrics["best_exact_match"], metrics["best_exact_match_threshold"] = best_threshold(
        scored, best_exact, answerable
    )
    return metrics | {"no_answer_threshold": threshold}


def question_statistics(scored: ScoredSpans, threshold: Threshold | None) -> SummedStatistics:
    """Return statistics from which F1 and exact match of any subset of the questions can be computed.

    The answers are those that `scored.answers(threshold)` returns.
    """
    exact, f1 = score_answers(scored.answers(threshold), scored.references)
    return averaged({"f1": f1, "exact_match": exact}, main=MAIN_METRIC, shares=("exact_match",))


def part_intervals(scored: ScoredSpans, threshold: float | None) -> dict[str, Estimate]:
    """Return the intervals of the metrics that only data with unanswerable questions has.

    Those of `has_answer_*`, `no_answer_*` and `span_f1` come from samples of the questions that they are computed on;
    those of the metrics at the best threshold from samples of all questions, each with its own best threshold.
    """
    answerable = np.array([has_answer(references) for references in scored.references], dtype=bool)
    if answerable.all():
        return {}
    exact, f1 = score_answers(scored.answers(threshold), scored.references)
    best_exact, best_f1 = score_answers(scored.best, scored.references)
    found: dict[str, Estimate] = {}
    for name, part in (("has_answer", answerable), ("no_answer", ~answerable)):
        values = {f"{name}_f1": f1[part], f"{name}_exact_match": exact[part]}
        if name == "has_answer":
            values["span_f1"] = best_f1[part]
        if part.any():
            found |= every_estimate(averaged(values, main=f"{name}_f1", shares=(f"{name}_exact_match",)))

    gains = {
        "best_f1": _gains(scored, best_f1, answerable),
        "best_exact_match": _gains(scored, best_exact, answerable),
    }

    def at_best(places: NDArray[np.int64]) -> dict[str, float]:
        unanswerable = int((~answerable[places]).sum())
        return {
            name: _best_threshold(scored.margins[places], all_of[places], unanswerable)[0]
            for name, all_of in gains.items()
        }

    return found | every_estimate(RecomputedStatistics(len(f1), at_best, main="best_f1"))


def tune_threshold(scored: ScoredSpans, metric: str = MAIN_METRIC) -> tuple[float, float]:
    """Return the no-answer threshold that gives the highest `metric` on the given questions, and this metric.

    `metric` is "f1" or "exact_match".
    """
    score, threshold = _tuner(scored, metric)(np.arange(len(scored.best)))
    return threshold, score


def threshold_tuner(scored: ScoredSpans, metric: str) -> Callable[[NDArray[np.int64]], float]:
    """Return a function that tunes the no-answer threshold, as `tune_threshold` does, on some of the questions.

    The function takes the positions of these questions, int64 (n,).
    """
    tune = _tuner(scored, metric)
    return lambda questions: tune(questions)[1]


def _tuner(scored: ScoredSpans, metric: str) -> Callable[[NDArray[np.int64]], tuple[float, float]]:
    """Return a function that returns the best score and threshold for the questions at some positions."""
    answerable = np.array([has_answer(references) for references in scored.references], dtype=bool)
    gains = _gains(scored, answer_scores(scored.best, scored.references, metric), answerable)
    return lambda questions: _best_threshold(
        scored.margins[questions], gains[questions], int((~answerable[questions]).sum())
    )


def answer_scores(
    answers: Sequence[str], references: Sequence[Sequence[str]], metric: str
) -> NDArray[np.float64]:
    """Return each answer's score with its best reference, float64 (examples,); `metric` is "f1" or "exact_match"."""
    exact, f1 = score_answers(answers, references)
    return exact if metric == "exact_match" else f1


def score_answers(
    answers: Sequence[str], references: Sequence[Sequence[str]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return two arrays, float64 (examples,): the exact match and the F1 of each answer with its best reference."""
    exact, f1 = np.zeros(len(answers)), np.zeros(len(answers))
    for row, (answer, given) in enumerate(zip(answers, references, strict=True)):
        right = [text for text in given if normalize_answer(text)] or [""]
        exact[row] = max(float(normalize_answer(answer) == normalize_answer(text)) for text in right)
        f1[row] = max(_f1(answer, text) for text in right)
    return exact, f1


def has_answer(references: Sequence[str]) -> bool:
    """Return whether a question can be answered, that is, has at least one reference answer."""
    return len(references) > 0


def normalize_answer(text: str) -> str:
    """Return a text in lower case, without punctuation and articles, with single spaces, as SQuAD's scripts do."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def best_threshold(
    scored: ScoredSpans, scores: NDArray[np.float64], answerable: NDArray[np.bool_]
) -> tuple[float, float]:
    """Return the highest mean score that a no-answer threshold can give, and this threshold.

    `scores`, (questions,), holds the score of each best span, such as its F1, and `answerable`, (questions,), whether a
    question has an answer. A question counts as unanswered if -margin is above the threshold; the question then scores
    1 if it is unanswerable, else 0. The threshold is midway between the -margins of two questions, so that a small
    change of a model's scores does not move a question across the threshold.
    """
    return _best_threshold(scored.margins, _gains(scored, scores, answerable), int((~answerable).sum()))


def _gains(
    scored: ScoredSpans, scores: NDArray[np.float64], answerable: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return how much the sum of scores grows if a question gets its best span instead of no answer, (questions,)."""
    wrongly_answered = np.where(np.array([bool(text) for text in scored.best]), -1.0, 0.0)
    return np.where(answerable, scores, wrongly_answered)


def _best_threshold(
    margins: NDArray[np.float64], gains: NDArray[np.float64], unanswerable: int
) -> tuple[float, float]:
    no_answer_margins = -margins  # the score of "no answer" minus the score of the best span
    order = np.argsort(no_answer_margins, kind="stable")
    # totals[n] is the sum of scores if the n questions with the least doubt are answered.
    totals = unanswerable + np.concatenate([[0.0], np.cumsum(gains[order])])
    ranked = no_answer_margins[order]
    # Between questions of equal doubt there is no threshold.
    is_boundary = np.concatenate([[True], ranked[1:] > ranked[:-1], [True]])
    totals = np.where(is_boundary, totals, -np.inf)
    answered = int(totals.argmax())
    finite = ranked[np.isfinite(ranked)]
    edge = (finite[0] - 1.0, finite[-1] + 1.0) if finite.size else (0.0, 0.0)
    below = edge[0] - 1.0 if answered == 0 else ranked[answered - 1]
    above = edge[1] + 1.0 if answered == len(ranked) else min(ranked[answered], edge[1] + 1.0)
    return float(totals[answered] / len(ranked)), float((below + above) / 2)


def _f1(answer: str, reference: str) -> float:
    answered, right = normalize_answer(answer).split(), normalize_answer(reference).split()
    if not answered or not right:
        return float(answered == right)
    shared = sum((Counter(answered) & Counter(right)).values())
    if shared == 0:
        return 0.0
    precision, recall = shared / len(answered), shared / len(right)
    return 2 * precision * recall / (precision + recall)
