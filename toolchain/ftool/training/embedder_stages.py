"""The training of an embedder: all weights, or adapters that are merged afterwards, with an account of it."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ftool.data.dataset import Dataset
from ftool.data.rows.similarity import SimilarPair
from ftool.recipe.sections import TrainSettings
from ftool.training.embedder_finetune import finetune_embedder
from ftool.training.lora import add_adapters, merge_adapters
from ftool_export.checkpoints.embedder import LoadedEmbedder


def train_embedder(
    loaded: LoadedEmbedder,
    data: Dataset[SimilarPair],
    settings: TrainSettings,
    *,
    metric: str,
    folder: Path,
    resume_from: Path | None,
) -> dict[str, Any]:
    """Train the network of `loaded` in place, with checkpoints in `folder`; what happened, as plain JSON."""
    began = time.monotonic()
    if settings.method == "lora":
        add_adapters(loaded.model, None, settings)
    result = asdict(
        finetune_embedder(loaded, data, settings, metric=metric, folder=folder, resume_from=resume_from)
    )
    if settings.method == "lora":
        sample = loaded.batch(loaded.tokenize([data.validation.examples[0].anchor]))
        with torch.inference_mode(False):
            result["merge_difference"] = merge_adapters(loaded.model, sample)
    return result | {"seconds": time.monotonic() - began}
