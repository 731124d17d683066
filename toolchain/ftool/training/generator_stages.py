"""Training a generator: its base, its rows of tokens, its weights or adapters, and what came of it."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ftool.recipe.sections import Sections
from ftool.training.generation_objective import JudgedSplit
from ftool.training.generator_finetune import finetune_generator
from ftool.training.generator_rows import TokenRow, TokenRows
from ftool.training.loop import SCORE
from ftool.training.lora import merged, with_adapters
from ftool_export.checkpoints.generator import LoadedGenerator
from ftool_export.checkpoints.generator_inference import decode, generate_tokens, score_tokens


def train_generator(
    loaded: LoadedGenerator,
    train: TokenRows,
    validation: JudgedSplit,
    recipe: Sections,
    *,
    metric: str,
    keep_start: bool,
    folder: Path,
    resume_from: Path | None,
) -> tuple[LoadedGenerator, dict[str, Any]]:
    """Fine-tune all weights, or LoRA adapters that are merged afterwards; the model, and what happened as plain JSON.

    `metric` on `validation` decides between checkpoints, which go to `folder`; with `keep_start` the weights that
    were handed in are among those to choose from.
    """
    began = time.monotonic()
    settings = recipe.train
    model: Any = loaded.model
    if settings.method == "lora":
        output = model.get_output_embeddings()
        model = with_adapters(model, settings, leave_out=lambda _, module: module is output)
    result = finetune_generator(
        loaded,
        model,
        train.rows,
        settings,
        measure=partial(_measure, loaded, validation, metric),
        folder=folder,
        resume_from=resume_from,
        keep_start=keep_start,
    )
    happened = asdict(result)
    if settings.method == "lora":
        model, happened["merge_difference"] = merged(model, _logits_of(loaded, train.rows[:4]))
    return replace(loaded, model=model.eval()), happened | {"seconds": time.monotonic() - began}


def judge(loaded: LoadedGenerator, split: JudgedSplit) -> tuple[dict[str, Any], list[str]]:
    """All metrics of torch's answers on a split, as the model's own generation config has it answer."""
    return split.metrics(
        score=partial(score_tokens, loaded),
        answer=lambda rows: decode(loaded, generate_tokens(loaded, rows)),
    )


def _measure(loaded: LoadedGenerator, split: JudgedSplit, metric: str, model: Any) -> dict[str, float]:
    """What decides between checkpoints: the token metrics, and the main one; answers are greedy, for speed."""
    now = replace(loaded, model=model)
    found = split.token_metrics(partial(score_tokens, now))
    if metric not in found:
        texts, _ = split.text_metrics(lambda rows: decode(now, generate_tokens(now, rows, num_beams=1)))
        found |= texts
    return {
        "loss": math.log(found["perplexity"]),  # nats a token
        "token_accuracy": found["token_accuracy"],
        SCORE: float(found[metric]),
    }


def _logits_of(loaded: LoadedGenerator, rows: list[TokenRow]) -> Callable[[nn.Module], Tensor]:
    def logits(model: nn.Module) -> Tensor:
        scored = score_tokens(
            replace(loaded, model=model), [row.given for row in rows], [row.answer for row in rows]
        )
        return torch.cat([torch.from_numpy(one) for one in scored])

    return logits
