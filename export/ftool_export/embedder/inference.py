"""Running the torch embedder over many rows of tokens: batches of like length, vectors in the rows' order."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ftool_export.embedder.checkpoint import LoadedEmbedder
from ftool_runtime.batching import cut_into_runs
from ftool_runtime.token_encoder import Tokens

_TOKENS_PER_BATCH = 4096  # padding included; on two CPU cores larger batches are no faster


def compute_vectors(loaded: LoadedEmbedder, rows: Sequence[Tokens]) -> NDArray[np.float32]:
    """The network's vectors, float32 (rows, width), in the order of `rows`."""
    model = loaded.model
    vectors = np.empty((len(rows), model.width), dtype=np.float32)
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for run in cut_into_runs([len(row.ids) for row in rows], _TOKENS_PER_BATCH):
                inputs = _padded(loaded, [rows[position] for position in run])
                outputs = model(**{name: value.to(device) for name, value in inputs.items()})
                vectors[run] = outputs.float().cpu().numpy()
    finally:
        model.train(was_training)
    return vectors


def _padded(loaded: LoadedEmbedder, rows: Sequence[Tokens]) -> dict[str, Tensor]:
    columns = {"input_ids": [row.ids for row in rows]}
    if "token_type_ids" in loaded.input_names:
        columns["token_type_ids"] = [row.type_ids or [] for row in rows]
    padded = loaded.tokenizer.pad(columns, padding_side="right", return_tensors="pt")
    return {name: padded[name] for name in loaded.input_names}
