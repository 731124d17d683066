"""Read the weights of a Hugging Face checkpoint into a network, and check that they fit the network."""

import logging
import re
import stat
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from ftool_export.checkpoints.adapters import merged_weights, read_adapter
from ftool_export.checkpoints.files import first_line, quiet_transformers
from ftool_export.checkpoints.pretrained import quantised
from ftool_export.errors import CheckpointError

log = logging.getLogger(__name__)

# What torch.compile, DataParallel and FSDP put before or between the names of the weights that they wrap.
_WRAPPER = "_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module"
_WRAPPERS = re.compile(rf"^(?:(?:{_WRAPPER}|module)\.)+|(?<=\.)(?:(?:{_WRAPPER})\.)+")
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
    if any(_WRAPPERS.search(name) for name in info["unexpected_keys"]):
        network, info = _load(auto_class, source, config, key_mapping={_WRAPPERS.pattern: ""})
        log.info("%s: the names of its weights are read without the prefixes of wrapped models", source)
    if any(name.endswith(_QUANTISED) for name in info["unexpected_keys"]):
        raise CheckpointError(quantised(source, "its weights have scales"))
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
            f"{source}: the weights of {', '.join(lacking[:3])} are missing in model.safetensors; fetch or write the "
            "checkpoint again"
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


def _load(auto_class: Any, source: str, config: Any, **options: Any) -> tuple[nn.Module, Any]:
    adapter = read_adapter(source)
    if adapter is not None:
        with merged_weights(adapter, auto_class, config, _load) as folder:
            return _load(auto_class, folder, config, **options)
    try:
        with quiet_transformers():
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
        raise CheckpointError(
            f"{source}: model.safetensors could not be read ({first_line(error)}); "
            "other weight files are not read, because unpickling them can run code"
        ) from error
    except ValueError as error:  # an architecture without this kind of head
        raise CheckpointError(f"{source}: {first_line(error)}") from error
    return loaded


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
