"""Token classification: from a recipe to run/, and the metrics of run/ or a bundle on texts with tagged entities."""

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import ftool_runtime
from ftool.bases import BASES, resolve_base
from ftool.data.dataset import Dataset, Split
from ftool.data.label_policy import ModelFacts
from ftool.data.load import load_dataset, load_split, split_for_model
from ftool.data.rows.tag_schemes import spans_of_tags
from ftool.data.rows.tagged_text import TaggedText
from ftool.data.rows.tags import TagReader
from ftool.data.splits import SPLITS
from ftool.evaluation.metrics.entities import entity_metrics, entity_statistics
from ftool.evaluation.results import Evaluation, TrainReport
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.training.hardware import device_name
from ftool.training.runs import account, checkpointed, identity, keep_run, prepare
from ftool.training.tagger_objective import judged_texts
from ftool.training.tagger_rows import without_unreadable
from ftool.training.tagger_stages import train_tagger
from ftool.workspace import ModelFolder
from ftool_export.checkpoints.encoder import compute_outputs
from ftool_export.checkpoints.tagger import LoadedTagger, create_tagger, load_tagger, save_tagger
from ftool_export.examples.tagging import TaggingExamples
from ftool_runtime.errors import InputError

log = logging.getLogger(__name__)

NAME = "token-classification"

SAMPLE_TEXTS = (
    "Ann Lee moved from Nairobi to São Paulo in 2019.",
    "The new phone from Acme costs 300 euros in Berlin.",
    "no names in here",
    "东京 and Beirut (بيروت) are far apart.",
)


def train(recipe: Recipe, folder: Path, *, resume: bool) -> TrainReport:
    """Train a tagger as `recipe` says and put it in the model folder's run/, with metrics.json.

    Raises FtoolError where recipe, data, base model or checkpoints don't allow it.
    """
    began = time.monotonic()
    prepare(recipe)
    data = load_dataset(TagReader, recipe.data)
    loaded = _new_tagger(recipe, data)
    data = _readable(loaded, data)
    with checkpointed(folder, identity(recipe, data), resume=resume) as (partial_run, resume_from):
        happened = train_tagger(loaded, data, recipe.train, partial_run, resume_from)
    report = TrainReport(
        validation=_judge(loaded, data.validation, "validation"),
        test=_judge(loaded, data.test, "test"),
        training=account(happened, seconds=time.monotonic() - began),
        recipe=asdict(recipe),
        data=_describe(data),
    )
    keep_run(folder, report, lambda run: save_tagger(loaded, run))
    return report


def evaluate(
    recipe: Recipe, folder: Path, *, on: Literal["run", "bundle"], data: DataSettings | None, split: str
) -> Evaluation:
    """The metrics of the model folder's run/ or bundle/ on a split of `data`, or of the recipe's own.

    Raises FtoolError where either is missing, or the model does not know a kind of entity.
    """
    if on == "bundle":
        return _evaluate_bundle(recipe, ModelFolder(folder).require_bundle(), data, split)
    loaded = load_tagger(ModelFolder(folder).require_run())
    texts = without_unreadable(loaded, tagged_texts(recipe, data, split, loaded.labels))
    return _judge(loaded, texts, split)


def load(checkpoint: str | Path) -> LoadedTagger:
    """The tagger in run/, a folder, or a hub id. Raises CheckpointError."""
    return load_tagger(checkpoint)


def recipe_examples(recipe: Recipe, loaded: LoadedTagger, split: str) -> TaggingExamples:
    """A split of the recipe's data, cut as it was for training, judged by the F1 of its entities. Raises DataError."""
    return judged_texts(loaded, without_unreadable(loaded, tagged_texts(recipe, None, split, loaded.labels)))


def data_examples(settings: DataSettings, loaded: LoadedTagger, split: str) -> TaggingExamples:
    """A split of other data, or its only one, likewise."""
    return judged_texts(
        loaded, without_unreadable(loaded, load_split(TagReader, settings, split, ModelFacts(loaded.labels)))
    )


def sample_examples(loaded: LoadedTagger) -> TaggingExamples:
    """Some texts without tags, where no data was named."""
    return TaggingExamples(loaded=loaded, inputs=SAMPLE_TEXTS)


def inputs(recipe: Recipe, split: str) -> Sequence[str]:
    """The texts of a split of the recipe's data. Raises DataError."""
    return load_dataset(TagReader, recipe.data).split(split).inputs


def tagged_texts(
    recipe: Recipe, data: DataSettings | None, split: str, labels: Sequence[str]
) -> Split[TaggedText]:
    """Return a split of `data`, or of the recipe's own. Raises DataError for a kind of entity that the model lacks."""
    return split_for_model(TagReader, recipe.data, data, split, ModelFacts(labels))


def _judge(loaded: LoadedTagger, texts: Split[TaggedText], split: str) -> Evaluation:
    examples = judged_texts(loaded, texts)
    answers = examples.tags(compute_outputs(loaded, examples.rows))
    return _evaluation(texts, answers, split, on="run")


def _evaluate_bundle(recipe: Recipe, bundle: Path, data: DataSettings | None, split: str) -> Evaluation:
    with ftool_runtime.load(bundle, profile="throughput") as model:
        texts = tagged_texts(recipe, data, split, model.labels)
        while True:
            try:
                answers = model.word_tags(
                    [one.text for one in texts.examples], [one.words for one in texts.examples]
                )
                break
            except InputError as error:
                texts = _without(texts, error)
    return _evaluation(texts, answers, split, on="bundle")


def _without(texts: Split[TaggedText], error: InputError) -> Split[TaggedText]:
    """The texts but the one that can't be read, as `without_unreadable` has them."""
    if error.row is None:
        raise error
    log.warning("%s: row %d was left out: %s", texts.source, texts.examples[error.row].row, error)
    return texts.take([position for position in range(len(texts)) if position != error.row])


def _evaluation(
    texts: Split[TaggedText], answers: Sequence[Sequence[str]], split: str, *, on: Literal["run", "bundle"]
) -> Evaluation:
    truth = [one.tags for one in texts.examples]
    return Evaluation(
        task=NAME,
        on=on,
        split=split,
        examples=len(texts),
        metrics=entity_metrics(truth, answers),
        statistics=partial(entity_statistics, truth, answers),
        predictions=partial(_predictions, texts, answers),
        rows=texts.table,
    )


def _predictions(texts: Split[TaggedText], answers: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """Each text's words with their tags and what the model answered, both in IOB2."""
    return [
        {"row": one.row, "tokens": one.tokens, "tags": list(one.tags), "predicted": list(tags)}
        for one, tags in zip(texts.examples, answers, strict=True)
    ]


def _new_tagger(recipe: Recipe, data: Dataset[TaggedText]) -> LoadedTagger:
    settings = recipe.train
    loaded = create_tagger(
        resolve_base(recipe.base),
        data.labels,
        max_length=settings.max_length,
        stride=settings.stride,
        base_name=BASES[recipe.base].hub_id if recipe.base in BASES else recipe.base,
    )
    loaded.model.to(device_name())
    return replace(loaded, training_sha256=data.sha256, training_examples=len(data.train))


def _readable(loaded: LoadedTagger, data: Dataset[TaggedText]) -> Dataset[TaggedText]:
    splits = {name: without_unreadable(loaded, split) for name, split in data.splits.items()}
    return replace(data, splits=splits)


def _describe(data: Dataset[TaggedText]) -> dict[str, Any]:
    return {
        "sha256": data.sha256,
        "scheme": data.facts["scheme"],
        "examples": {name: len(data.split(name)) for name in SPLITS},
        "entities": {
            name: sum(len(spans_of_tags(one.tags)) for one in data.split(name).examples) for name in SPLITS
        },
        "notes": list(data.notes),
        "warnings": list(data.warnings),
    }
