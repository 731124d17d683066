"""Training a reader: its weights or adapters, and the threshold of its no answer."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from ftool.data.dataset import Dataset
from ftool.data.rows.questions import Question
from ftool.evaluation.metrics.answers import tune_threshold
from ftool.recipe.sections import TrainSettings
from ftool.training.encoder_finetune import train_encoder
from ftool.training.reader_objective import (
    TrainedReader,
    judged_answers,
    measure_on_validation,
    reader_examples,
)
from ftool.training.reader_rows import window_rows
from ftool_export.checkpoints.encoder import compute_outputs
from ftool_export.checkpoints.reader import LoadedReader
from ftool_export.networks.per_token import SpanReader


def train_reader(
    loaded: LoadedReader,
    data: Dataset[Question],
    settings: TrainSettings,
    folder: Path,
    resume_from: Path | None,
) -> tuple[LoadedReader, dict[str, Any]]:
    """Fine-tune all weights, or LoRA adapters that are merged afterwards; the reader, and what happened as plain JSON.

    F1 on validation decides between checkpoints, which go to `folder`. Where some training questions have no answer
    the threshold is tuned on validation.
    """
    rows = window_rows(loaded, data.train.examples)
    happened = train_encoder(
        TrainedReader(loaded.model, settings.label_smoothing),
        loaded.model,
        _head(loaded.model),
        rows,
        settings,
        measure=measure_on_validation(loaded, data.validation, unanswerable=data.facts["unanswerable"]),
        folder=folder,
        resume_from=resume_from,
    )
    if data.facts["unanswerable"]:
        examples = reader_examples(loaded, data.validation)
        spans = examples.spans(compute_outputs(loaded, examples.rows))
        threshold, _ = tune_threshold(judged_answers(data.validation, spans))
        loaded = replace(loaded, no_answer_threshold=threshold)
    return loaded, happened | {"windows": len(rows)}


def _head(model: SpanReader) -> nn.Linear:
    """The linear layer of two outputs, a start and an end, that every Hugging Face reader ends with."""
    found = [one for one in model.encoder.modules() if isinstance(one, nn.Linear) and one.out_features == 2]
    return found[-1]
