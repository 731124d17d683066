"""Question answering: from a recipe to run/, and the metrics of run/ or a bundle on questions about contexts."""

import logging
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

from transformers import set_seed

from ftool.bases import BASES, resolve_base
from ftool.data.load_questions import load_question_data, load_question_split, question_fingerprint
from ftool.data.questions import QuestionData, QuestionSplit
from ftool.data.split_names import SPLITS
from ftool.model_folder import ModelFolder
from ftool.question_metrics import question_metrics
from ftool.recipe import DataSettings, Recipe
from ftool.results import Evaluation, TrainReport
from ftool.training import checkpoints
from ftool.training.distributed import is_main_process
from ftool.training.hardware import device_name, use_bf16, use_threads
from ftool.training.reader_objective import JudgedQuestions
from ftool.training.reader_rows import without_long_questions
from ftool.training.reader_stages import train_reader
from ftool.training.runs import checkpointed, circumstances, identity, partial_folder
from ftool_export.disk import disk_errors
from ftool_export.folder_swap import replacing_folder
from ftool_export.reader import LoadedReader, create_reader, load_reader, save_reader
from ftool_export.reader.inference import compute_outputs

from .metrics_file import write_metrics

log = logging.getLogger(__name__)

NAME = "question-answering"


def train(recipe: Recipe, folder: Path, *, resume: bool) -> TrainReport:
    """Train a reader as `recipe` says and put it in the model folder's run/, with metrics.json.

    Raises FtoolError where recipe, data, base model or checkpoints don't allow it.
    """
    began = time.monotonic()
    use_threads(recipe.train.threads)
    use_bf16(recipe.train.bf16)  # refused here, not after minutes
    set_seed(recipe.train.seed)
    data = load_question_data(recipe.data)
    loaded = _new_reader(recipe, data)
    data = _fitting(loaded, data)
    with checkpointed(folder, _identity(recipe, data), resume=resume) as (partial, resume_from):
        loaded, happened = train_reader(loaded, data, recipe.train, partial, resume_from)
    report = TrainReport(
        validation=_judge(loaded, data.validation, "validation"),
        test=_judge(loaded, data.test, "test"),
        training=_account(happened, seconds=time.monotonic() - began),
        recipe=asdict(recipe),
        data=_describe(data),
    )
    if is_main_process():
        with replacing_folder(ModelFolder(folder).run) as run, disk_errors(run):
            save_reader(loaded, run)
            write_metrics(run, report.to_json())
        checkpoints.discard(partial_folder(folder))
    return report


def evaluate(
    recipe: Recipe, folder: Path, *, on: Literal["run", "bundle"], data: DataSettings | None, split: str
) -> Evaluation:
    """The metrics of the model folder's run/ or bundle/ on a split of `data`, or of the recipe's own.

    Raises FtoolError where either is missing, or a question leaves its context no room.
    """
    if on == "bundle":
        raise NotImplementedError
    loaded = load_reader(ModelFolder(folder).require_run())
    return _judge(loaded, asked_questions(recipe, data, split), split)


def asked_questions(recipe: Recipe, data: DataSettings | None, split: str) -> QuestionSplit:
    """A split of `data`, or of the recipe's own."""
    if data is not None:
        return load_question_split(data, split)
    return load_question_data(recipe.data).split(split)


def _judge(loaded: LoadedReader, questions: QuestionSplit, split: str) -> Evaluation:
    judged = JudgedQuestions(loaded, questions)
    metrics = question_metrics(judged.judge(compute_outputs(loaded, judged.rows)), loaded.no_answer_threshold)
    return Evaluation(task=NAME, on="run", split=split, examples=len(questions), metrics=metrics)


def _new_reader(recipe: Recipe, data: QuestionData) -> LoadedReader:
    settings = recipe.train
    loaded = create_reader(
        resolve_base(recipe.base),
        max_length=settings.max_length_for(recipe.task),
        stride=settings.stride_for(recipe.task),
        max_answer_length=settings.max_answer_length,
        base_name=BASES[recipe.base].hub_id if recipe.base in BASES else recipe.base,
    )
    loaded.model.to(device_name())
    return replace(loaded, training_sha256=data.sha256, training_examples=len(data.train))


def _fitting(loaded: LoadedReader, data: QuestionData) -> QuestionData:
    """The data without questions that fill a window alone."""
    train, validation, test = (without_long_questions(loaded, data.split(name)) for name in SPLITS)
    return replace(data, train=train, validation=validation, test=test)


def _identity(recipe: Recipe, data: QuestionData) -> dict[str, Any]:
    return identity(recipe, training=data.sha256, validation=question_fingerprint(data.validation.examples))


def _account(happened: dict[str, Any], *, seconds: float) -> dict[str, Any]:
    """How training went: which weights were kept, and what it took."""
    kept = "the weights it began with"
    if happened["best_step"] > 0:
        kept = f"update {happened['best_step']} of {happened['updates']}"
    return {
        "kept": kept,
        "fine_tuning": happened,
        "seconds": seconds,  # of this call, evaluation included
        "examples_per_second": happened["examples_seen"] / happened["seconds"],
        **circumstances(),
    }


def _describe(data: QuestionData) -> dict[str, Any]:
    return {
        "sha256": data.sha256,
        "examples": {name: len(data.split(name)) for name in SPLITS},
        "unanswerable": {name: sum(not one.answers for one in data.split(name).examples) for name in SPLITS},
        "notes": list(data.notes),
        "warnings": list(data.warnings),
    }
