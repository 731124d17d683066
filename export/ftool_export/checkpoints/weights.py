"""Read the weights of a Hugging Face checkpoint into a network, and check that they fit the network."""

import logging
import stat
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from ftool_export.checkpoints.adapters import merged_weights, read_adapter
from ftool_export.checkpoints.files import first_line, quiet_transformers
from ftool_export.checkpoints.pretrained import quantised
from ftool_export.checkpoints.weight_files import stored_kinds, weight_paths, why_unreadable
from ftool_export.checkpoints.weight_names import (
    adapters_in,
    integers_in,
    prefixes_of,
    renaming,
    shown,
    warn_of_unread,
)
from ftool_export.errors import CheckpointError
from ftool_runtime.errors import FtoolError

log = logging.getLogger(__name__)

_LARGEST_RATIO = 8  # parameters for each stored byte: quantised weights have up to 4, which are refused later
_ALWAYS = 10**8  # parameters beyond these, such as those of a new head with many labels
_QUANTISED = (
    ".qweight",
    ".SCB",
    ".absmax",
    ".weight_scale",
    ".weight_scale_inv",
    ".weight_packed",
    ".qzeros",
)


def read_weights(
    auto_class: Any, source: str, config: Any, *, new_head: bool = False
) -> tuple[nn.Module, list[str]]:
    """Return the network in float32, and the names of the parameters that the checkpoint's files lack.

    Args:
        auto_class: the class of transformers that makes the network, such as AutoModel.
        source: the checkpoint's folder or hub id.
        config: the checkpoint's configuration.
        new_head: whether weights of another shape are left out, if they are those of the head.

    Raises:
        CheckpointError: weights other than those of a head or pooler are missing, or the weights are damaged, not in
            safetensors files or of other shapes than `config` says, or `auto_class` does not support the architecture.
    """
    network, info = _load(auto_class, source, config)
    encoder = f"{network.base_model_prefix}."
    wrong = [one for one in sorted(info["mismatched_keys"]) if not new_head or one[0].startswith(encoder)]
    if wrong:
        raise CheckpointError(_misfit(source, config, encoder, wrong))
    missing = sorted(info["missing_keys"])
    is_encoder = network.base_model is network
    lacking = [
        name
        for name in missing
        if (is_encoder or name.startswith(encoder)) and not name.removeprefix(encoder).startswith("pooler.")
    ]
    if lacking:
        raise CheckpointError(
            f"{source}: the weights of {shown(lacking)} are missing in model.safetensors{_instead(network, info)}; "
            "fetch or write the checkpoint again"
        )
    return network, missing


def read_trained(auto_class: Any, source: str, config: Any, task: str) -> nn.Module:
    """Read a network with a trained head, in float32.

    Raises CheckpointError as `read_weights` does, and if the checkpoint has no trained head for `task`.
    """
    network, fresh = read_weights(auto_class, source, config)
    if fresh:
        raise CheckpointError(
            f"{source} has no trained head for {task.replace('-', ' ')} ({', '.join(fresh[:3])} missing); "
            f"train one on it: ftool train FOLDER --task {task} --base …"
        )
    return network


def allow_as_by_umask(folder: Path) -> None:
    """Give the weight files in `folder` the permissions of its config.json, which are those of the user's umask.

    safetensors makes files that only their owner may read.
    """
    mode = stat.S_IMODE((folder / "config.json").stat().st_mode)
    for path in folder.glob("*.safetensors"):
        path.chmod(mode)


def _load(auto_class: Any, source: str, config: Any) -> tuple[nn.Module, Any]:
    adapter = read_adapter(source)
    if adapter is not None:
        with merged_weights(adapter, auto_class, config, _load) as folder:
            return _load(auto_class, folder, config)
    network, info = _from_files(auto_class, source, config)
    kinds = stored_kinds(source)
    adapters = adapters_in(info["unexpected_keys"])
    if adapters:
        raise CheckpointError(
            f"{source}: {len(adapters)} of its weights are those of an adapter that was not merged into the model "
            f"({shown(adapters)}); save the merged one: model.merge_and_unload().save_pretrained(FOLDER)"
        )
    mapping = renaming(network, info, kinds)
    if mapping:
        network, info = _from_files(auto_class, source, config, key_mapping=mapping)
        log.info("%s: the names of its weights are read without the prefixes of wrapped models", source)
    if any(name.endswith(_QUANTISED) for name in info["unexpected_keys"]):
        raise CheckpointError(quantised(source, "its weights have scales"))
    integers = integers_in(network, kinds, mapping)
    if integers:
        raise CheckpointError(quantised(source, f"{shown(integers)} hold integers"))
    warn_of_unread(source, network, info["unexpected_keys"])
    return network, {**info, "stored": list(kinds)}


def _from_files(auto_class: Any, source: str, config: Any, **options: Any) -> tuple[nn.Module, Any]:
    try:
        with quiet_transformers():
            _refuse_larger_network(auto_class, source, config)
            loaded: tuple[nn.Module, Any] = auto_class.from_pretrained(
                source,
                config=config,
                dtype=torch.float32,
                use_safetensors=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # the caller names them
                **options,
            )
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{source}: {why_unreadable(source, error)}") from error
    except ValueError as error:  # an architecture without this kind of head
        raise CheckpointError(f"{source}: {first_line(error)}") from error
    except FtoolError:
        raise
    except Exception as error:  # transformers does not document what it raises for a wrong config.json
        raise CheckpointError(
            f"{source}: no network can be made from config.json ({type(error).__name__}: {first_line(error)[:200]}); "
            "fetch or write the checkpoint again"
        ) from error
    return loaded


def _refuse_larger_network(auto_class: Any, source: str, config: Any) -> None:
    """Raise CheckpointError if `config` describes a network that is far larger than its weights in the files.

    transformers would fill what the files lack with random numbers: a config.json of some bytes could take all memory.
    """
    stored = sum(path.stat().st_size for path in weight_paths(source))
    make = getattr(auto_class, "from_config", None) or auto_class._from_config  # a class of one architecture
    with torch.device("meta"):
        network = make(config)
    described = sum(parameter.numel() for parameter in network.parameters())
    if stored and described > _ALWAYS + _LARGEST_RATIO * stored:
        raise CheckpointError(
            f"{source}: config.json describes {described:,} parameters, and the files hold {stored:,} bytes of "
            "weights; these files don't belong together: fetch or write the checkpoint again"
        )


def _instead(network: nn.Module, info: Any) -> str:
    """Return what the files hold instead of the missing weights, for an error message."""
    prefixes = prefixes_of(network, info["stored"], info["missing_keys"])
    if prefixes:
        return f", which has weights of these names with the prefixes {' and '.join(prefixes)}"
    others = sorted(info["unexpected_keys"])
    return f", which has {shown(others)} instead" if others else ""


def _misfit(source: str, config: Any, encoder: str, wrong: list[tuple[str, Any, Any]]) -> str:
    """Return the message for weights whose shapes in the file and by `config` differ."""
    name, in_file, expected = wrong[0]
    outputs, labels = in_file[0], config.num_labels
    if all(not name.startswith(encoder) and shape[0] == labels for name, _, shape in wrong):
        named = any(not str(label).startswith("LABEL_") for label in config.id2label.values())
        found = f"names {labels} labels" if named else f"names no labels, which stands for {labels}"
        return (
            f"{source}: id2label in config.json {found}, but the network has {outputs} outputs; name {outputs} labels "
            "there, in the order of the outputs"
        )
    return (
        f"{source}: {name} has the shape {tuple(in_file)} in model.safetensors, but {tuple(expected)} by config.json; "
        "these two files don't belong together: fetch or write the checkpoint again"
    )
