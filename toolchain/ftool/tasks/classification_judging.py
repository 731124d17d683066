"""Labelled texts as examples for the export layer: inputs, and the main metric as a function of logits."""

from functools import partial
from typing import Any

from ftool.data.dataset import Split
from ftool.data.label_policy import ModelFacts
from ftool.data.load import load_dataset, load_split
from ftool.data.rows.labels import LabelledText, LabelReader
from ftool.evaluation.metrics.classification import main_metric, main_score
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.training.losses import encode_targets
from ftool_export.checkpoints.classifier import LoadedClassifier
from ftool_export.examples.classification import ClassificationExamples


def recipe_examples(recipe: Recipe, loaded: LoadedClassifier, split: str) -> ClassificationExamples:
    """Return a split of the recipe's data, cut as it was for training, with the metric that decides.

    Raises DataError if the data can't be read, or has a label that the model does not know.
    """
    data = load_dataset(LabelReader, recipe.data, _facts(loaded))
    return _examples(loaded, data.split(split))


def data_examples(settings: DataSettings, loaded: LoadedClassifier, split: str) -> ClassificationExamples:
    """Return a split of other data, or its only one. Raises DataError as `recipe_examples`."""
    return _examples(loaded, load_split(LabelReader, settings, split, _facts(loaded)))


def _facts(loaded: LoadedClassifier) -> ModelFacts:
    return ModelFacts(loaded.labels, loaded.multi_label, loaded.regression, loaded.pairs)


def _examples(loaded: LoadedClassifier, split: Split[LabelledText]) -> ClassificationExamples:
    kind: dict[str, Any] = {"multi_label": loaded.multi_label, "regression": loaded.regression}
    targets = encode_targets(split.examples, loaded.labels, **kind).numpy()
    return ClassificationExamples(
        loaded=loaded,
        inputs=split.inputs,
        metric=main_metric(**kind),
        scorer=partial(main_score, targets=targets, thresholds=loaded.thresholds, **kind),
    )
