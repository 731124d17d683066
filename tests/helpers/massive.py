"""Give a decoder massive activations: scale two channels of a layer up before a product and down after, exactly."""

import copy
from dataclasses import replace

import torch

from ftool_export.checkpoints.generator import LoadedGenerator

CHANNELS = [3, 17]


def with_large_mlp_channels(loaded: LoadedGenerator, factor: float = 300.0) -> LoadedGenerator:
    """Return a Llama that gives the same answers, in which two channels of every MLP are `factor` times larger."""
    model = copy.deepcopy(loaded.model)
    with torch.no_grad():
        for layer in model.model.layers:
            layer.mlp.up_proj.weight[CHANNELS] *= factor
            layer.mlp.down_proj.weight[:, CHANNELS] /= factor
    return replace(loaded, model=model)


def with_large_norm_channels(loaded: LoadedGenerator, factor: float = 50.0) -> LoadedGenerator:
    """Return a Llama that gives the same answers, in which two channels of every norm are `factor` times larger."""
    model = copy.deepcopy(loaded.model)
    with torch.no_grad():
        for layer in model.model.layers:
            attention, mlp = layer.self_attn, layer.mlp
            _move(layer.input_layernorm, [attention.q_proj, attention.k_proj, attention.v_proj], factor)
            _move(layer.post_attention_layernorm, [mlp.gate_proj, mlp.up_proj], factor)
        _move(model.model.norm, [model.lm_head], factor)
    return replace(loaded, model=model)


def with_large_values(loaded: LoadedGenerator, factor: float = 300.0) -> LoadedGenerator:
    """Return a Llama that gives the same answers, in which a channel of every value head is `factor` times larger."""
    model = copy.deepcopy(loaded.model)
    config = model.config
    size = config.hidden_size // config.num_attention_heads
    heads = range(config.num_attention_heads)
    groups = config.num_attention_heads // config.num_key_value_heads
    with torch.no_grad():
        for layer in model.model.layers:
            for head in heads:
                layer.self_attn.o_proj.weight[:, head * size + 1] /= factor
            for group in range(len(heads) // groups):
                layer.self_attn.v_proj.weight[group * size + 1] *= factor
    return replace(loaded, model=model)


def _move(norm: torch.nn.Module, readers: list[torch.nn.Linear], factor: float) -> None:
    norm.weight[CHANNELS] *= factor
    for reader in readers:
        reader.weight[:, CHANNELS] /= factor


def with_unmovable_channels(loaded: LoadedGenerator, layer: int, size: float = 300.0) -> LoadedGenerator:
    """Return a GPT-2 with two channels of `size` between the two products of one MLP.

    The activation function is between the products, so that no scale can be moved. The second product's bias takes away
    what the channels add, so that the answers are those of a model without these channels.
    """
    model = copy.deepcopy(loaded.model)
    with torch.no_grad():
        mlp = model.transformer.h[layer].mlp
        mlp.c_fc.weight[:, CHANNELS] = 0
        mlp.c_fc.bias[CHANNELS] = size
        mlp.c_proj.bias -= size * mlp.c_proj.weight[CHANNELS].sum(0)
    return replace(loaded, model=model)
