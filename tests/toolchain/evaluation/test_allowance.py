"""The gate's allowance for chance: one standard error of the difference of two scores on the same examples."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ftool.data.dataset import Split
from ftool.data.rows.generation import GenerationExample
from ftool.data.rows.labels import LabelledText
from ftool.evaluation.confidence_intervals import difference_error
from ftool.evaluation.generation_split import GenerationSplit
from ftool.evaluation.metrics.classification import classification_statistics, number_statistics
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.recipe.sections import TrainSettings
from ftool_export.examples.comparison import Comparison
from ftool_export.gate import metric_pair
from ftool_export.tolerances import metric_allowance, share_error

RARE = 4  # of 200 examples


def answers(wrong: list[int]) -> Any:
    """Logits of which all are right but those of some examples; the last four examples have the rare label."""
    targets = np.array([0] * (200 - RARE) + [1] * RARE)
    given = targets.copy()
    given[wrong] = 1 - given[wrong]
    return np.eye(2, dtype=np.float32)[given] * 5, targets


def error_of(metric: str, wrong: list[int]) -> float:
    logits, targets = answers([])
    other, _ = answers(wrong)
    one, two = (classification_statistics(each, targets, multi_label=False) for each in (logits, other))
    return difference_error(one, two, metric)


def test_for_accuracy_the_bootstrap_agrees_with_counting() -> None:
    assert error_of("accuracy", [0, 1, 2, 3, 4]) == pytest.approx(metric_allowance(5, 200), rel=0.1)


def test_an_example_of_a_rare_label_moves_macro_f1_by_more_than_one_in_n() -> None:
    assert error_of("f1_macro", [199]) > 10 * metric_allowance(1, 200)


def test_equal_answers_leave_nothing_to_chance() -> None:
    assert error_of("f1_macro", []) == 0.0


def test_a_correlation_has_an_error_too() -> None:
    rng = np.random.default_rng(0)
    targets = rng.normal(size=(100, 1))
    one = (targets + 0.3 * rng.normal(size=(100, 1))).astype(np.float32)
    other = (one + 0.05 * rng.normal(size=(100, 1))).astype(np.float32)
    error = difference_error(number_statistics(one, targets), number_statistics(other, targets), "spearman")
    assert 0 < error < 0.02  # every answer differs, and yet the order hardly changes
    assert metric_allowance(100, 100) == 0.1  # what it was


def test_the_gate_takes_the_error_that_the_examples_know() -> None:
    found = Comparison(
        examples=200, compared="answers", count=200, agreement=0.99, differing=1, distances=np.zeros(200),
        output_difference=0.0, scores=(1.0, 0.9), score_error=0.06,
    )  # fmt: skip
    examples: Any = SimpleNamespace(metric="f1_macro", cross_fitted=True)
    pair = metric_pair(found, examples, 0.05)
    assert pair is not None
    assert pair.to_json()["cross_fitted"]
    assert pair.allowance == 0.06
    assert pair.check.passed


def test_the_error_of_a_share_of_tokens_is_that_of_independent_texts() -> None:
    rng = np.random.default_rng(1)
    sizes = rng.integers(5, 40, size=300)
    differences = rng.integers(-1, 3, size=300)
    samples = [rng.integers(300, size=300) for _ in range(2000)]
    bootstrap = np.std([differences[one].sum() / sizes[one].sum() for one in samples])
    assert share_error(differences, sizes) == pytest.approx(bootstrap, rel=0.1)


def classifier_examples(recipe: Recipe) -> tuple[Any, Any, Any]:
    texts = [LabelledText(f"text {row}", ("rare" if row >= 200 - RARE else "usual",)) for row in range(200)]
    loaded = SimpleNamespace(
        labels=("usual", "rare"),
        multi_label=False,
        regression=False,
        thresholds=None,
        has_tuned_numbers=False,
        pairs=False,
    )
    return recipe.row.examples(loaded, Split(texts, ""), recipe), answers([])[0], answers([199])[0]


def translation_examples(recipe: Recipe) -> tuple[Any, Any, Any]:
    texts = [f"the cat number {row} sat on a mat" for row in range(20)]
    rows = [SimpleNamespace(given=[1], answer=[2]) for _ in texts]
    split: Any = GenerationSplit(
        examples=[GenerationExample("x", (text,)) for text in texts], rows=rows, scores="bleu", language="en"
    )
    made = recipe.row.examples(None, split, recipe)
    return made, texts, ["a dog ran", *texts[1:]]


@pytest.mark.parametrize(
    ("task", "metric", "made"),
    [("text-classification", "f1_macro", classifier_examples), ("translation", "bleu", translation_examples)],
)
def test_examples_for_export_know_the_error_of_their_metric(
    task: str, metric: str, made: Callable[[Recipe], tuple[Any, Any, Any]]
) -> None:
    recipe = Recipe(task=task, base="scratch:t5-tiny" if task == "translation" else "minilm",
                    data=DataSettings(path="none.csv"), train=TrainSettings(metric=metric))  # fmt: skip
    examples, one, other = made(recipe)
    before = () if task == "text-classification" else (range(20),)
    assert examples.uncertainty(*before, one, other) > 0
    assert examples.uncertainty(*before, one, one) == 0
