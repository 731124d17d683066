"""Capture an encoder: choose its graph's inputs, and trace it once with dynamic batch size and length."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from ftool_export.capture.attention import attention_at_the_source
from ftool_export.capture.torch_export import (
    BATCH,
    OUTPUT,
    SEQUENCE,
    Captured,
    GraphContract,
    export_graph,
)
from ftool_export.checkpoints.encoder import LoadedEncoder
from ftool_export.errors import ExportError
from ftool_export.networks.encoder import EncoderNetwork
from ftool_runtime.text.encode import Tokens

log = logging.getLogger(__name__)

# torch.export makes sizes 0 and 1 constants; 2 and 9 stay dynamic.
_TRACED_BATCH, _TRACED_LENGTH = 2, 9
_ALWAYS: Final = ("input_ids", "attention_mask")


def graph_inputs(loaded: LoadedEncoder, rows: Sequence[Tokens]) -> tuple[str, ...]:
    """Return the names of the graph's inputs, in the order of the network's forward.

    Token types are an input only if they change an answer to `rows`, the task's own inputs: if the tokenizer gives them
    types other than 0, or the network treats zeros differently from no types (GPT-2 looks zeros up among its words).
    """
    if "token_type_ids" not in loaded.input_names:
        return _ALWAYS
    inputs = loaded.batch(rows)
    without = {name: inputs[name] for name in _ALWAYS}
    with torch.inference_mode():
        same = torch.equal(loaded.model(**inputs), loaded.model(**without))
    return _ALWAYS if same else (*_ALWAYS, "token_type_ids")


def capture_encoder(network: EncoderNetwork, input_names: Sequence[str], vocabulary: int) -> Captured:
    """Capture `network`, which must be in evaluation mode, as the graph "model"; the network is not changed.

    The graph takes int64 (batch, sequence) and gives "logits", float32 (batch, width) or (batch, sequence, width).

    Args:
        network: forward(input_ids, attention_mask, token_type_ids=None) -> logits.
        input_names: the names of the graph's inputs: the first two or three of the forward's.
        vocabulary: the number of token ids; the trace uses random ids below it.

    Raises:
        ExportError: the network is in training mode, or the exporter can't capture it.
    """
    if any(part.training for part in network.modules()):
        raise ExportError("the model is in training mode, so dropout would be exported: call .eval() first")
    axes = {0: torch.export.Dim(BATCH), 1: torch.export.Dim(SEQUENCE)}
    inputs = _traced_inputs(input_names, vocabulary)
    with attention_at_the_source(network) as emitted, _without_cache(network):
        model = export_graph(network, inputs, input_names, [OUTPUT], tuple(axes for _ in input_names))
    nodes = sum(node.op_type == "MultiHeadAttention" for node in model.graph)
    log.info("captured %d nodes, %d fused attentions", model.graph.num_nodes(), nodes)
    contract = GraphContract(
        inputs=dict.fromkeys(input_names, (0, 1)),
        outputs=(OUTPUT,),
        operators={"MultiHeadAttention": nodes},
        dynamic=(0, 1) if network.per_token else (0,),
        width=network.width,
    )
    return Captured({"model": model}, {"model": contract}, "fused" if emitted.nodes else "plain")


def _traced_inputs(names: Sequence[str], vocabulary: int) -> tuple[Tensor, ...]:
    shape = (_TRACED_BATCH, _TRACED_LENGTH)
    ids = torch.randint(0, vocabulary, shape, generator=torch.Generator().manual_seed(0))
    values = {
        "input_ids": ids,
        "attention_mask": torch.ones(shape, dtype=torch.int64),
        "token_type_ids": torch.zeros(shape, dtype=torch.int64),
    }
    return tuple(values[name] for name in names)


@contextmanager
def _without_cache(model: nn.Module) -> Iterator[None]:
    """Within the block, switch off the key-value cache that decoders build, which one forward pass does not need."""
    configs = [part.config for part in model.modules() if isinstance(part, PreTrainedModel)]
    caching = [config for config in configs if getattr(config, "use_cache", False)]
    for config in caching:
        config.use_cache = False
    try:
        yield
    finally:
        for config in caching:
            config.use_cache = True
