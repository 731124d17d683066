"""The `Task` row for text classification: one label, several labels or numbers for a text or a pair of texts."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from ftool.data.dataset import Dataset, Split
from ftool.data.rows.labels import LabelledText, LabelReader
from ftool.errors import RecipeError
from ftool.recipe.sections import Sections, given
from ftool.tasks.base import DISTILLATION, Task, count_cut
from ftool.tasks.few_examples import check_setfit, setfit_defaults, suggest_setfit
from ftool.tasks.replay_texts import replay_texts

if TYPE_CHECKING:
    from ftool.evaluation.baselines import FittedBaseline
    from ftool.evaluation.metrics.calibration import Reliability
    from ftool.evaluation.mistakes import LabelErrors, Mistakes, WrongAnswers
    from ftool.evaluation.open_model import OpenModel
    from ftool.evaluation.results import Measurements

log = logging.getLogger(__name__)


def _defaults(recipe: Sections) -> Mapping[str, Any]:
    return {"train.max_length": 128, **setfit_defaults(recipe)}


def _check(recipe: Sections) -> None:
    if recipe.train.pooling == "last":
        raise RecipeError(f"train.pooling can't be last for {recipe.task}; use auto, mean, cls or pooler")
    check_setfit(recipe)


def _main_metric(facts: Any, _: Any, recipe: Sections) -> str:
    """Return the main metric. Raises TrainingError if the recipe's metric doesn't fit the data."""
    from ftool.evaluation.metrics.classification import main_metric

    kind = {"multi_label": facts.multi_label, "regression": facts.regression}
    return main_metric(**kind, requested=given(recipe.train.metric))


def _create(recipe: Sections, data: Dataset[LabelledText]) -> Any:
    from ftool.bases import base_arguments
    from ftool_export.checkpoints.classifier import create_classifier

    _main_metric(
        SimpleNamespace(**data.facts), None, recipe
    )  # refuses a wrong setting before a model is loaded
    pooling = recipe.train.pooling
    assert pooling != "last", "the recipe refuses it"
    return create_classifier(
        labels=data.labels,
        multi_label=data.facts["multi_label"],
        regression=data.facts["regression"],
        pairs=data.facts["pairs"],
        pooling=pooling,
        **base_arguments(recipe),
    )


def _load(checkpoint: str | Path, *, pairs: bool | None = None) -> Any:
    from ftool_export.checkpoints.classifier import load_classifier

    return load_classifier(checkpoint, pairs=pairs)


def _decide(loaded: Any, split: Split[LabelledText]) -> Any:
    """Return `loaded` with pairs as its inputs if the split has them and the checkpoint does not say what it reads."""
    if loaded.pairs is not None:
        return loaded
    pairs = split.examples[0].pair is not None
    if pairs:
        log.warning(
            "%s: the checkpoint does not say whether an input is one text or two; %s has two per row, so the bundle "
            "takes pairs (for single texts: --single-texts)",
            loaded.base,
            split.source,
        )
    return replace(loaded, pairs=pairs)


def _objective(loaded: Any, data: Dataset[LabelledText], _: Mapping[str, Any], recipe: Sections) -> Any:
    from ftool.training.classifier import ClassifierObjective
    from ftool.training.contrastive import SetFitObjective

    kind = SetFitObjective if recipe.train.method == "setfit" else ClassifierObjective
    return kind(loaded, data, recipe.train)


def _answering(loaded: Any) -> Any:
    from ftool.evaluation.open_model import TorchClassifier

    return TorchClassifier(loaded)


def _measure(model: "OpenModel", split: Split[LabelledText], thresholds: Any = None) -> "Measurements":
    from ftool.evaluation.metrics.classification import classification_metrics
    from ftool.evaluation.metrics.none_of_these import Confidence, none_intervals, none_metrics
    from ftool.evaluation.results import Measurements

    facts = model.facts
    kind = {"multi_label": facts.multi_label, "regression": facts.regression}
    logits = model.model.logits(split.inputs)
    targets = _targets(split, facts).numpy()
    metrics = classification_metrics(logits, targets, facts.labels, thresholds=facts.thresholds, **kind)
    intervals: Callable[[], Any] = dict
    if split.outside:
        confidence = Confidence.of(logits, targets, model.model.logits([one.input for one in split.outside]))
        metrics |= none_metrics(confidence, facts.none_below)
        intervals = partial(none_intervals, confidence, facts.none_below)
    return Measurements(
        metrics=metrics,
        statistics=_statistics(logits, targets, facts, thresholds),
        intervals=intervals,
        predictions=partial(_predictions, logits, split, facts),
        mistakes=None if facts.regression else partial(_mistakes, logits, targets, split, facts),
        wrong=partial(_wrong_numbers, logits, split, facts) if facts.regression else None,
        reliability=None if facts.regression else partial(_reliability, logits, targets, facts),
        thresholds=_thresholds(facts),
    )


def _reliability(logits: Any, targets: Any, facts: Any) -> "Reliability":
    """Return the reliability diagram of labels, or of each label's yes or no if a text can have several labels."""
    from ftool.evaluation.metrics.calibration import reliability
    from ftool.evaluation.metrics.classification import answer_confidence

    confidence, correct = answer_confidence(logits, targets, multi_label=facts.multi_label)
    counted = "decisions about a label" if facts.multi_label else "texts"
    return reliability(confidence.ravel(), correct.ravel(), counted=counted)


def _thresholds(facts: Any) -> dict[str, float]:
    """Return the probabilities from which labels apply, and the one below which none does, by name."""
    found = dict(zip(facts.labels, facts.thresholds or (), strict=False))
    return found if facts.none_below is None else {**found, "any label": facts.none_below}


def _predictions(logits: Any, split: Split[LabelledText], facts: Any) -> list[dict[str, Any]]:
    """Return a row of predictions for each text or pair: the correct labels or numbers, and the model's."""
    from ftool_runtime.postprocessing.classification import classify

    if facts.regression and facts.labels:
        return [
            {
                "row": one.row,
                "input": one.input,
                "scores": dict(zip(facts.labels, one.scores, strict=True)),
                "predicted": dict(zip(facts.labels, answer.tolist(), strict=True)),
            }
            for one, answer in zip(split.examples, logits, strict=True)
        ]
    if facts.regression:
        return [
            {"row": one.row, "input": one.input, "score": one.scores[0], "predicted": float(answer)}
            for one, answer in zip(split.examples, logits[:, 0], strict=True)
        ]
    answers = classify(logits, facts.labels, multi_label=facts.multi_label, thresholds=facts.thresholds)
    return [
        {
            "row": one.row,
            "input": one.input,
            "labels": list(one.labels),
            "predicted": list(answer.labels),
            "probability": answer.score,
        }
        for one, answer in zip(split.examples, answers, strict=True)
    ]


def _mistakes(
    logits: Any, targets: Any, split: Split[LabelledText], facts: Any, name: str, metric: str | None
) -> "Mistakes":
    from ftool.evaluation.metrics.classification import main_metric, main_score
    from ftool.evaluation.mistakes import find_mistakes

    kind = {"multi_label": facts.multi_label, "thresholds": facts.thresholds}
    return find_mistakes(
        logits,
        targets,
        facts.labels,
        split.examples,
        split=name,
        metric=main_metric(multi_label=facts.multi_label, requested=metric),
        score=partial(main_score, targets=targets, metric=metric, **kind),
        **kind,
    )


def _wrong_numbers(logits: Any, split: Split[LabelledText], facts: Any, name: str) -> "WrongAnswers":
    from ftool.evaluation.wrong_numbers import find_wrong_numbers

    return find_wrong_numbers(split.examples, logits, facts.labels, split=name)


def _label_errors(data: Dataset[LabelledText], recipe: Sections) -> "LabelErrors":
    from ftool.errors import DataError
    from ftool.evaluation.mistakes import find_label_errors
    from ftool.training.head.out_of_fold import FOLDS, out_of_fold_logits

    if data.facts["regression"]:
        raise DataError(
            f"{recipe.data.path}: has numbers, not labels, so no label can be wrong; leave --mistakes out"
        )
    logits, targets, examples = out_of_fold_logits(_create(recipe, data), data, seed=recipe.train.seed)
    how = f"by {FOLDS} simple models, each trained without the examples it judges"
    multi_label = data.facts["multi_label"]
    return find_label_errors(logits, targets, data.labels, examples, how=how, multi_label=multi_label)


def _statistics(logits: Any, targets: Any, facts: Any, thresholds: Any = None) -> Callable[[], Any]:
    """Return a function that computes per-example statistics of logits.

    `facts` has the fields of the manifest; `thresholds`, if not None, stand in for those of `facts`.
    """
    from ftool.evaluation.metrics.classification import classification_statistics, number_statistics

    if facts.regression:
        return partial(number_statistics, logits, targets, facts.labels)
    limits = facts.thresholds if thresholds is None else thresholds
    return partial(
        classification_statistics, logits, targets, multi_label=facts.multi_label, thresholds=limits
    )


def _tuner(logits: Any, targets: Any) -> Callable[[Any], Any]:
    """Return a function that tunes the thresholds of labels on the texts at some positions, int64 (n,)."""
    from ftool.evaluation.metrics.calibration import tune_thresholds
    from ftool_runtime.postprocessing.classification import probabilities

    scores, applies = probabilities(logits, multi_label=True), targets > 0
    return lambda texts: tune_thresholds(scores[texts], applies[texts])


def _cross_fit(loaded: Any, split: Split[LabelledText], outputs: Any, _: Sections) -> Any:
    """Return each text's own thresholds, float64 (texts, labels). Implements `Task.cross_fit`."""
    from ftool.evaluation.cross_fitting import cross_fitted

    return cross_fitted(_tuner(outputs, _targets(split, loaded).numpy()), len(split))


def _baselines(
    data: Dataset[LabelledText], fitted: Split[LabelledText], recipe: Sections
) -> "list[FittedBaseline]":
    from ftool.evaluation.baselines import FittedBaseline
    from ftool.evaluation.cross_fitting import tuned_for
    from ftool.training.baselines.linear import TextTargets, constant_logits, fit_linear

    facts = SimpleNamespace(labels=data.labels, thresholds=None, **data.facts)
    train, validation, test = (
        TextTargets(split.inputs, _targets(split, facts).numpy())
        for split in (data.train, data.validation, fitted)
    )
    outputs, kind = max(len(data.labels), 1), {"regression": facts.regression}
    constant = constant_logits(train, len(test), outputs, **kind)
    linear = fit_linear(train, outputs, seed=recipe.train.seed, **kind)
    part = "" if linear.learnt_from == len(train) else f" of {linear.learnt_from} of {len(train)} texts"
    thresholds = None
    if facts.multi_label and recipe.train.thresholds == "tuned":
        tune = _tuner(linear.logits(validation.inputs), validation.targets)
        thresholds = tuned_for(fitted, data.validation, tune)
    return [
        FittedBaseline(
            name="majority",
            title="always the mean" if facts.regression else "always the most frequent answer",
            statistics=_statistics(constant, test.targets, facts),
            learnt_from=len(train),
            trivial=True,
        ),
        FittedBaseline(
            name="tfidf_linear",
            title=f"a linear model on TF-IDF{part}",
            statistics=_statistics(linear.logits(test.inputs), test.targets, facts, thresholds),
            learnt_from=linear.learnt_from,
        ),
    ]


def _examples(loaded: Any, split: Split[LabelledText], recipe: Sections) -> Any:
    from ftool.evaluation.confidence_intervals import difference_error
    from ftool.evaluation.cross_fitting import judging_numbers
    from ftool.evaluation.metrics.classification import main_score
    from ftool_export.examples.classification import ClassificationExamples

    metric = _main_metric(loaded, split, recipe)
    kind: dict[str, Any] = {"multi_label": loaded.multi_label, "regression": loaded.regression}
    targets = _targets(split, loaded).numpy()
    crossed, thresholds = judging_numbers(
        loaded,
        split,
        loaded.thresholds,
        lambda: _cross_fit(loaded, split, examples.reference(loaded), recipe),
    )

    def score(logits: Any) -> float:
        return main_score(logits, targets, thresholds=thresholds(), metric=metric, **kind)

    def uncertainty(one: Any, other: Any) -> float:
        first, second = (_statistics(logits, targets, loaded, thresholds())() for logits in (one, other))
        return difference_error(first, second, metric)

    examples = ClassificationExamples(
        loaded=loaded,
        inputs=split.inputs,
        metric=metric,
        uncertainty=uncertainty,
        scorer=score,
        cross_fitted=crossed,
    )
    return examples


def _targets(split: Split[LabelledText], facts: Any) -> Any:
    from ftool.training.losses import encode_targets

    return encode_targets(
        split.examples, facts.labels, multi_label=facts.multi_label, regression=facts.regression
    )


def _fit(
    model: "OpenModel", split: Split[LabelledText], name: str, _: Sections, *, training: bool = False
) -> tuple[Any, Mapping[str, Any]]:
    del training
    pairs = [(model.prefix + one.text, one.pair) for one in split.examples]
    texts = [text if pair is None else (text, pair) for text, pair in pairs]
    return split, count_cut(model, texts, name)


def _samples(loaded: Any) -> Any:
    from ftool_export.examples.classification import ClassificationExamples
    from ftool_export.tokenizers.texts import sample_inputs

    unnamed = (
        f"LABEL_{place}" if not loaded.regression else str(place) for place in range(len(loaded.labels))
    )
    if loaded.pairs is None and loaded.labels == tuple(unnamed):
        log.warning(
            "%s: the checkpoint does not say whether an input is one text or two, so the bundle takes single texts; if "
            "it was trained on pairs, give --pairs, or --data with two texts per row",
            loaded.base,
        )
    fields = ("text", "text_pair") if loaded.pairs else ("text",)
    return ClassificationExamples(loaded=loaded, inputs=sample_inputs(fields, loaded.reads))


TASK = Task(
    name="text-classification",
    reader=LabelReader,
    settings=frozenset(
        {
            "data.text",
            "data.text_pair",
            "data.label",
            "data.label_names",
            "data.label_separator",
            "data.fold_labels",
            "data.skip_incomplete",
            "data.multi_label",
            "data.none_label",
            "data.regression",
            "train.pooling",
            "train.gradient_checkpointing",
            "train.head_learning_rate",
            "train.class_weights",
            "train.metric",
            "train.thresholds",
            "export.teachable",
        }
    )
    | DISTILLATION,
    defaults=_defaults,
    check=_check,
    suggest=suggest_setfit,
    instead={
        "data.source": "data.text is the column of the texts",
        "data.target": "data.label is the column of the labels",
    },
    methods=("full", "lora", "head", "setfit"),
    metrics=(  # for several labels the default is f1_macro, for numbers spearman
        "accuracy",
        "f1_macro",
        "f1_weighted",
        "f1_micro",
        "subset_accuracy",
        "spearman",
        "pearson",
    ),
    main_metric=_main_metric,
    create=_create,
    facts=frozenset({"pairs"}),
    load=_load,
    decide=_decide,
    objective=_objective,
    answering=_answering,
    fit=_fit,
    measure=_measure,
    cross_fit=_cross_fit,
    baselines=_baselines,
    label_errors=_label_errors,
    predicts=True,
    examples=_examples,
    samples=_samples,
    texts_per_round=200,
    throughput_texts=10_000,
    adaptable=True,
    replay=replay_texts,
    suites=("hatecheck", "bbq"),
)
