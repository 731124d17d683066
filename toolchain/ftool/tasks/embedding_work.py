"""Feature extraction: from a recipe to run/, and the metrics of run/ or a bundle on pairs, triplets or scored pairs."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import ftool_runtime
from ftool.bases import BASES, resolve_base
from ftool.data.dataset import Dataset, Split
from ftool.data.load import load_dataset, load_split, split_for_model
from ftool.data.rows.similarity import SimilarityReader, SimilarPair, kind_of
from ftool.data.splits import SPLITS
from ftool.evaluation.metrics.embeddings import (
    Vectors,
    embedding_metrics,
    embedding_statistics,
    judged_texts,
    main_metric,
)
from ftool.evaluation.results import Evaluation, TrainReport
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.recipe.sections import is_default
from ftool.training.embedder_finetune import vectors_of
from ftool.training.embedder_loss import loss_name
from ftool.training.embedder_stages import train_embedder
from ftool.training.errors import TrainingError
from ftool.training.hardware import device_name
from ftool.training.runs import account, checkpointed, identity, keep_run, prepare
from ftool.workspace import ModelFolder
from ftool_export.checkpoints.embedder import LoadedEmbedder, create_embedder, load_embedder, save_embedder
from ftool_export.checkpoints.embedder_layout import Kind
from ftool_export.examples.embedding import EmbeddingExamples, inputs_of_kind
from ftool_export.tokenizers.texts import SENTENCES
from ftool_runtime.bundle.manifest import Manifest

log = logging.getLogger(__name__)

NAME = "feature-extraction"


def train(recipe: Recipe, folder: Path, *, resume: bool) -> TrainReport:
    """Train an embedder as `recipe` says and put it in the model folder's run/, with metrics.json.

    Raises FtoolError where recipe, data, base model or checkpoints don't allow it.
    """
    began = time.monotonic()
    prepare(recipe)
    data = load_dataset(SimilarityReader, recipe.data)
    metric = _metric(recipe, data)
    loss_name(data.facts["kind"], recipe.train)  # refused here too
    loaded = _starting_point(recipe, data)
    cut = _count_cut(loaded, data)
    before = {name: judge(loaded, data.split(name), name).metrics for name in ("validation", "test")}
    with checkpointed(folder, _identity(recipe, data), resume=resume) as (partial, resume_from):
        tuned = train_embedder(
            loaded, data, recipe.train, metric=metric, folder=partial, resume_from=resume_from
        )
    report = TrainReport(
        validation=judge(loaded, data.validation, "validation"),
        test=judge(loaded, data.test, "test"),
        training={
            "before": before,  # the base's own metrics
            "metric": metric,
            **account(tuned, seconds=time.monotonic() - began),
        },
        recipe=asdict(recipe),
        data={
            "sha256": data.sha256,
            "kind": data.facts["kind"],
            "examples": {name: len(data.split(name)) for name in SPLITS},
            "texts_cut": cut,
            "notes": list(data.notes),
            "warnings": list(data.warnings),
        },
    )
    loaded.model.to("cpu")
    keep_run(folder, report, lambda run: save_embedder(loaded, run))
    return report


def evaluate(
    recipe: Recipe, folder: Path, *, on: Literal["run", "bundle"], data: DataSettings | None, split: str
) -> Evaluation:
    """The metrics of the model folder's run/ or bundle/ on a split of `data`, or of the recipe's own.

    Raises FtoolError where either is missing or can't be read.
    """
    model = ModelFolder(folder)
    if on == "bundle":
        return _evaluate_bundle(model.require_bundle(), judged_split(recipe, data, split), split)
    loaded = load_embedder(model.require_run())
    loaded.model.to(device_name())
    return judge(loaded, judged_split(recipe, data, split), split)


def load(checkpoint: str | Path) -> LoadedEmbedder:
    """The embedder in run/, a folder, or a hub id. Raises CheckpointError."""
    return load_embedder(checkpoint)


def recipe_examples(recipe: Recipe, loaded: LoadedEmbedder, split: str) -> EmbeddingExamples:
    """A split of the recipe's data, cut as it was for training, with the metric that decides. Raises DataError."""
    data = load_dataset(SimilarityReader, recipe.data)
    return _examples(loaded, data.split(split), _metric(recipe, data))


def data_examples(settings: DataSettings, loaded: LoadedEmbedder, split: str) -> EmbeddingExamples:
    """A split of other data, or its only one, with the metric of its kind. Raises DataError."""
    found = load_split(SimilarityReader, settings, split)
    return _examples(loaded, found, main_metric(kind_of(found), None))


def sample_examples(loaded: LoadedEmbedder) -> EmbeddingExamples:  # noqa: ARG001 (every task's)
    """Some texts of which nothing is known, where no data was named."""
    return EmbeddingExamples(inputs=SENTENCES)


def inputs(recipe: Recipe, split: str) -> list[str]:
    """The texts of a split of the recipe's data. Raises DataError."""
    lists = judged_texts(load_dataset(SimilarityReader, recipe.data).split(split))
    return [text for _, texts in lists for text in texts]


def judged_split(recipe: Recipe, data: DataSettings | None, split: str) -> Split[SimilarPair]:
    """A split of `data`, or of the recipe's own data. Raises DataError."""
    return split_for_model(SimilarityReader, recipe.data, data, split)


def judge(loaded: LoadedEmbedder, split: Split[SimilarPair], name: str) -> Evaluation:
    """The metrics of run/'s vectors on the split called `name`."""
    return _evaluation(split, name, vectors_of(loaded, split), loaded.similarity, on="run")


def _evaluation(
    split: Split[SimilarPair],
    name: str,
    vectors: Sequence[Vectors],
    similarity: str,
    *,
    on: Literal["run", "bundle"],
) -> Evaluation:
    return Evaluation(
        task=NAME,
        on=on,
        split=name,
        examples=len(split),
        metrics=embedding_metrics(split, vectors, similarity),
        statistics=partial(embedding_statistics, split, vectors, similarity),
        rows=split.table,
    )


def _evaluate_bundle(bundle: Path, split: Split[SimilarPair], name: str) -> Evaluation:
    contract = Manifest.read(bundle).embedding
    assert contract is not None, "the runtime refuses such a bundle of this task"
    with ftool_runtime.load(bundle, profile="throughput") as model:
        vectors = [model(texts, kind=kind) for kind, texts in judged_texts(split)]
    return _evaluation(split, name, vectors, contract.similarity, on="bundle")


def _examples(loaded: LoadedEmbedder, split: Split[SimilarPair], metric: str) -> EmbeddingExamples:
    sides = [inputs_of_kind(loaded, texts, kind) for kind, texts in judged_texts(split)]
    first = len(sides[0])

    def score(vectors: Vectors) -> float:
        found = embedding_metrics(split, [vectors[:first], vectors[first:]], loaded.similarity)
        return float(found[metric])

    return EmbeddingExamples(inputs=[*sides[0], *sides[1]], first_side=first, metric=metric, scorer=score)


def _metric(recipe: Recipe, data: Dataset[SimilarPair]) -> str:
    """The metric that decides. Raises TrainingError where it is none of this kind of data."""
    asked = recipe.train.metric
    kind = data.facts["kind"]
    metric = main_metric(kind, None if is_default(asked) else asked)
    if (metric in ("spearman", "pearson")) != (kind == "scored"):
        raise TrainingError(
            f"train.metric is {metric!r}, which {kind} don't have; leave it out for {main_metric(kind, None)}"
        )
    return metric


def _starting_point(recipe: Recipe, data: Dataset[SimilarPair]) -> LoadedEmbedder:
    pooling = recipe.train.pooling
    assert pooling != "pooler"  # the recipe refuses it
    asked: Mapping[Kind, str | None] = {
        "query": recipe.data.query_prompt,
        "passage": recipe.data.passage_prompt,
    }
    loaded = create_embedder(
        resolve_base(recipe.base),
        pooling=pooling,
        max_length=recipe.train.max_length,
        prompts={kind: prompt for kind, prompt in asked.items() if prompt is not None},
        base_name=BASES[recipe.base].hub_id if recipe.base in BASES else recipe.base,
    )
    loaded.model.to(device_name())
    return replace(loaded, training_sha256=data.sha256, training_examples=len(data.train))


def _identity(recipe: Recipe, data: Dataset[SimilarPair]) -> dict[str, Any]:
    prompts = {name: getattr(recipe.data, name) for name in ("query_prompt", "passage_prompt")}
    return identity(recipe, data) | {f"data.{name}": value for name, value in prompts.items()}


def _count_cut(loaded: LoadedEmbedder, data: Dataset[SimilarPair]) -> dict[str, int]:
    """How many texts of each split are longer than the network reads; says so too."""
    counts = {}
    for name in SPLITS:
        lists = judged_texts(data.split(name))
        rows = [row for kind, texts in lists for row in loaded.of_kind(kind).tokenize(texts)]
        counts[name] = sum(row.truncated for row in rows)
        if counts[name]:
            log.warning(
                "%d of %d %s texts have more than %d tokens and were cut; train.max_length sets how many",
                counts[name], len(rows), name, loaded.max_length,
            )  # fmt: skip
    return counts
