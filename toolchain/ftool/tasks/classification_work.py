"""Text classification: from a recipe to run/, and the metrics of run/ or a bundle on labelled texts."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

import ftool_runtime
from ftool.bases import BASES, resolve_base
from ftool.data.dataset import Dataset, Split
from ftool.data.label_policy import ModelFacts
from ftool.data.load import load_dataset, split_for_model
from ftool.data.rows.labels import LabelledText, LabelReader
from ftool.data.splits import SPLITS
from ftool.evaluation.metrics.classification import (
    classification_metrics,
    classification_statistics,
    number_statistics,
)
from ftool.evaluation.results import Evaluation, TrainReport
from ftool.evaluation.statistics import Statistics
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.tasks.classification_judging import data_examples, recipe_examples
from ftool.training.classifier_objective import Objective
from ftool.training.classifier_stages import train_head, train_weights
from ftool.training.losses import encode_targets
from ftool.training.runs import checkpointed, circumstances, identity, keep_run, prepare
from ftool.workspace import ModelFolder
from ftool_export.checkpoints.classifier import (
    LoadedClassifier,
    compute_logits,
    count_truncated,
    create_classifier,
    load_classifier,
    save_classifier,
)
from ftool_export.examples.classification import ClassificationExamples
from ftool_export.tokenizers.texts import SENTENCES
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.bundle.paths import TOKENIZER_FILE

log = logging.getLogger(__name__)

NAME = "text-classification"

__all__ = [
    "data_examples",
    "evaluate",
    "inputs",
    "load",
    "recipe_examples",
    "sample_examples",
    "train",
]


def train(recipe: Recipe, folder: Path, *, resume: bool) -> TrainReport:
    """Train a classifier as `recipe` says and put it in the model folder's run/, with metrics.json.

    Raises FtoolError where recipe, data, base model or checkpoints don't allow it.
    """
    began = time.monotonic()
    prepare(recipe)
    data = load_dataset(LabelReader, recipe.data)
    objective = Objective(data, recipe.train)
    loaded = _new_classifier(recipe, data)
    head, start_head = train_head(loaded, objective)
    tuned = None
    if recipe.train.method != "head":
        with checkpointed(folder, identity(recipe, data), resume=resume) as (partial, resume_from):
            tuned = train_weights(loaded, objective, start_head, partial, resume_from)
    logits = compute_logits(loaded, data.validation.inputs)
    loaded = replace(loaded, thresholds=objective.thresholds(logits))
    report = TrainReport(
        validation=judge(loaded, logits, data.validation, "validation"),
        test=judge(loaded, compute_logits(loaded, data.test.inputs), data.test, "test"),
        training=_account(head, tuned, examples=len(data.train), seconds=time.monotonic() - began),
        recipe=asdict(recipe),
        data=_describe(loaded, data),
    )
    keep_run(folder, report, lambda run: save_classifier(loaded, run))
    return report


def evaluate(
    recipe: Recipe, folder: Path, *, on: Literal["run", "bundle"], data: DataSettings | None, split: str
) -> Evaluation:
    """The metrics of the model folder's run/ or bundle/ on a split of `data`, or of the recipe's own.

    Raises FtoolError where either is missing or a label is one that the model does not know.
    """
    if on == "bundle":
        return _evaluate_bundle(recipe, ModelFolder(folder).require_bundle(), data, split)
    loaded = load_classifier(ModelFolder(folder).require_run())
    examples = labelled_examples(recipe, data, split, loaded)
    _warn_of_cut(count_truncated(loaded, examples.inputs), examples, split, loaded.max_length)
    return judge(loaded, compute_logits(loaded, examples.inputs), examples, split)


def load(checkpoint: str | Path) -> LoadedClassifier:
    """The classifier in run/, a folder, or a hub id. Raises CheckpointError."""
    return load_classifier(checkpoint)


def sample_examples(loaded: LoadedClassifier) -> ClassificationExamples:
    """Some texts without labels, where no data was named."""
    if not loaded.pairs:
        return ClassificationExamples(loaded=loaded, inputs=SENTENCES)
    others = (*SENTENCES[1:], SENTENCES[0])
    both = zip(SENTENCES, others, strict=True)
    return ClassificationExamples(loaded=loaded, inputs=[{"text": a, "text_pair": b} for a, b in both])


def inputs(recipe: Recipe, split: str) -> Sequence[Any]:
    """The texts, or the pairs, of a split of the recipe's data. Raises DataError."""
    return load_dataset(LabelReader, recipe.data).split(split).inputs


class Answers(Protocol):
    """What decides how answers are read: a checkpoint's facts, or a manifest's."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels in the order of the logits; none with `regression`."""

    @property
    def multi_label(self) -> bool:
        """Whether a text has any number of labels."""

    @property
    def regression(self) -> bool:
        """Whether the answer is one number."""

    @property
    def pairs(self) -> bool:
        """Whether an input is two texts."""

    @property
    def thresholds(self) -> tuple[float, ...] | None:
        """Several labels a text: the probability from which each applies."""


def labelled_examples(
    recipe: Recipe, data: DataSettings | None, split: str, model: Answers
) -> Split[LabelledText]:
    """Return a split of `data`, or of the recipe's own, read as the model takes it.

    Raises DataError if the model does not know a label.
    """
    facts = ModelFacts(model.labels, model.multi_label, model.regression, model.pairs)
    return split_for_model(LabelReader, recipe.data, data, split, facts)


def judge(
    loaded: LoadedClassifier, logits: NDArray[np.float32], examples: Split[LabelledText], split: str
) -> Evaluation:
    """The metrics of run/'s `logits` (examples, labels) on the examples of the split called `split`."""
    return _evaluation(logits, examples, split, loaded, on="run")


def _evaluation(
    logits: NDArray[np.float32],
    examples: Split[LabelledText],
    split: str,
    model: Answers,
    *,
    on: Literal["run", "bundle"],
) -> Evaluation:
    kind = {"multi_label": model.multi_label, "regression": model.regression}
    targets = encode_targets(examples.examples, model.labels, **kind).numpy()
    judged: Callable[..., Statistics] = number_statistics
    if not model.regression:
        judged = partial(
            classification_statistics, multi_label=model.multi_label, thresholds=model.thresholds
        )
    return Evaluation(
        task=NAME,
        on=on,
        split=split,
        examples=len(examples),
        metrics=classification_metrics(logits, targets, model.labels, thresholds=model.thresholds, **kind),
        statistics=partial(judged, logits, targets),
        rows=examples.table,
    )


def _evaluate_bundle(recipe: Recipe, bundle: Path, data: DataSettings | None, split: str) -> Evaluation:
    manifest = Manifest.read(bundle)
    examples = labelled_examples(recipe, data, split, manifest)
    with ftool_runtime.load(bundle, profile="throughput") as model:
        logits = model.logits(examples.inputs)
    tokenizer = Tokenizer.from_file(str(bundle / TOKENIZER_FILE))
    texts = [(manifest.input.prefix + one.text, one.pair) for one in examples.examples]
    given = [text if pair is None else (text, pair) for text, pair in texts]
    cut = sum(len(one.ids) > manifest.input.max_length for one in tokenizer.encode_batch(given))
    _warn_of_cut(cut, examples, split, manifest.input.max_length)
    return _evaluation(logits, examples, split, manifest, on="bundle")


def _new_classifier(recipe: Recipe, data: Dataset[LabelledText]) -> LoadedClassifier:
    pooling = recipe.train.pooling
    assert pooling != "last"  # the recipe refuses it
    loaded = create_classifier(
        resolve_base(recipe.base),
        data.labels,
        multi_label=data.facts["multi_label"],
        regression=data.facts["regression"],
        pairs=data.facts["pairs"],
        pooling=pooling,
        max_length=recipe.train.max_length,
        base_name=BASES[recipe.base].hub_id if recipe.base in BASES else recipe.base,
    )
    return replace(loaded, training_sha256=data.sha256, training_examples=len(data.train))


def _account(
    head: dict[str, Any], tuned: dict[str, Any] | None, *, examples: int, seconds: float
) -> dict[str, Any]:
    """How training went: its stages, which weights were kept, and what it took."""
    kept, speed = "the head on the frozen encoder", examples / head["seconds"]
    if tuned is not None:
        kept += ", which fine-tuning did not beat"
        speed = tuned["examples_seen"] / tuned["seconds"]
        if tuned["best_step"] > 0:
            kept = f"update {tuned['best_step']} of {tuned['updates']}"
    return {
        "kept": kept,
        "head": head,
        "fine_tuning": tuned,
        "seconds": seconds,  # of this call, features and evaluation included
        "examples_per_second": speed,
        **circumstances(),
    }


def _warn_of_cut(cut: int, examples: Split[LabelledText], split: str, max_length: int) -> None:
    if cut:
        log.warning(
            "%d of %d %s texts have more than %d tokens and were cut; train.max_length sets how many",
            cut,
            len(examples),
            split,
            max_length,
        )


def _describe(loaded: LoadedClassifier, data: Dataset[LabelledText]) -> dict[str, Any]:
    """The data as plain JSON; says too how many texts are longer than the network reads."""
    cut = {name: count_truncated(loaded, data.split(name).inputs) for name in SPLITS}
    for name in SPLITS:
        _warn_of_cut(cut[name], data.split(name), name, loaded.max_length)
    return {
        "sha256": data.sha256,
        "examples": {name: len(data.split(name)) for name in SPLITS},
        "texts_cut": cut,
        "notes": list(data.notes),
        "warnings": list(data.warnings),
    }
