"""Metrics of taggers: precision, recall and F1 of whole entities, counted as the script conlleval and seqeval do.

The tags come from entities that the runtime found, so they are valid IOB2, for which seqeval's strict mode gives the
same figures as its default.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ftool.data.rows.tag_schemes import TypedSpan, spans_of_tags
from ftool.evaluation.results import Metrics
from ftool.evaluation.statistics import Floats, SummedStatistics

MAIN_METRIC = "f1"

Tags = Sequence[Sequence[str]]  # for each text, the IOB2 tags of its words


def entity_metrics(truth: Tags, answers: Tags) -> Metrics:
    """Return all metrics of predicted tags `answers`: fractions from 0 to 1, except supports, which count entities.

    `precision`, `recall` and `f1` are computed over all entities (micro); an entity is correct if its words and its
    kind are correct. `f1_macro` is the mean F1 over kinds of entity, and `accuracy` is the share of words with the
    correct tag. A fraction of nothing is 0.
    """
    kinds, parts = _counted(truth, answers)
    totals = {name: np.sum(part, axis=0, dtype=np.float64).reshape(1, -1) for name, part in parts.items()}
    with np.errstate(divide="ignore", invalid="ignore"):
        overall = _formula(totals)
    return {
        **{name: float(np.nan_to_num(values[0])) for name, values in overall.items()},
        "entities": int(totals["wanted"].sum()),
        "per_class": {kind: _of_kind(totals, index) for index, kind in enumerate(kinds)},
    }


def entity_score(truth: Tags, answers: Tags, metric: str = MAIN_METRIC) -> float:
    """Return only one metric, 0 to 1: the F1 over all entities, or `metric`."""
    return float(entity_metrics(truth, answers)[metric])


def entity_statistics(truth: Tags, answers: Tags) -> SummedStatistics:
    """Return statistics, counts of entities, from which the metrics of any subset of the texts can be computed.

    `f1_macro` is the mean over the kinds of entity that occur in the subset.
    """
    _, parts = _counted(truth, answers)
    return SummedStatistics(parts, _formula, main=MAIN_METRIC)


def _counted(truth: Tags, answers: Tags) -> tuple[Sequence[str], Mapping[str, Any]]:
    """Return the kinds of entity, and what is counted in each text: entities by kind (texts, kinds), words (texts,)."""
    spans = [
        (set(spans_of_tags(one)), set(spans_of_tags(other)))
        for one, other in zip(truth, answers, strict=True)
    ]
    kinds = sorted({span.kind for pair in spans for side in pair for span in side})
    return kinds, {
        "wanted": _counts([wanted for wanted, _ in spans], kinds),
        "given": _counts([given for _, given in spans], kinds),
        "hits": _counts([wanted & given for wanted, given in spans], kinds),
        "words": [len(tags) for tags in truth],
        "right": [
            sum(tag == other for tag, other in zip(*pair, strict=True))
            for pair in zip(truth, answers, strict=True)
        ],
    }


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


def _of_kind(totals: Mapping[str, Floats], index: int) -> dict[str, float]:
    hits, wanted, given = (float(totals[name][0, index]) for name in ("hits", "wanted", "given"))
    return {
        "precision": hits / given if given else 0.0,
        "recall": hits / wanted if wanted else 0.0,
        "f1": 2 * hits / (wanted + given),
        "support": int(wanted),
    }


def _counts(spans: Sequence[set[TypedSpan]], kinds: Sequence[str]) -> Floats:
    """Return the number of entities of each kind in each text: float64 (texts, kinds)."""
    places = {kind: index for index, kind in enumerate(kinds)}
    counts = np.zeros((len(spans), len(kinds)))
    for text, found in enumerate(spans):
        for kind, count in Counter(span.kind for span in found).items():
            counts[text, places[kind]] = count
    return counts
