"""Read the files of a Hugging Face checkpoint, given as a folder or hub id. Errors say how to fix the problem."""

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import ModelCard
from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig
from transformers.utils import cached_file
from transformers.utils import logging as hf_logging

from ftool_export.errors import CheckpointError

log = logging.getLogger(__name__)

_TASKS = {  # by the ending of the name of the model's class in transformers
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
    "ForQuestionAnswering": "question-answering",
    "ForCausalLM": "text-generation",
    "LMHeadModel": "text-generation",
}


def find_file(source: str, name: str) -> Path | None:
    """Return the local path of one file of a checkpoint (a folder or hub id), or None if there is no such file."""
    found = cached_file(
        source,
        name,
        _raise_exceptions_for_gated_repo=False,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    return None if found is None else Path(found)


def weights_sha256(model: nn.Module) -> str:
    """Return the SHA-256, in hex, of all parameters and their names; it does not depend on the machine."""
    digest = hashlib.sha256()
    for name, parameter in sorted(model.named_parameters()):
        digest.update(f"{name} {parameter.dtype} {tuple(parameter.shape)}\n".encode())
        digest.update(parameter.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def read_config(source: str) -> Any:
    """Read the configuration of a checkpoint (a folder or hub id). Raises CheckpointError if that is not possible."""
    if not Path(source).is_dir() and (Path(source).is_absolute() or source.count("/") > 1):
        raise CheckpointError(f"{source}: no such folder; give a checkpoint folder or a hub id (owner/name)")
    try:
        return AutoConfig.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{source}: no model configuration could be read ({_first_line(error)})"
        ) from error


def task_of(source: str) -> str | None:
    """Return the task of a checkpoint.

    It is found from ftool's facts in config.json, from sentence-transformers files, or from the name of the network's
    class. The result is None if none of these shows a task, as for an encoder without a head. Raises CheckpointError if
    the configuration can't be read.
    """
    config = read_config(source)
    facts = getattr(config, "ftool", None) or {}
    if facts:
        return str(facts.get("task", "text-classification"))
    if find_file(source, "modules.json") is not None:
        return "feature-extraction"  # a sentence-transformers model
    names = config.architectures or [""]
    return next((task for ending, task in _TASKS.items() if names[0].endswith(ending)), None)


def read_weights(auto_class: Any, source: str, config: Any, **options: Any) -> tuple[nn.Module, list[str]]:
    """Return the network in float32, and the names of the parameters that the checkpoint's files lack.

    Raises CheckpointError if the weights are missing, damaged or not in safetensors files, or if `auto_class` does not
    support the architecture.
    """
    options |= {"dtype": torch.float32, "use_safetensors": True, "output_loading_info": True}
    try:
        with quiet_transformers():
            network, info = auto_class.from_pretrained(source, config=config, **options)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{source}: model.safetensors could not be read ({_first_line(error)}); "
            "other weight files are not read, because unpickling them can run code"
        ) from error
    except ValueError as error:  # an architecture without this kind of head
        raise CheckpointError(f"{source}: {_first_line(error)}") from error
    return network, sorted(info["missing_keys"])


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


def read_licence(source: str) -> str | None:
    """Return the licence that the model card names, or None."""
    path = find_file(source, "README.md")
    if path is None:
        return None
    try:
        licence = ModelCard.load(path, ignore_metadata_errors=True).data.license
    except ValueError:
        log.warning("%s: its metadata could not be read, so the licence is not recorded", path)
        return None
    return licence if isinstance(licence, str) else None


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence transformers' progress bars and warnings, such as its report of missing weights, in a `with` block."""
    verbosity, bar = hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        hf_logging.set_verbosity(verbosity)
        if bar:
            hf_logging.enable_progress_bar()


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
