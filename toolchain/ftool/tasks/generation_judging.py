"""Examples of a generator as the export layer compares bundles on them: tokens, and the main metric."""

from collections.abc import Sequence

from ftool.data.dataset import Split
from ftool.data.load import load_dataset, load_split
from ftool.data.rows.generation import GenerationExample
from ftool.evaluation.metrics.generation import main_metric_of, score_called, text_metrics
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.tasks.table import find_task
from ftool.training.generator_rows import is_plain_text, tokenize_examples
from ftool_export.checkpoints.generator import LoadedGenerator
from ftool_export.examples.generation import GenerationExamples

_BEGINNING = 8  # tokens of plain text that are given; the rest is predicted


def recipe_examples(recipe: Recipe, loaded: LoadedGenerator, split: str) -> GenerationExamples:
    """Return a split of the recipe's data, cut as it was for training, with the main metric. Raises DataError."""
    examples = load_dataset(recipe.row.reader, recipe.data).split(split)
    return _examples(
        loaded, examples, main_metric_of(recipe), recipe.train.max_target_length, recipe.data.target_language
    )


def data_examples(
    data: DataSettings,
    loaded: LoadedGenerator,
    split: str,
    *,
    max_target_length: int,
    metric: str | None = None,
) -> GenerationExamples:
    """A split of other data, or its only one, for a model that is trained already. Raises DataError."""
    examples = load_split(find_task(loaded.task).reader, data, split)
    return _examples(
        loaded, examples, metric or find_task(loaded.task).metrics[0], max_target_length, data.target_language
    )


def _examples(
    loaded: LoadedGenerator,
    split: Split[GenerationExample],
    metric: str,
    max_target_length: int,
    language: str | None,
) -> GenerationExamples:
    rows = tokenize_examples(loaded, split.examples, max_target_length=max_target_length).rows
    if is_plain_text(split.examples):
        whole = [[*row.given, *row.answer] for row in rows if len(row.answer) > _BEGINNING]
        return GenerationExamples(
            inputs=[row[:_BEGINNING] for row in whole],
            metric="token_accuracy",
            targets=[row[_BEGINNING:] for row in whole],
        )
    given = [row.given for row in rows]
    if metric == "token_accuracy":
        return GenerationExamples(inputs=given, metric=metric, targets=[row.answer for row in rows])
    references = [example.targets for example in split.examples]

    def score(positions: Sequence[int], answers: Sequence[str]) -> float:
        right = [references[position] for position in positions]
        return score_called(metric, text_metrics(answers, right, task=loaded.task, language=language))

    return GenerationExamples(inputs=given, metric=metric, scorer=score)
