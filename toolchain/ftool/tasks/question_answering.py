"""The `Task` row for question answering: the span of a context that answers a question, or no answer."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ftool.data.dataset import Dataset, Split
from ftool.data.rows.questions import Question, QuestionReader
from ftool.errors import RecipeError
from ftool.recipe.sections import Sections, chosen, given
from ftool.tasks.base import DISTILLATION, Task, check_stride

if TYPE_CHECKING:
    from ftool.evaluation.baselines import FittedBaseline
    from ftool.evaluation.mistakes import WrongAnswers
    from ftool.evaluation.open_model import OpenModel
    from ftool.evaluation.results import Measurements

_WINDOW: Final = 384  # tokens of question and context together, as in the SQuAD scripts
_ANSWER: Final = 30  # tokens, as in the SQuAD scripts


def _defaults(recipe: Sections) -> Mapping[str, Any]:
    longest = chosen(recipe.train.max_length, _WINDOW)
    stride = chosen(recipe.train.stride, longest // 3)
    return {
        "train.max_length": longest,
        "train.stride": stride,
        "train.max_answer_length": min(_ANSWER, stride + 1),
    }


def _check(recipe: Sections) -> None:
    check_stride(recipe)
    answer, stride = recipe.train.max_answer_length, recipe.train.stride
    if answer > stride + 1:
        raise RecipeError(
            f"train.max_answer_length must be at most train.stride + 1, or answers across two windows are lost, got "
            f"{answer} and {stride}; raise train.stride or lower train.max_answer_length"
        )


def _create(recipe: Sections, _: Dataset[Question]) -> Any:
    from ftool.bases import base_arguments
    from ftool_export.checkpoints.reader import create_reader

    return create_reader(
        stride=given(recipe.train.stride),
        max_answer_length=given(recipe.train.max_answer_length),
        **base_arguments(recipe),
    )


def _load(checkpoint: str | Path) -> Any:
    from ftool_export.checkpoints.reader import load_reader

    return load_reader(checkpoint)


def _lengths(loaded: Any, _: Sections) -> Mapping[str, Any]:
    return {
        "train.max_length": loaded.max_length,
        "train.stride": loaded.stride,
        "train.max_answer_length": loaded.max_answer_length,
    }


def _objective(
    loaded: Any, data: Dataset[Question], splits: Mapping[str, Split[Question]], recipe: Sections
) -> Any:
    from ftool.training.reader import ReaderObjective

    unanswerable = data.facts["unanswerable"]
    return ReaderObjective(
        loaded, splits["train"], splits["validation"], recipe.train, unanswerable=unanswerable
    )


def _answering(loaded: Any) -> Any:
    from ftool.evaluation.open_model import TorchReader

    return TorchReader(loaded)


def _fit(
    model: "OpenModel", split: Split[Question], name: str, _: Sections, *, training: bool = False
) -> tuple[Split[Question], Mapping[str, Any]]:
    """Drop questions that leave no room for the context in a window; count unanswerable ones. Implements `Task.fit`."""
    from ftool.training.reader import without_long_questions

    del name, training
    special = model.tokenizer.num_special_tokens_to_add(True)
    longest = model.max_length - special - model.facts.questions.stride - 1
    lengths = model.token_counts([model.prefix + one.question for one in split.examples])
    split = without_long_questions(split, lengths, longest)
    return split, {"unanswerable": sum(not one.answers for one in split.examples)}


def _measure(model: "OpenModel", split: Split[Question], thresholds: Any = None) -> "Measurements":
    from ftool.evaluation.metrics.answers import (
        part_intervals,
        question_metrics,
        question_statistics,
        scored_spans,
    )
    from ftool.evaluation.results import Measurements

    spans = model.model.spans(split.inputs)
    threshold = model.facts.questions.no_answer_threshold
    scored = scored_spans(split.examples, spans)
    return Measurements(
        metrics=question_metrics(scored, threshold),
        statistics=partial(question_statistics, scored, threshold if thresholds is None else thresholds),
        intervals=partial(part_intervals, scored, threshold),
        predictions=partial(_predictions, split, spans, threshold),
        wrong=partial(_wrong, split, spans, threshold),
    )


def _cross_fit(loaded: Any, split: Split[Question], outputs: Any, recipe: Sections) -> Any:
    """Return each question's own no-answer threshold, float64 (questions,). Implements `Task.cross_fit`."""
    from ftool.evaluation.cross_fitting import cross_fitted
    from ftool.evaluation.metrics.answers import MAIN_METRIC, scored_spans, threshold_tuner
    from ftool_export.examples.questions import QuestionExamples

    spans = QuestionExamples(loaded=loaded, inputs=split.inputs).spans(outputs)
    tune = threshold_tuner(scored_spans(split.examples, spans), recipe.train.metric or MAIN_METRIC)
    return cross_fitted(tune, len(split))


def _predictions(
    split: Split[Question], spans: Sequence[Any], threshold: float | None
) -> list[dict[str, Any]]:
    """Return a row of predictions for each question: the model's answer (None for none) and the correct answers."""
    from ftool_runtime.models.reader import read_answer

    rows = []
    for asked, found in zip(split.examples, spans, strict=True):
        answer = read_answer(asked.context, found, threshold)
        row: dict[str, Any] = {
            "id": asked.id,
            "question": asked.question,
            "answer": answer.text,
            "start": answer.start,
        }
        row |= {"end": answer.end, "score": answer.score, "answers": list(asked.answers)}
        if found.best:  # the answer that another threshold could give
            best = found.best[0]
            row["best"] = {
                "answer": asked.context[best.start : best.end],
                "start": best.start,
                "end": best.end,
            }
            row["margin"] = found.margin
        rows.append(row)
    return rows


def _wrong(
    split: Split[Question], spans: Sequence[Any], threshold: float | None, name: str
) -> "WrongAnswers":
    import numpy as np

    from ftool.evaluation.wrong_texts import find_wrong_spans
    from ftool_runtime.models.reader import read_answer

    answers = [
        read_answer(asked.context, found, threshold)
        for asked, found in zip(split.examples, spans, strict=True)
    ]
    confidence = np.array([one.score for one in answers], dtype=np.float64)
    return find_wrong_spans(split.examples, [one.text or "" for one in answers], confidence, split=name)


def _baselines(data: Dataset[Question], fitted: Split[Question], recipe: Sections) -> "list[FittedBaseline]":
    """Return the sentence with most shared words; if some questions have no answer, also always "no answer".

    If some training questions have no answer, validation decides how many words a sentence must share to be the answer.
    """
    from ftool.evaluation.baselines import FittedBaseline
    from ftool.evaluation.cross_fitting import tuned_for
    from ftool.evaluation.metrics.answers import MAIN_METRIC, question_statistics, threshold_tuner
    from ftool.training.baselines.shared_words import SharedWords

    model, threshold, found = SharedWords.fit(data.train.examples), None, []
    scored = model.answer(fitted.examples)
    if data.facts["unanswerable"]:
        validation = model.answer(data.validation.examples)
        tune = threshold_tuner(validation, recipe.train.metric or MAIN_METRIC)
        threshold = tuned_for(fitted, data.validation, tune)
        never = replace(scored, best=[""] * len(fitted))
        found.append(
            FittedBaseline(
                name="no_answer",
                title='always "no answer"',
                statistics=partial(question_statistics, never, None),
                learnt_from=0,
                trivial=True,
            )
        )
    shared = FittedBaseline(
        name="shared_words",
        title="the sentence with most words of the question",
        statistics=partial(question_statistics, scored, threshold),
        learnt_from=len(data.train),
    )
    return [*found, shared]


def _examples(loaded: Any, split: Split[Question], recipe: Sections) -> Any:
    from ftool.evaluation.confidence_intervals import difference_error
    from ftool.evaluation.cross_fitting import judging_numbers
    from ftool.evaluation.metrics.answers import (
        MAIN_METRIC,
        answer_scores,
        question_statistics,
        scored_spans,
    )
    from ftool_export.examples.questions import QuestionExamples

    metric = recipe.train.metric or MAIN_METRIC
    crossed, thresholds = judging_numbers(
        loaded,
        split,
        loaded.no_answer_threshold,
        lambda: _cross_fit(loaded, split, examples.reference(loaded), recipe),
    )

    def score(spans: Sequence[Any]) -> float:
        scored = scored_spans(split.examples, spans)
        return float(answer_scores(scored.answers(thresholds()), scored.references, metric).mean())

    def uncertainty(*both: Sequence[Any]) -> float:
        one, other = (
            question_statistics(scored_spans(split.examples, spans), thresholds()) for spans in both
        )
        return difference_error(one, other, metric)

    examples = QuestionExamples(
        loaded=loaded,
        inputs=split.inputs,
        metric=metric,
        uncertainty=uncertainty,
        scorer=score,
        cross_fitted=crossed,
    )
    return examples


def _samples(loaded: Any) -> Any:
    from ftool_export.examples.questions import QuestionExamples
    from ftool_export.tokenizers.texts import sample_inputs

    return QuestionExamples(loaded=loaded, inputs=sample_inputs(("question", "context"), loaded.reads))


TASK = Task(
    name="question-answering",
    reader=QuestionReader,
    settings=frozenset(
        {
            "data.question",
            "data.context",
            "data.answers",
            "data.answer_start",
            "train.gradient_checkpointing",
            "train.stride",
            "train.max_answer_length",
            "train.metric",
        }
    )
    | DISTILLATION,
    metrics=("f1", "exact_match"),
    defaults=_defaults,
    check=_check,
    create=_create,
    load=_load,
    lengths=_lengths,
    objective=_objective,
    answering=_answering,
    fit=_fit,
    measure=_measure,
    cross_fit=_cross_fit,
    baselines=_baselines,
    predicts=True,
    suites=("bbq",),
    examples=_examples,
    samples=_samples,
)
