"""Running the torch network over many rows of tokens: batches of like length, outputs in the rows' order."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ftool_export.checkpoints.encoder import LoadedEncoder
from ftool_runtime.session.batching import cut_into_runs
from ftool_runtime.session.encoder_engine import Outputs
from ftool_runtime.text.encode import Tokens

_TOKENS_PER_BATCH = 4096  # padding included; on two CPU cores larger batches are no faster


def compute_outputs(loaded: LoadedEncoder, rows: Sequence[Tokens]) -> Outputs:
    """The network's outputs in the order of `rows`: float32 (width,) each, or (tokens, width) where per token."""
    if not loaded.model.per_token:
        return run_network(loaded, rows, loaded.model.forward, loaded.model.width)
    outputs: list[NDArray[np.float32]] = [np.empty(0, dtype=np.float32)] * len(rows)
    for run, values in _batches(loaded, rows, loaded.model.forward):
        for position, value in zip(run, values, strict=True):
            outputs[position] = value[: len(rows[position].ids)].copy()
    return outputs


def run_network(
    loaded: LoadedEncoder,
    rows: Sequence[Tokens],
    step: Callable[..., Tensor],
    width: int,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """What `step`, a part of the network, makes of each row: float32 (rows, width), written into `out` if given."""
    results = np.empty((len(rows), width), dtype=np.float32) if out is None else out
    for run, values in _batches(loaded, rows, step):
        results[run] = values
    return results


def _batches(loaded: LoadedEncoder, rows: Sequence[Tokens], step: Callable[..., Tensor]) -> Any:
    """Positions of rows and what `step` made of them, longest first: memory runs out at once or never."""
    device = next(loaded.model.parameters()).device
    was_training = loaded.model.training
    loaded.model.eval()
    try:
        with torch.inference_mode():
            for run in cut_into_runs([len(row.ids) for row in rows], _TOKENS_PER_BATCH):
                inputs = loaded.batch([rows[position] for position in run])
                values = step(**{name: value.to(device) for name, value in inputs.items()})
                yield run, values.float().cpu().numpy()
    finally:
        loaded.model.train(was_training)
