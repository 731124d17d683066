"""The `Task` row for feature extraction: vectors of texts, for search and similarity."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftool.data.dataset import Dataset, Split
from ftool.data.rows.similarity import SimilarityReader, SimilarPair, kind_of
from ftool.errors import RecipeError
from ftool.recipe.sections import Sections, given
from ftool.tasks.base import Task, count_cut

if TYPE_CHECKING:
    from ftool.evaluation.baselines import FittedBaseline
    from ftool.evaluation.open_model import OpenModel
    from ftool.evaluation.results import Measurements


def _check(recipe: Sections) -> None:
    if recipe.train.pooling == "pooler":
        raise RecipeError(f"train.pooling can't be pooler for {recipe.task}; use auto, mean, cls or last")


def _create(recipe: Sections, data: Dataset[SimilarPair]) -> Any:
    from ftool.bases import base_arguments
    from ftool.training.embedder_loss import loss_name
    from ftool_export.checkpoints.embedder import create_embedder

    _metric(recipe, data.train)  # refuses wrong settings before a model is loaded
    loss_name(data.facts["kind"], recipe.train)
    pooling = recipe.train.pooling
    assert pooling != "pooler", "the recipe refuses it"
    query, passage = recipe.data.query_prompt, recipe.data.passage_prompt
    return create_embedder(
        pooling=pooling,
        prompts={
            **({} if query is None else {"query": query}),
            **({} if passage is None else {"passage": passage}),
        },
        **base_arguments(recipe),
    )


def _load(checkpoint: str | Path) -> Any:
    from ftool_export.checkpoints.embedder import load_embedder

    return load_embedder(checkpoint)


def _objective(loaded: Any, data: Dataset[SimilarPair], _: Mapping[str, Any], recipe: Sections) -> Any:
    from ftool.training.embedder import EmbedderObjective

    return EmbedderObjective(loaded, data, recipe.train, _metric(recipe, data.train))


def _answering(loaded: Any) -> Any:
    from ftool.evaluation.open_model import TorchEmbedder

    return TorchEmbedder(loaded)


def _fit(
    model: "OpenModel", split: Split[SimilarPair], name: str, _: Sections, *, training: bool = False
) -> tuple[Split[SimilarPair], Mapping[str, Any]]:
    from ftool.evaluation.metrics.embeddings import texts_to_embed

    del training
    prompts = model.facts.embedding.prompts
    texts = [
        prompts.get(kind, model.prefix) + text if kind else model.prefix + text
        for kind, side in texts_to_embed(split)
        for text in side
    ]
    return split, count_cut(model, texts, name)


def _measure(model: "OpenModel", split: Split[SimilarPair]) -> "Measurements":
    from ftool.evaluation.metrics.embeddings import (
        embedding_metrics,
        embedding_predictions,
        embedding_statistics,
        texts_to_embed,
    )
    from ftool.evaluation.results import Measurements
    from ftool.evaluation.wrong_numbers import find_wrong_neighbours

    vectors = [model.model(texts, kind=kind) for kind, texts in texts_to_embed(split)]
    similarity = model.facts.embedding.similarity
    return Measurements(
        metrics=embedding_metrics(split, vectors, similarity),
        statistics=partial(embedding_statistics, split, vectors, similarity),
        predictions=partial(embedding_predictions, split, vectors, similarity),
        wrong=partial(find_wrong_neighbours, split, vectors, similarity),
    )


def _baselines(
    data: Dataset[SimilarPair], fitted: Split[SimilarPair], recipe: Sections
) -> "list[FittedBaseline]":
    from ftool.evaluation.baselines import FittedBaseline
    from ftool.evaluation.metrics.embeddings import embedding_statistics, texts_to_embed
    from ftool.training.baselines.tfidf import WordVectors, enough_texts, part_of

    texts = list(dict.fromkeys(text for one in data.train.examples for text in one.texts))
    known = enough_texts(texts, recipe.train.seed)
    words = WordVectors([texts[place] for place in known])
    vectors = [words(side) for _, side in texts_to_embed(fitted)]
    return [
        FittedBaseline(
            name="tfidf_cosine",
            title="the cosine of TF-IDF vectors" + part_of(len(known), len(texts)),
            statistics=partial(embedding_statistics, fitted, vectors, "dot"),
            learnt_from=len(known),
        )
    ]


def _examples(loaded: Any, split: Split[SimilarPair], recipe: Sections) -> Any:
    from ftool.evaluation.confidence_intervals import difference_error
    from ftool.evaluation.metrics.embeddings import embedding_metrics, embedding_statistics, texts_to_embed
    from ftool_export.examples.embedding import EmbeddingExamples, embedder_inputs

    metric = _metric(recipe, split)
    sides = [embedder_inputs(loaded, texts, kind) for kind, texts in texts_to_embed(split)]
    first = len(sides[0])

    def score(vectors: Any) -> float:
        found = embedding_metrics(split, [vectors[:first], vectors[first:]], loaded.similarity)
        value = found[metric]
        return math.nan if value is None else float(value)

    def uncertainty(*both: Any) -> float:
        one, other = (
            embedding_statistics(split, [vectors[:first], vectors[first:]], loaded.similarity)
            for vectors in both
        )
        return difference_error(one, other, metric)

    return EmbeddingExamples(
        inputs=[*sides[0], *sides[1]],
        first_side=first,
        metric=metric,
        uncertainty=uncertainty,
        scorer=score,
    )


def _defaults(_: Sections) -> Mapping[str, Any]:
    # The texts of a batch are each other's negatives, so a step is never cut into smaller ones.
    return {"train.max_length": 128, "train.batch_size": 32, "train.gradient_accumulation": 1}


def _samples(loaded: Any) -> Any:
    from ftool_export.examples.embedding import EmbeddingExamples
    from ftool_export.tokenizers.texts import sample_inputs

    return EmbeddingExamples(inputs=sample_inputs(("text",), loaded.reads))


def _timed(split: Split[SimilarPair], _: Path) -> Sequence[str]:
    from ftool.evaluation.metrics.embeddings import texts_to_embed

    return [text for _, texts in texts_to_embed(split) for text in texts]


def _main_metric(_: Any, split: Split[SimilarPair], recipe: Sections) -> str:
    return _metric(recipe, split)


def _metric(recipe: Sections, split: Split[SimilarPair]) -> str:
    """Return the metric that selects weights. Raises TrainingError if the recipe's metric doesn't fit the data."""
    from ftool.errors import TrainingError
    from ftool.evaluation.metrics.embeddings import main_metric

    kind = kind_of(split)
    metric = main_metric(kind, given(recipe.train.metric))
    if (metric in ("spearman", "pearson")) != (kind == "scored"):
        raise TrainingError(
            f"train.metric is {metric!r}, which {kind} don't have; leave it out for {main_metric(kind, None)}"
        )
    return metric


TASK = Task(
    name="feature-extraction",
    reader=SimilarityReader,
    settings=frozenset(
        {
            "data.anchor",
            "data.positive",
            "data.negative",
            "data.score",
            "data.query_prompt",
            "data.passage_prompt",
            "train.pooling",
            "train.loss",
            "train.metric",
        }
    ),
    defaults=_defaults,
    check=_check,
    main_metric=_main_metric,
    metrics=(  # for scored pairs the default is spearman
        "mrr_at_10",
        "ndcg_at_10",
        "recall_at_1",
        "recall_at_5",
        "recall_at_10",
        "hit_at_5",
        "spearman",
        "pearson",
    ),
    create=_create,
    load=_load,
    objective=_objective,
    answering=_answering,
    fit=_fit,
    measure=_measure,
    baselines=_baselines,
    extra="embed",
    predicts=True,
    examples=_examples,
    samples=_samples,
    timed=_timed,
)
