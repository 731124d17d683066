"""Training a reader: its weights or adapters, and the threshold of its no answer."""

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from torch import nn

from ftool.data.questions import QuestionData
from ftool.question_metrics import tune_threshold
from ftool.recipe import TrainSettings
from ftool_export.encoder.inference import compute_outputs
from ftool_export.reader import LoadedReader, SpanReader

from .lora import add_adapters, merge_adapters
from .reader_objective import TrainedReader, judged_answers, measure_on_validation, reader_examples
from .reader_rows import WindowRows
from .weights import finetune_weights


def train_reader(
    loaded: LoadedReader, data: QuestionData, settings: TrainSettings, folder: Path, resume_from: Path | None
) -> tuple[LoadedReader, dict[str, Any]]:
    """Fine-tune all weights, or LoRA adapters that are merged afterwards; the reader, and what happened as plain JSON.

    F1 on validation decides between checkpoints, which go to `folder`. Where some training questions have no answer
    the threshold is tuned on validation.
    """
    began = time.monotonic()
    rows = WindowRows(loaded, data.train.examples)
    if settings.method == "lora":
        add_adapters(loaded.model, _head(loaded.model), settings)
    result = asdict(
        finetune_weights(
            TrainedReader(loaded.model, settings.label_smoothing),
            rows,
            settings,
            measure=measure_on_validation(loaded, data.validation, unanswerable=data.unanswerable),
            folder=folder,
            resume_from=resume_from,
        )
    )
    result["windows"] = len(rows)
    loaded.model.eval()
    if settings.method == "lora":
        sample = rows.collate([rows[index] for index in range(min(4, len(rows)))])
        del sample["labels"]
        result["merge_difference"] = merge_adapters(loaded.model, sample)
    if data.unanswerable:
        examples = reader_examples(loaded, data.validation)
        spans = examples.spans(compute_outputs(loaded, examples.rows))
        threshold, _ = tune_threshold(judged_answers(data.validation, spans))
        loaded = replace(loaded, no_answer_threshold=threshold)
    return loaded, result | {"seconds": time.monotonic() - began}


def _head(model: SpanReader) -> nn.Linear:
    """The linear layer of two outputs, a start and an end, that every Hugging Face reader ends with."""
    found = [one for one in model.encoder.modules() if isinstance(one, nn.Linear) and one.out_features == 2]
    return found[-1]
