"""The training of an embedder: all weights, or adapters that are merged afterwards, with an account of it."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ftool.data.similarity import SimilarityData
from ftool.recipe import TrainSettings
from ftool_export.embedder import LoadedEmbedder

from .embedder_finetune import finetune_embedder
from .lora import merged, with_adapters


def train_embedder(
    loaded: LoadedEmbedder,
    data: SimilarityData,
    settings: TrainSettings,
    *,
    metric: str,
    folder: Path,
    resume_from: Path | None,
) -> dict[str, Any]:
    """Train the network of `loaded` in place, with checkpoints in `folder`; what happened, as plain JSON."""
    began = time.monotonic()
    model = loaded.model
    if settings.method == "lora":
        model.encoder = with_adapters(
            model.encoder, settings, leave_out=lambda name, _: name.startswith("pooler")
        )
    result = asdict(
        finetune_embedder(loaded, data, settings, metric=metric, folder=folder, resume_from=resume_from)
    )
    if settings.method == "lora":
        result["merge_difference"] = _merge_adapters(loaded, data.validation.examples[0].anchor)
    return result | {"seconds": time.monotonic() - began}


def _merge_adapters(loaded: LoadedEmbedder, text: str) -> float:
    """Fold the encoder's adapters into it; the largest change of a vector's numbers by it."""
    model = loaded.model
    device = next(model.parameters()).device
    sample = {name: value.to(device) for name, value in loaded.batch(loaded.tokenize([text])).items()}

    def vectors(encoder: nn.Module) -> Tensor:
        model.encoder = encoder
        model.eval()
        answer: Tensor = model(**sample)
        return answer

    with torch.inference_mode(False):
        model.encoder, difference = merged(model.encoder, vectors)
    model.requires_grad_(True)
    return difference
