"""Summarization, translation and text generation: from a recipe to run/, and the metrics of run/ or a bundle."""

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import ftool_runtime
from ftool.data.dataset import Dataset, Split
from ftool.data.load import load_dataset, split_for_model
from ftool.data.rows.generation import GenerationExample
from ftool.evaluation.metrics.generation import main_metric_of, text_statistics
from ftool.evaluation.results import Evaluation, ShownAnswer, TrainReport
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.recipe.sections import SCRATCH
from ftool.training.generation_objective import JudgedSplit
from ftool.training.generator_rows import TokenRows, assistant_turns, is_chat, tokenize_examples, warn_of_cut
from ftool.training.generator_stages import judge, train_generator
from ftool.training.runs import account, checkpointed, identity, keep_run, prepare
from ftool.training.scratch.tokenizer import count_altered
from ftool.training.starting_point import starting_point
from ftool.workspace import ModelFolder
from ftool_export.checkpoints.generator import LoadedGenerator, load_generator, save_generator

log = logging.getLogger(__name__)

_SHOWN = 3  # answers in tables


def train(recipe: Recipe, folder: Path, *, resume: bool) -> TrainReport:
    """Train a generator as `recipe` says and put it in the model folder's run/, with metrics.json.

    Raises FtoolError where recipe, data, base model or checkpoints don't allow it.
    """
    began = time.monotonic()
    prepare(recipe)
    data = load_dataset(recipe.row.reader, recipe.data)
    loaded = starting_point(recipe, data)
    splits = data.splits
    longest = min(recipe.train.max_length, loaded.max_length)  # cuts training alone
    cuts = {"train": longest}
    learnt = replace(data.train, examples=assistant_turns(data.train.examples))
    rows = {
        name: _rows(loaded, split, name, recipe, cuts.get(name))
        for name, split in {**splits, "train": learnt}.items()
    }
    altered = _altered(loaded, data.train)
    judged = {name: _judged(split, rows[name], recipe) for name, split in splits.items() if name != "train"}
    with checkpointed(folder, _identity(recipe, data, loaded), resume=resume) as (partial, resume_from):
        loaded, happened = train_generator(
            loaded,
            rows["train"],
            judged["validation"].sample(recipe.train.evaluation_examples),
            recipe,
            metric=main_metric_of(recipe),
            keep_start=not recipe.base.startswith(SCRATCH),
            folder=partial,
            resume_from=resume_from,
        )
    evaluations = {name: _evaluate(loaded, judged[name], name) for name in splits if name != "train"}
    report = TrainReport(
        validation=evaluations.pop("validation"),
        test=evaluations.pop("test"),
        further=evaluations,
        training=account(happened, seconds=time.monotonic() - began),
        recipe=asdict(recipe),
        data={**_describe(data, rows), "training_texts_altered": altered},
    )
    keep_run(folder, report, lambda run: save_generator(loaded, run))
    return report


def evaluate(
    recipe: Recipe, folder: Path, *, on: Literal["run", "bundle"], data: DataSettings | None, split: str
) -> Evaluation:
    """The metrics of the model folder's run/ or bundle/ on a split of `data`, or of the recipe's own.

    Raises FtoolError where either is missing.
    """
    examples = split_for_model(recipe.row.reader, recipe.data, data, split)
    loaded = load_generator(ModelFolder(folder).require_run(), recipe.task)
    judged = _judged(examples, _rows(loaded, examples, split, recipe), recipe)
    if on == "run":
        return _evaluate(loaded, judged, split)
    with ftool_runtime.load(ModelFolder(folder).require_bundle(), profile="throughput") as model:
        metrics, answers = judged.metrics(
            score=model.score_tokens, answer=partial(_answered, model, judged.examples)
        )
    return _evaluation(metrics, answers, judged, split, on="bundle")


def _answered(
    model: Any, examples: Sequence[GenerationExample], prompts: Sequence[Sequence[int]]
) -> list[str]:
    """What a bundle answers to sources and prompts as an app asks them, and to conversations as they were tokenised.

    One whose last turn leaves an answer no room is refused to an app, but is cut for the run, and so it is here.
    """
    if is_chat(examples):
        return [model.decode(answer.ids) for answer in model.generate(prompts)]
    return [answer.text for answer in model([example.source for example in examples], overflow="cut")]


def _rows(
    loaded: LoadedGenerator,
    split: Split[GenerationExample],
    name: str,
    recipe: Recipe,
    max_length: int | None = None,
) -> TokenRows:
    limit = recipe.train.max_target_length
    rows = tokenize_examples(loaded, split.examples, max_target_length=limit, max_length=max_length)
    warn_of_cut(rows, name, max_length=max_length or loaded.max_length, max_target_length=limit)
    return rows


def _altered(loaded: LoadedGenerator, split: Split[GenerationExample]) -> int:
    """How many training texts the tokenizer can't give back, which is said aloud."""
    turns = [message.content for example in split.examples for message in example.messages or ()]
    pairs = [text for example in split.examples for text in (example.source, example.targets[0])]
    texts = [text for text in (*pairs, *turns) if text]
    if altered := count_altered(loaded.tokenizer, texts):
        log.warning(
            "%d of %d training texts come back altered from the tokenizer; take a base that knows their characters",
            altered, len(texts),
        )  # fmt: skip
    return altered


def _judged(split: Split[GenerationExample], rows: TokenRows, recipe: Recipe) -> JudgedSplit:
    return JudgedSplit(
        examples=split.examples,
        rows=rows.rows,
        task=recipe.task,
        language=recipe.data.target_language,
        table=split.table,
    )


def _evaluate(loaded: LoadedGenerator, judged: JudgedSplit, split: str) -> Evaluation:
    metrics, answers = judge(loaded, judged)
    return _evaluation(metrics, answers, judged, split, on="run")


def _evaluation(
    metrics: dict[str, Any],
    answers: Sequence[str],
    judged: JudgedSplit,
    split: str,
    *,
    on: Literal["run", "bundle"],
) -> Evaluation:
    shown = tuple(
        ShownAnswer(given=_asked(example), answer=answer, reference=example.targets[0])
        for example, answer in zip(judged.examples[:_SHOWN], answers[:_SHOWN], strict=False)
    )
    references = [example.targets for example in judged.examples]
    written = partial(text_statistics, answers, references, task=judged.task, language=judged.language)
    return Evaluation(
        task=judged.task,
        on=on,
        split=split,
        examples=len(judged.examples),
        metrics=metrics,
        shown=shown,
        statistics=written,
        rows=judged.table,
    )


def _asked(example: Any) -> str:
    return str(example.messages[-1].content if example.messages else example.source)


def _identity(recipe: Recipe, data: Dataset[GenerationExample], loaded: LoadedGenerator) -> dict[str, Any]:
    languages = ("prefix", "source_language", "target_language")
    return {
        **identity(recipe, data),
        **{f"data.{name}": getattr(recipe.data, name) for name in languages},
        "tokenizer": sha256(loaded.tokenizer.backend_tokenizer.to_str().encode()).hexdigest(),
    }


def _describe(data: Dataset[GenerationExample], rows: dict[str, TokenRows]) -> dict[str, Any]:
    return {
        "sha256": data.sha256,
        "examples": {name: len(data.split(name)) for name in rows},
        "tokens": {name: sum(len(row) for row in split.rows) for name, split in rows.items()},
        "texts_cut": {
            name: {"sources": split.sources_cut, "answers": split.answers_cut} for name, split in rows.items()
        },
        "notes": list(data.notes),
        "warnings": list(data.warnings),
    }
