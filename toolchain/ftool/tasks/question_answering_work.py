"""Question answering: from a recipe to run/, and the metrics of run/ or a bundle on questions about contexts."""

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from tokenizers import Tokenizer

import ftool_runtime
from ftool.bases import BASES, resolve_base
from ftool.data.dataset import Dataset, Split
from ftool.data.load import load_dataset, load_split, split_for_model
from ftool.data.rows.questions import Question, QuestionReader
from ftool.data.splits import SPLITS
from ftool.evaluation.metrics.answers import question_metrics, question_statistics
from ftool.evaluation.results import Evaluation, TrainReport
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.training.hardware import device_name
from ftool.training.reader_objective import judged_answers, reader_examples
from ftool.training.reader_rows import without_long_questions
from ftool.training.reader_stages import train_reader
from ftool.training.runs import account, checkpointed, identity, keep_run, prepare
from ftool.workspace import ModelFolder
from ftool_export.checkpoints.encoder import compute_outputs
from ftool_export.checkpoints.reader import LoadedReader, create_reader, load_reader, save_reader
from ftool_export.examples.questions import QuestionExamples
from ftool_export.tokenizers.texts import SENTENCES
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.bundle.paths import TOKENIZER_FILE
from ftool_runtime.models.reader import Reader, read_answer
from ftool_runtime.postprocessing.spans import Spans

NAME = "question-answering"


def train(recipe: Recipe, folder: Path, *, resume: bool) -> TrainReport:
    """Train a reader as `recipe` says and put it in the model folder's run/, with metrics.json.

    Raises FtoolError where recipe, data, base model or checkpoints don't allow it.
    """
    began = time.monotonic()
    prepare(recipe)
    data = load_dataset(QuestionReader, recipe.data)
    loaded = _new_reader(recipe, data)
    data = replace(data, splits={name: _fitting(loaded, split) for name, split in data.splits.items()})
    with checkpointed(folder, identity(recipe, data), resume=resume) as (partial, resume_from):
        loaded, happened = train_reader(loaded, data, recipe.train, partial, resume_from)
    report = TrainReport(
        validation=_judge(loaded, data.validation, "validation"),
        test=_judge(loaded, data.test, "test"),
        training=account(happened, seconds=time.monotonic() - began),
        recipe=asdict(recipe),
        data=_describe(data),
    )
    keep_run(folder, report, lambda run: save_reader(loaded, run))
    return report


def evaluate(
    recipe: Recipe, folder: Path, *, on: Literal["run", "bundle"], data: DataSettings | None, split: str
) -> Evaluation:
    """The metrics of the model folder's run/ or bundle/ on a split of `data`, or of the recipe's own.

    Raises FtoolError where either is missing.
    """
    questions = _questions(recipe, data, split)
    if on == "bundle":
        return _evaluate_bundle(ModelFolder(folder).require_bundle(), questions, split)
    loaded = load_reader(ModelFolder(folder).require_run())
    return _judge(loaded, _fitting(loaded, questions), split)


def load(checkpoint: str | Path) -> LoadedReader:
    """The reader in run/, a folder, or a hub id. Raises CheckpointError."""
    return load_reader(checkpoint)


def recipe_examples(recipe: Recipe, loaded: LoadedReader, split: str) -> QuestionExamples:
    """A split of the recipe's data, judged by F1. Raises DataError."""
    return reader_examples(loaded, _fitting(loaded, _questions(recipe, None, split)))


def data_examples(settings: DataSettings, loaded: LoadedReader, split: str) -> QuestionExamples:
    """A split of other data, or its only one, judged by F1. Raises DataError."""
    return reader_examples(loaded, _fitting(loaded, load_split(QuestionReader, settings, split)))


def sample_examples(loaded: LoadedReader) -> QuestionExamples:
    """Some questions about texts, without answers, where no data was named."""
    return QuestionExamples(
        loaded=loaded, inputs=[{"question": "What is it?", "context": text} for text in SENTENCES]
    )


def inputs(recipe: Recipe, split: str) -> Sequence[dict[str, str]]:
    """The questions and contexts of a split of the recipe's data. Raises DataError."""
    return _questions(recipe, None, split).inputs


def _questions(recipe: Recipe, data: DataSettings | None, split: str) -> Split[Question]:
    """A split of `data`, or of the recipe's own."""
    return split_for_model(QuestionReader, recipe.data, data, split)


def _judge(loaded: LoadedReader, questions: Split[Question], split: str) -> Evaluation:
    examples = reader_examples(loaded, questions)
    spans = examples.spans(compute_outputs(loaded, examples.rows))
    return _evaluation(questions, split, spans, loaded.no_answer_threshold, on="run")


def _evaluate_bundle(bundle: Path, questions: Split[Question], split: str) -> Evaluation:
    manifest = Manifest.read(bundle)
    tokenizer = Tokenizer.from_file(str(bundle / TOKENIZER_FILE))
    asked = [manifest.input.prefix + one.question for one in questions.examples]
    encoded = tokenizer.encode_batch(asked, add_special_tokens=False)
    with ftool_runtime.load(bundle, profile="throughput") as model:
        assert isinstance(model, Reader)
        questions = without_long_questions(
            questions, [len(one.ids) for one in encoded], model.longest_question
        )
        spans = model.spans(questions.inputs)
        return _evaluation(questions, split, spans, model.no_answer_threshold, on="bundle")


def _evaluation(
    questions: Split[Question],
    split: str,
    spans: Sequence[Spans],
    threshold: float | None,
    *,
    on: Literal["run", "bundle"],
) -> Evaluation:
    judged = judged_answers(questions, spans)
    return Evaluation(
        task=NAME,
        on=on,
        split=split,
        examples=len(questions),
        metrics=question_metrics(judged, threshold),
        statistics=partial(question_statistics, judged, threshold),
        rows=questions.table,
        predictions=partial(_predictions, questions, spans, threshold),
    )


def _predictions(
    questions: Split[Question], spans: Sequence[Spans], threshold: float | None
) -> list[dict[str, Any]]:
    """The answer to each question, None where there is none, beside those that count as right."""
    rows = []
    for asked, found in zip(questions.examples, spans, strict=True):
        answer = read_answer(asked.context, found, threshold)
        row: dict[str, Any] = {
            "id": asked.id,
            "question": asked.question,
            "answer": answer.text,
            "start": answer.start,
        }
        row |= {"end": answer.end, "score": answer.score, "answers": list(asked.answers)}
        if found.best:  # what would be the answer at another threshold
            best = found.best[0]
            row["best"] = {
                "answer": asked.context[best.start : best.end],
                "start": best.start,
                "end": best.end,
            }
            row["margin"] = found.margin
        rows.append(row)
    return rows


def _new_reader(recipe: Recipe, data: Dataset[Question]) -> LoadedReader:
    settings = recipe.train
    loaded = create_reader(
        resolve_base(recipe.base),
        max_length=settings.max_length,
        stride=settings.stride,
        max_answer_length=settings.max_answer_length,
        base_name=BASES[recipe.base].hub_id if recipe.base in BASES else recipe.base,
    )
    loaded.model.to(device_name())
    return replace(loaded, training_sha256=data.sha256, training_examples=len(data.train))


def _fitting(loaded: LoadedReader, questions: Split[Question]) -> Split[Question]:
    """The questions that leave their contexts room in a window."""
    lengths = loaded.question_lengths([one.question for one in questions.examples])
    return without_long_questions(questions, lengths, loaded.longest_question)


def _describe(data: Dataset[Question]) -> dict[str, Any]:
    return {
        "sha256": data.sha256,
        "examples": {name: len(data.split(name)) for name in SPLITS},
        "unanswerable": {name: sum(not one.answers for one in data.split(name).examples) for name in SPLITS},
        "notes": list(data.notes),
        "warnings": list(data.warnings),
    }
