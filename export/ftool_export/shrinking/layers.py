"""Keep some of a network's layers, and drop the others."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from torch import nn

from ftool_export.errors import CheckpointError

# The end of a stack's name in a network, and the setting that counts its layers, for networks with two stacks.
_COUNTED_APART: Final[tuple[tuple[str, str], ...]] = (
    ("encoder.block", "num_layers"),  # T5
    ("decoder.block", "num_decoder_layers"),
    ("encoder.layers", "encoder_layers"),  # BART, Marian
    ("decoder.layers", "decoder_layers"),
)


@dataclass(frozen=True, slots=True)
class Stack:
    """A list of a network's layers: its name in the network, and the setting that counts the layers."""

    name: str
    setting: str
    layers: nn.ModuleList


def evenly_spaced(count: int, kept: int) -> list[int]:
    """Return the places of `kept` of `count` layers, from 0, spread evenly: the first is kept, and the last if two are.

    Which layers are kept matters little if the model is trained again (Sajjad et al. 2023, On the Effect of Dropping
    Layers of Pre-trained Transformer Models).
    """
    if kept == 1:
        return [0]
    return [round(place * (count - 1) / (kept - 1)) for place in range(kept)]


def stacks_of(network: Any) -> list[Stack]:
    """Return the stacks of layers of a Hugging Face network: one, or those of an encoder and a decoder.

    Raises CheckpointError if none is found, as in ALBERT, whose layers share their weights.
    """
    config = network.config
    lists = list(_layer_lists(network))
    if getattr(config, "is_encoder_decoder", False):
        found = [
            Stack(name, setting, layers)
            for end, setting in _COUNTED_APART
            for name, layers in lists
            if name.endswith(end) and getattr(config, setting, None) == len(layers)
        ]
    else:
        found = [
            Stack(name, "num_hidden_layers", layers)
            for name, layers in lists
            if getattr(config, "num_hidden_layers", None) == len(layers)
        ]
    if len(found) != (2 if getattr(config, "is_encoder_decoder", False) else 1):
        raise CheckpointError(
            f"the layers of {type(network).__name__} can't be told apart from its other parts, so none can be dropped; "
            "leave --layers out"
        )
    return found


def keep_layers(network: Any, places: Sequence[int] | int) -> Mapping[str, list[int]]:
    """Drop layers of a Hugging Face network, in place; return the places of those that were kept, by stack.

    Args:
        network: the network; its configuration is changed too.
        places: the places of the layers to keep, from 0, or how many to keep, evenly spaced.

    Raises:
        CheckpointError: the network lacks a named layer, or every layer would be kept.
    """
    stacks = stacks_of(network)
    chosen = {stack.name: _chosen(len(stack.layers), places) for stack in stacks}
    for stack in stacks:
        kept, count = chosen[stack.name], len(stack.layers)
        _replace(network, stack.name, nn.ModuleList(stack.layers[place] for place in kept))
        for name, value in _settings_by_layer(network.config, count):
            setattr(network.config, name, [value[place] for place in kept])
        if hasattr(network.config, "attention_types"):  # GPT-Neo's, which `attention_layers` is made from
            network.config.attention_types = [[network.config.attention_layers, 1]]
        setattr(network.config, stack.setting, len(kept))
        if getattr(network.config, "is_encoder_decoder", False) and stack.setting == "encoder_layers":
            network.config.num_hidden_layers = len(kept)
    return chosen


def _layer_lists(network: nn.Module) -> Iterator[tuple[str, nn.ModuleList]]:
    """Yield the outermost lists of modules of one class, with their names."""
    seen: list[str] = []
    for name, module in network.named_modules():
        inside = any(name.startswith(f"{outer}.") for outer in seen)
        if isinstance(module, nn.ModuleList) and not inside and len({type(one) for one in module}) == 1:
            seen.append(name)
            yield name, module


def _chosen(count: int, places: Sequence[int] | int) -> list[int]:
    if isinstance(places, int):
        if not 1 <= places < count:
            raise CheckpointError(
                f"--layers {places}: the model has {count} layers; keep 1 to {count - 1} of them"
            )
        return evenly_spaced(count, places)
    wrong = [place for place in places if not 0 <= place < count]
    if wrong or sorted(set(places)) != list(places) or len(places) == count:
        raise CheckpointError(
            f"--layers {','.join(map(str, places))}: name some of the layers 0 to {count - 1}, in their order"
        )
    return list(places)


def _replace(network: nn.Module, name: str, layers: nn.ModuleList) -> None:
    parent, _, last = name.rpartition(".")
    setattr(network.get_submodule(parent), last, layers)


def _settings_by_layer(config: Any, count: int) -> list[tuple[str, list[Any]]]:
    """Return the settings that have a value for each layer, such as `layer_types`."""
    return [
        (name, value)
        for name, value in config.to_dict().items()
        if isinstance(value, list)
        and len(value) == count
        and name.startswith(("layer", "attention_layers", "no_rope_layers", "mlp_layer"))
    ]
