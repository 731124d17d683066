"""Labelled texts as what the export layer judges classifiers by: texts, and the main metric as a function of logits."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftool.data.load import load_dataset, load_split
from ftool.data.types import DataError, Split
from ftool.evaluation.metrics.classification import main_metric, main_score
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool_export.checkpoints.classifier import LoadedClassifier
from ftool_export.examples.classification import ClassificationExamples


def recipe_examples(recipe: Recipe, loaded: LoadedClassifier, split: str) -> ClassificationExamples:
    """A split of the recipe's data, cut as it was for training, with the metric that decides.

    Raises DataError where the data can't be read, or has a label that the model does not know.
    """
    data = load_dataset(recipe.data, recipe.task)
    return _examples(loaded, data.split(split), data.label_names)


def data_examples(settings: DataSettings, loaded: LoadedClassifier, split: str) -> ClassificationExamples:
    """A split of other data, or its only one, for a model that has its labels already. Raises DataError likewise."""
    examples = load_split(
        settings,
        loaded.labels,
        multi_label=loaded.multi_label,
        regression=loaded.regression,
        pairs=loaded.pairs,
        split=split,
    )
    return _examples(loaded, examples, loaded.labels)


def _examples(loaded: LoadedClassifier, split: Split, label_names: Sequence[str]) -> ClassificationExamples:
    unknown = sorted(set(label_names) - set(loaded.labels))
    if unknown:
        raise DataError(
            f"{split.source}: the model does not know the label {unknown[0]!r}; it was trained on other data, so "
            "train again or name its own with --data"
        )
    targets: NDArray[Any] = (
        np.array(split.scores)
        if loaded.regression
        else _targets(
            split,
            [loaded.labels.index(name) for name in label_names],
            len(loaded.labels),
            multi_label=loaded.multi_label,
        )
    )
    score = partial(
        main_score,
        targets=targets,
        multi_label=loaded.multi_label,
        regression=loaded.regression,
        thresholds=loaded.thresholds,
    )
    return ClassificationExamples(
        loaded=loaded,
        inputs=split.inputs,
        metric=main_metric(multi_label=loaded.multi_label, regression=loaded.regression),
        scorer=score,
    )


def _targets(split: Split, columns: Sequence[int], labels: int, *, multi_label: bool) -> NDArray[np.int64]:
    """int64: the label of every text (texts,), or where a text can have several, 0 and 1 (texts, labels)."""
    if not multi_label:
        return np.array([columns[label] for label in split.single_labels], dtype=np.int64)
    targets = np.zeros((len(split), labels), dtype=np.int64)
    for row, found in enumerate(split.label_sets):
        targets[row, [columns[label] for label in found]] = 1
    return targets
