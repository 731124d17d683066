"""Which inputs a graph takes: those that a single text needs, and no others."""

from collections.abc import Sequence
from typing import Final

import torch

from ftool_export.checkpoints.encoder import LoadedEncoder
from ftool_runtime.text.encode import Tokens

_ALWAYS: Final = ("input_ids", "attention_mask")


def graph_inputs(loaded: LoadedEncoder, rows: Sequence[Tokens]) -> tuple[str, ...]:
    """The graph's inputs, in the order of the network's forward.

    Token types are an input only where they change an answer: where the tokenizer marks `rows`, the task's own, with
    another type than 0, or the network takes zeros otherwise than none (GPT-2 looks them up among its words).
    """
    if "token_type_ids" not in loaded.input_names:
        return _ALWAYS
    inputs = loaded.batch(rows)
    without = {name: inputs[name] for name in _ALWAYS}
    with torch.inference_mode():
        same = torch.equal(loaded.model(**inputs), loaded.model(**without))
    return _ALWAYS if same else (*_ALWAYS, "token_type_ids")
