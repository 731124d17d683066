"""The `Task` row for token classification: entities in texts."""

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftool.data.dataset import Dataset, Split
from ftool.data.rows.tagged_text import TaggedText
from ftool.data.rows.tags import TagReader
from ftool.recipe.sections import Sections, chosen, given
from ftool.tasks.base import DISTILLATION, Task, check_stride

if TYPE_CHECKING:
    from ftool.evaluation.baselines import FittedBaseline
    from ftool.evaluation.metrics.calibration import Reliability
    from ftool.evaluation.mistakes import LabelErrors, Mistakes
    from ftool.evaluation.open_model import OpenModel
    from ftool.evaluation.results import Measurements
    from ftool_runtime.postprocessing.entities import WordTags

log = logging.getLogger(__name__)


def _defaults(recipe: Sections) -> Mapping[str, Any]:
    longest = chosen(recipe.train.max_length, 128)
    return {"train.max_length": longest, "train.stride": longest // 3}


def _create(recipe: Sections, data: Dataset[TaggedText]) -> Any:
    from ftool.bases import base_arguments
    from ftool_export.checkpoints.tagger import create_tagger

    return create_tagger(
        labels=data.labels,
        stride=given(recipe.train.stride),
        **base_arguments(recipe),
    )


def _load(checkpoint: str | Path, *, outside_label: str | None = None) -> Any:
    from ftool_export.checkpoints.tagger import load_tagger

    return load_tagger(checkpoint, outside_label=outside_label)


def _objective(
    loaded: Any, _: Dataset[TaggedText], splits: Mapping[str, Split[TaggedText]], recipe: Sections
) -> Any:
    from ftool.training.tagger import TaggerObjective

    return TaggerObjective(loaded, splits["train"], splits["validation"], recipe.train)


def _answering(loaded: Any) -> Any:
    from ftool.evaluation.open_model import TorchTagger

    return TorchTagger(loaded)


def _fit(
    model: "OpenModel", split: Split[TaggedText], name: str, _: Sections, *, training: bool = False
) -> tuple[Split[TaggedText], Mapping[str, Any]]:
    """Drop texts without tokens from a split, and count its entities. Implements `Task.fit`."""
    from ftool.data.rows.tag_schemes import spans_of_tags

    del name, training
    readable = [place for place, count in enumerate(model.token_counts(split.inputs)) if count]
    if left_out := len(split) - len(readable):
        log.warning("%s: %d texts have no tokens and were left out", split.source, left_out)
        split = split.take(readable)
    return split, {"entities": sum(len(spans_of_tags(one.tags)) for one in split.examples)}


def _measure(model: "OpenModel", split: Split[TaggedText]) -> "Measurements":
    from ftool.evaluation.metrics.entities import entity_metrics, entity_statistics
    from ftool.evaluation.results import Measurements

    found = model.model.word_answers(split.inputs, [one.words for one in split.examples])
    answers = [one.tags for one in found]
    truth = [one.tags for one in split.examples]
    return Measurements(
        metrics=entity_metrics(truth, answers),
        statistics=partial(entity_statistics, truth, answers),
        predictions=partial(_predictions, split, answers),
        mistakes=partial(_mistakes, split, found),
        reliability=partial(_reliability, split, found),
    )


def _reliability(split: Split[TaggedText], answers: "Sequence[WordTags]") -> "Reliability":
    """Return the reliability diagram of the tags of words."""
    import numpy as np

    from ftool.evaluation.metrics.calibration import reliability

    right = [
        given == tag
        for one, found in zip(split.examples, answers, strict=True)
        for given, tag in zip(found.tags, one.tags, strict=True)
    ]
    certainties = np.concatenate([found.certainties for found in answers])
    return reliability(certainties, np.array(right, dtype=bool), counted="words")


def _mistakes(
    split: Split[TaggedText], answers: "Sequence[WordTags]", name: str, metric: str | None
) -> "Mistakes":
    from ftool.evaluation.entity_mistakes import find_entity_mistakes

    return find_entity_mistakes(split.examples, answers, split=name, metric=metric)


def _label_errors(data: Dataset[TaggedText], recipe: Sections) -> "LabelErrors":
    from ftool.evaluation.entity_mistakes import find_entity_label_errors
    from ftool.training.head.out_of_fold import FOLDS, out_of_fold_tags

    loaded = _create(recipe, data)
    judged = out_of_fold_tags(loaded, data, seed=recipe.train.seed)
    return find_entity_label_errors(
        [(one.split, one.example) for one in judged],
        [one.words for one in judged],
        [one.logits for one in judged],
        loaded.labels,
        how=f"by {FOLDS} simple models, each trained without the texts it judges",
    )


def _predictions(split: Split[TaggedText], answers: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """Return a row of predictions for each text: its words, their correct tags and the model's tags, both in IOB2."""
    return [
        {"row": one.row, "tokens": one.tokens, "tags": list(one.tags), "predicted": list(tags)}
        for one, tags in zip(split.examples, answers, strict=True)
    ]


def _baselines(
    data: Dataset[TaggedText], fitted: Split[TaggedText], recipe: Sections
) -> "list[FittedBaseline]":
    from ftool.data.rows.tag_schemes import OUTSIDE
    from ftool.evaluation.baselines import FittedBaseline
    from ftool.evaluation.metrics.entities import entity_statistics
    from ftool.training.baselines.frequent_tags import FrequentTags
    from ftool.training.baselines.linear_tags import LinearTags
    from ftool.training.baselines.tfidf import part_of

    truth = [one.tags for one in fitted.examples]
    outside = [[OUTSIDE] * len(tags) for tags in truth]
    answers = FrequentTags.fit(data.train.examples).answer(fitted.examples)
    linear = LinearTags.fit(data.train.examples, recipe.train.seed)
    return [
        FittedBaseline(
            name="majority",
            title="always the tag O",
            statistics=partial(entity_statistics, truth, outside),
            learnt_from=len(data.train),
            trivial=True,
        ),
        FittedBaseline(
            name="frequent_tags",
            title="the most frequent tag of each word",
            statistics=partial(entity_statistics, truth, answers),
            learnt_from=len(data.train),
        ),
        FittedBaseline(
            name="linear_words",
            title="a linear model on words and their neighbours"
            + part_of(linear.learnt_from, len(data.train)),
            statistics=partial(entity_statistics, truth, linear.answer(fitted.examples)),
            learnt_from=linear.learnt_from,
        ),
    ]


def _examples(loaded: Any, split: Split[TaggedText], recipe: Sections) -> Any:
    from ftool.evaluation.confidence_intervals import difference_error
    from ftool.evaluation.metrics.entities import MAIN_METRIC, entity_score, entity_statistics
    from ftool_export.examples.tagging import TaggingExamples

    metric, truth = recipe.train.metric or MAIN_METRIC, [one.tags for one in split.examples]

    def uncertainty(one: Any, other: Any) -> float:
        return difference_error(entity_statistics(truth, one), entity_statistics(truth, other), metric)

    return TaggingExamples(
        loaded=loaded,
        inputs=split.inputs,
        words=[one.words for one in split.examples],
        metric=metric,
        uncertainty=uncertainty,
        scorer=partial(entity_score, truth, metric=metric),
    )


def _samples(loaded: Any) -> Any:
    from ftool_export.examples.tagging import TaggingExamples
    from ftool_export.tokenizers.texts import sample_inputs

    return TaggingExamples(loaded=loaded, inputs=sample_inputs(("text",), loaded.reads))


TASK = Task(
    name="token-classification",
    reader=TagReader,
    settings=frozenset(
        {
            "data.text",
            "data.label",
            "data.label_names",
            "data.fold_labels",
            "train.gradient_checkpointing",
            "train.stride",
            "train.metric",
        }
    )
    | DISTILLATION,
    metrics=("f1", "f1_macro", "precision", "recall", "accuracy"),
    defaults=_defaults,
    check=check_stride,
    instead={
        "data.source": "data.text is the column of the texts",
        "data.target": "data.label is the column of the labels",
    },
    create=_create,
    facts=frozenset({"outside_label"}),
    load=_load,
    lengths=lambda loaded, _: {"train.max_length": loaded.max_length, "train.stride": loaded.stride},
    objective=_objective,
    answering=_answering,
    fit=_fit,
    measure=_measure,
    baselines=_baselines,
    label_errors=_label_errors,
    predicts=True,
    examples=_examples,
    samples=_samples,
)
