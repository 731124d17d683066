"""Capture an encoder: choose the graph's inputs, and trace the network once with dynamic batch size and length."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Final

import torch
from torch import nn
from transformers import PreTrainedModel

from ftool_export.capture.attention import attention_at_the_source
from ftool_export.capture.torch_export import BATCH, OUTPUT, SEQUENCE, Captured, Signature
from ftool_export.checkpoints.encoder import LoadedEncoder
from ftool_export.errors import ExportError
from ftool_export.networks.encoder import EncoderNetwork
from ftool_runtime.text.encode import Tokens

log = logging.getLogger(__name__)

_TRACED: Final = (2, 9)  # batch and length; torch.export takes sizes 0 and 1 for constants
_ALWAYS: Final = ("input_ids", "attention_mask")


def graph_inputs(loaded: LoadedEncoder, rows: Sequence[Tokens]) -> tuple[str, ...]:
    """Return the names of the graph's inputs, in the order of the arguments of the network's `forward`.

    Token types are an input only if they change the network's outputs for `rows`, tokenised inputs of the task. Types
    change the outputs if the tokenizer returns types other than 0, or if the network's outputs with types of 0 differ
    from its outputs without types. GPT-2, for example, looks up types in the table of word embeddings.
    """
    if "token_type_ids" not in loaded.input_names:
        return _ALWAYS
    inputs = loaded.batch(rows)
    without = {name: inputs[name] for name in _ALWAYS}
    with torch.inference_mode():
        same = torch.equal(loaded.model(**inputs), loaded.model(**without))
    return _ALWAYS if same else (*_ALWAYS, "token_type_ids")


def capture_encoder(
    network: EncoderNetwork, input_names: Sequence[str], vocabulary: int, parts: Sequence[str] = ()
) -> Captured:
    """Capture `network`, which must be in evaluation mode, as the graph "model"; the network is not changed.

    All inputs of the graph are int64 (batch, sequence). The output "logits" is float32 (batch, width), or
    (batch, sequence, width) for networks with outputs per token.

    Args:
        network: a module with forward(input_ids, attention_mask, token_type_ids=None) -> logits.
        input_names: the names of the graph's inputs: the first two, or all three, arguments of `forward`.
        vocabulary: the number of token ids; the trace uses random ids below this number.
        parts: the names of the network's `parts`, if these are the graph's outputs after "logits".

    Raises:
        ExportError: the network is in training mode, or PyTorch's exporter can't capture the network.
    """
    if any(part.training for part in network.modules()):
        raise ExportError("the model is in training mode, so dropout would be exported: call .eval() first")
    examples = {
        "input_ids": torch.randint(0, vocabulary, _TRACED, generator=torch.Generator().manual_seed(0)),
        "attention_mask": torch.ones(_TRACED, dtype=torch.int64),
        "token_type_ids": torch.zeros(_TRACED, dtype=torch.int64),
    }
    signature = Signature()
    for name in input_names:
        signature.add(name, examples[name], {0: BATCH, 1: SEQUENCE})
    outputs = [OUTPUT, *parts]
    giving = _giving_parts(network) if len(outputs) > 1 else nullcontext()
    with attention_at_the_source(network) as emitted, _without_cache(network), giving:
        model, contract = signature.trace(network, outputs)
    nodes = sum(node.op_type == "MultiHeadAttention" for node in model.graph)
    log.info("captured %d nodes, %d fused attentions", model.graph.num_nodes(), nodes)
    contract = replace(
        contract,
        operators={"MultiHeadAttention": nodes},
        dynamic=(0, 1) if network.per_token else (0,),
        width=network.width,
    )
    return Captured({"model": model}, {"model": contract}, "fused" if emitted.nodes else "plain")


@contextmanager
def _giving_parts(network: EncoderNetwork) -> Iterator[None]:
    """Within the block, let calls of `network` return its output and then the parts that the output is made of."""
    network.forward = network.forward_with_parts
    try:
        yield
    finally:
        del network.forward


@contextmanager
def _without_cache(model: nn.Module) -> Iterator[None]:
    """Within the block, switch off `model`'s key-value cache, which a single forward pass does not need."""
    configs = [part.config for part in model.modules() if isinstance(part, PreTrainedModel)]
    caching = [config for config in configs if getattr(config, "use_cache", False)]
    for config in caching:
        config.use_cache = False
    try:
        yield
    finally:
        for config in caching:
            config.use_cache = True
