"""The `Task` row for text ranking: how relevant each of several documents is to a query (rerankers, cross-encoders)."""

import itertools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ftool.data.dataset import Dataset, Split
from ftool.data.rows.ranking import RankedQuery, RankingReader, labelled_pairs
from ftool.errors import DataError
from ftool.recipe.sections import Sections, given
from ftool.tasks.base import Task, count_cut

if TYPE_CHECKING:
    from ftool.evaluation.baselines import FittedBaseline
    from ftool.evaluation.open_model import OpenModel
    from ftool.evaluation.results import Measurements

log = logging.getLogger(__name__)

NAME: Final = "text-ranking"
_MOST_COMPARED: Final = 6_000  # pairs that select weights, and on which an export is compared with PyTorch


def _main_metric(_: Any, __: Any, recipe: Sections) -> str:
    from ftool.evaluation.metrics.ranking import MAIN

    return given(recipe.train.metric) or MAIN


def _create(recipe: Sections, data: Dataset[RankedQuery]) -> Any:
    from ftool.bases import base_arguments
    from ftool_export.checkpoints.classifier import create_classifier

    del data
    loaded = create_classifier(
        labels=(),
        multi_label=False,
        regression=True,
        pairs=True,
        pooling="pooler",  # so that sentence-transformers' CrossEncoder reads the run
        **base_arguments(recipe),
    )
    return replace(loaded, task=NAME)


def _load(checkpoint: str | Path) -> Any:
    from ftool_export.checkpoints.classifier import load_classifier
    from ftool_export.errors import CheckpointError

    loaded = load_classifier(checkpoint, pairs=True)
    if not loaded.regression or loaded.labels:
        raise CheckpointError(
            f"{checkpoint}: a reranker has one output, the relevance of a document; this model has "
            f"{loaded.model.width} labels. Export it with --task text-classification, or train a reranker on it: "
            f"ftool train FOLDER --task {NAME} --base {checkpoint}"
        )
    return replace(loaded, task=NAME)


def _objective(
    loaded: Any, data: Dataset[RankedQuery], splits: Mapping[str, Split[RankedQuery]], recipe: Sections
) -> Any:
    from ftool.training.reranker import RerankerObjective

    validated = {**splits, "validation": _limited(splits["validation"])}
    return RerankerObjective(loaded, data, validated, recipe.train, _main_metric(None, None, recipe))


def _answering(loaded: Any) -> Any:
    from ftool.evaluation.open_model import TorchClassifier

    return TorchClassifier(loaded)


def _fit(
    model: "OpenModel", split: Split[RankedQuery], name: str, recipe: Sections, *, training: bool = False
) -> tuple[Split[RankedQuery], Mapping[str, Any]]:
    """Add candidates to the queries; leave out queries whose documents have no order, except from training."""
    from ftool.training.hard_negatives import with_candidates

    fitted = with_candidates(split, recipe.train.seed)
    if not training:
        kept = [place for place, one in enumerate(fitted.examples) if _has_order(one)]
        if not kept:
            raise DataError(
                f"{split.source}: no query has both a relevant and an irrelevant document, so there is nothing to "
                "rank; add rows whose score is 0"
            )
        if left_out := len(fitted) - len(kept):
            log.warning(
                "%d of %d %s queries have only relevant or only irrelevant documents and are left out",
                left_out,
                len(fitted),
                name,
            )
        fitted = fitted.take(kept)
    texts = [(model.prefix + pair["text"], pair["text_pair"]) for pair in _pairs(fitted)]
    return fitted, count_cut(model, texts, name)


def _has_order(one: RankedQuery) -> bool:
    return max(one.relevances) > 0 and len(set(one.relevances)) > 1


def _pairs(split: Split[RankedQuery]) -> list[dict[str, str]]:
    """Return each query with each of its documents, as a model reads them."""
    return [pair for one in split.examples for pair in one.pairs]


def _limited(split: Split[RankedQuery]) -> Split[RankedQuery]:
    """Return a split of at most 6,000 pairs, or of one query: the first queries, which are in no order of interest."""
    ends = itertools.accumulate(len(one.documents) for one in split.examples)
    count = sum(end <= _MOST_COMPARED for end in ends)
    return split.take(range(max(count, 1)))


def _measure(model: "OpenModel", split: Split[RankedQuery]) -> "Measurements":
    from ftool.evaluation.metrics.ranking import metrics_of_order, order_predictions, order_statistics
    from ftool.evaluation.results import Measurements

    scores = model.model.logits(_pairs(split))[:, 0]
    return Measurements(
        metrics=metrics_of_order(split.examples, scores),
        statistics=partial(order_statistics, split.examples, scores),
        predictions=partial(order_predictions, split.examples, scores),
    )


def _baselines(
    data: Dataset[RankedQuery], fitted: Split[RankedQuery], recipe: Sections
) -> "list[FittedBaseline]":
    import numpy as np

    from ftool.evaluation.baselines import FittedBaseline
    from ftool.evaluation.metrics.ranking import order_statistics
    from ftool.training.baselines.tfidf import WordVectors, enough_texts, part_of

    texts = list(dict.fromkeys(text for one in data.train.examples for text in (one.query, *one.documents)))
    known = enough_texts(texts, recipe.train.seed)
    words = WordVectors([texts[place] for place in known])
    queries = words([pair["text"] for pair in _pairs(fitted)])
    documents = words([pair["text_pair"] for pair in _pairs(fitted)])
    scores = np.asarray(queries.multiply(documents).sum(axis=1)).ravel()
    return [
        FittedBaseline(
            name="tfidf_cosine",
            title="the order of a search by words (TF-IDF)" + part_of(len(known), len(texts)),
            statistics=partial(order_statistics, fitted.examples, scores),
            learnt_from=len(known),
        )
    ]


def _examples(loaded: Any, split: Split[RankedQuery], recipe: Sections) -> Any:
    from ftool.evaluation.confidence_intervals import difference_error
    from ftool.evaluation.metrics.ranking import metrics_of_order, order_statistics
    from ftool_export.examples.classification import ClassificationExamples

    metric, queries = _main_metric(None, None, recipe), _limited(split)

    def uncertainty(*both: Any) -> float:
        one, other = (order_statistics(queries.examples, scores[:, 0]) for scores in both)
        return difference_error(one, other, metric)

    return ClassificationExamples(
        loaded=loaded,
        inputs=_pairs(queries),
        metric=metric,
        uncertainty=uncertainty,
        scorer=lambda scores: float(metrics_of_order(queries.examples, scores[:, 0])[metric]),
    )


def _samples(loaded: Any) -> Any:
    from ftool_export.examples.classification import ClassificationExamples
    from ftool_export.tokenizers.texts import sample_inputs

    return ClassificationExamples(loaded=loaded, inputs=sample_inputs(("text", "text_pair"), loaded.reads))


def _timed(split: Split[RankedQuery], _: Path) -> Sequence[Any]:
    return [pair.input for pair in labelled_pairs(split).examples]


TASK = Task(
    name=NAME,
    reader=RankingReader,
    settings=frozenset(
        {
            "data.anchor",
            "data.positive",
            "data.negative",
            "data.score",
            "train.gradient_checkpointing",
            "train.head_learning_rate",
            "train.metric",
        }
    ),
    main_metric=_main_metric,
    metrics=("mrr_at_10", "ndcg_at_10", "recall_at_1", "recall_at_5", "hit_at_1", "hit_at_5"),
    create=_create,
    load=_load,
    objective=_objective,
    answering=_answering,
    fit=_fit,
    measure=_measure,
    baselines=_baselines,
    predicts=True,
    examples=_examples,
    samples=_samples,
    timed=_timed,
)
