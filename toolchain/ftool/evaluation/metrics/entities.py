"""Metrics of taggers: precision, recall and F1 of whole entities, computed by seqeval.

seqeval runs in its default mode, which counts entities as the script conlleval does. The tags come from entities that
the runtime found, so the tags are valid IOB2, for which seqeval's strict mode gives the same figures.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from seqeval.metrics import accuracy_score, f1_score
from seqeval.metrics.sequence_labeling import precision_recall_fscore_support

from ftool.data.rows.tag_schemes import TypedSpan, spans_of_tags
from ftool.evaluation.results import Metrics
from ftool.evaluation.statistics import Floats, SummedStatistics

MAIN_METRIC = "f1"

Tags = Sequence[Sequence[str]]  # for each text, the IOB2 tags of its words


def entity_metrics(truth: Tags, answers: Tags) -> Metrics:
    """Return all metrics of predicted tags `answers`: fractions from 0 to 1, except supports, which count entities.

    `precision`, `recall` and `f1` are computed over all entities (micro); an entity is correct if its words and its
    kind are correct. `f1_macro` is the mean F1 over kinds of entity, and `accuracy` is the share of words with the
    correct tag.
    """
    right, given = _lists(truth), _lists(answers)
    per_kind = _per_kind(right, given)
    precision, recall, f1, support = precision_recall_fscore_support(
        right, given, average="micro", zero_division=0
    )
    return {
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
        "f1_macro": float(f1_score(right, given, average="macro", zero_division=0)) if per_kind else 0.0,
        "accuracy": float(accuracy_score(right, given)),
        "entities": int(support),
        "per_class": per_kind,
    }


def entity_score(truth: Tags, answers: Tags, metric: str = MAIN_METRIC) -> float:
    """Return only one metric, 0 to 1: the F1 over all entities, or `metric`."""
    if metric == MAIN_METRIC:
        return float(f1_score(_lists(truth), _lists(answers), zero_division=0))
    return float(entity_metrics(truth, answers)[metric])


def entity_statistics(truth: Tags, answers: Tags) -> SummedStatistics:
    """Return statistics, counts of entities, from which the metrics of any subset of the texts can be computed.

    `f1_macro` is the mean over the kinds of entity that occur in the subset.
    """
    spans = [
        (set(spans_of_tags(one)), set(spans_of_tags(other)))
        for one, other in zip(truth, answers, strict=True)
    ]
    kinds = sorted({span.kind for pair in spans for side in pair for span in side})
    parts = {
        "wanted": _counts([wanted for wanted, _ in spans], kinds),
        "given": _counts([given for _, given in spans], kinds),
        "hits": _counts([wanted & given for wanted, given in spans], kinds),
        "words": [len(tags) for tags in truth],
        "right": [
            sum(tag == other for tag, other in zip(*pair, strict=True))
            for pair in zip(truth, answers, strict=True)
        ],
    }
    return SummedStatistics(parts, _formula, main=MAIN_METRIC)


def _formula(totals: Mapping[str, Floats]) -> Mapping[str, Floats]:
    hits, wanted, given = (totals[name].sum(axis=1) for name in ("hits", "wanted", "given"))
    by_kind = 2 * totals["hits"] / (totals["wanted"] + totals["given"])  # (samples, kinds)
    return {
        "precision": hits / given,
        "recall": hits / wanted,
        "f1": 2 * hits / (wanted + given),
        "f1_macro": np.nansum(by_kind, axis=1) / (~np.isnan(by_kind)).sum(axis=1),
        "accuracy": totals["right"][:, 0] / totals["words"][:, 0],
    }


def _counts(spans: Sequence[set[TypedSpan]], kinds: Sequence[str]) -> Floats:
    """Return the number of entities of each kind in each text: float64 (texts, kinds)."""
    counts = np.zeros((len(spans), len(kinds)))
    for text, found in enumerate(spans):
        for kind, count in Counter(span.kind for span in found).items():
            counts[text, kinds.index(kind)] = count
    return counts


def _per_kind(truth: list[list[str]], answers: list[list[str]]) -> dict[str, dict[str, float]]:
    columns = precision_recall_fscore_support(truth, answers, average=None, zero_division=0)
    kinds = sorted({span.kind for tags in (*truth, *answers) for span in spans_of_tags(tags)})
    return {
        kind: {
            "precision": float(columns[0][index]),
            "recall": float(columns[1][index]),
            "f1": float(columns[2][index]),
            "support": int(columns[3][index]),
        }
        for index, kind in enumerate(kinds)
    }


def _lists(tags: Tags) -> list[list[str]]:
    return [list(one) for one in tags]
