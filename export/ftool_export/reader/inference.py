"""Running the torch network over many windows: batches by length, outputs in the windows' own order."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from ftool_export.reader.checkpoint import LoadedReader
from ftool_runtime.batching import cut_into_runs
from ftool_runtime.token_encoder import Tokens

_TOKENS_PER_BATCH = 4096


def compute_outputs(loaded: LoadedReader, rows: Sequence[Tokens]) -> list[NDArray[np.float32]]:
    """The network's logits of each row, float32 (tokens, 2), in the order of `rows`."""
    outputs: list[NDArray[np.float32]] = [np.empty(0, dtype=np.float32)] * len(rows)
    device = next(loaded.model.parameters()).device
    was_training = loaded.model.training
    loaded.model.eval()
    pad_id = loaded.tokenizer.pad_token_id
    try:
        with torch.inference_mode():
            for run in cut_into_runs([len(row.ids) for row in rows], _TOKENS_PER_BATCH):
                shape = (len(run), max(len(rows[position].ids) for position in run))
                inputs = {
                    "input_ids": torch.full(shape, pad_id),
                    "attention_mask": torch.zeros(shape, dtype=torch.int64),
                    "token_type_ids": torch.zeros(shape, dtype=torch.int64),
                }
                for place, position in enumerate(run):
                    length = len(rows[position].ids)
                    inputs["input_ids"][place, :length] = torch.tensor(rows[position].ids)
                    inputs["attention_mask"][place, :length] = 1
                    if rows[position].type_ids is not None:
                        inputs["token_type_ids"][place, :length] = torch.tensor(rows[position].type_ids)
                given = {name: inputs[name].to(device) for name in loaded.input_names}
                values = loaded.model(**given).float().cpu().numpy()
                for place, position in enumerate(run):
                    outputs[position] = values[place, : len(rows[position].ids)].copy()
    finally:
        loaded.model.train(was_training)
    return outputs
