"""Read the files of a Hugging Face checkpoint, given as a folder or hub id. Errors say how to fix the problem."""

import hashlib
import logging
from collections.abc import Mapping
from typing import Any

import torch
from huggingface_hub import ModelCard
from huggingface_hub.errors import StrictDataclassError
from torch import nn
from transformers import AutoConfig

from ftool_export.checkpoints.adapters import holder, read_adapter
from ftool_export.checkpoints.files import find_file, first_line, read_json
from ftool_export.checkpoints.places import ADAPTER_FILE, require_checkpoint
from ftool_export.checkpoints.setfit import HEAD_FILE
from ftool_export.errors import CheckpointError
from ftool_export.networks.ngrams import NgramConfig  # its architecture becomes known, too
from ftool_runtime.json_reader import JsonError
from ftool_runtime.json_reader import read_json as parse_json

log = logging.getLogger(__name__)

_TASKS: Mapping[str, tuple[str, ...]] = {  # by the ending of the name of the model's class in transformers
    "ForSequenceClassification": ("text-classification",),
    "ForTokenClassification": ("token-classification",),
    "ForQuestionAnswering": ("question-answering",),
    "ForQuestionAnsweringSimple": ("question-answering",),
    "ForCausalLM": ("text-generation",),
    "LMHeadModel": ("text-generation",),
    "ForConditionalGeneration": ("summarization", "translation"),
    "ForMultipleChoice": (),
}


_SIZES: Mapping[
    str, tuple[int, int]
] = {  # from and to; transformers knows them by these names in all architectures
    "num_hidden_layers": (1, 1_000),
    "num_attention_heads": (1, 10_000),
    "hidden_size": (1, 1_000_000),
    "intermediate_size": (1, 10_000_000),
    "vocab_size": (1, 10_000_000),
    "max_position_embeddings": (-1, 100_000_000),  # -1: any number
    "type_vocab_size": (0, 100_000),
    "num_labels": (1, 1_000_000),
}


def weights_sha256(model: nn.Module) -> str:
    """Return the SHA-256, in hex, of all parameters and their names; it does not depend on the machine."""
    digest = hashlib.sha256()
    for name, parameter in sorted(model.named_parameters()):
        digest.update(f"{name} {parameter.dtype} {tuple(parameter.shape)}\n".encode())
        digest.update(parameter.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def read_config(source: str) -> Any:
    """Read the configuration of a checkpoint (a folder or hub id). Raises CheckpointError if that is not possible."""
    require_checkpoint(source)
    adapter, root = read_adapter(source), holder(source, "config.json")
    content = read_json(root, "config.json")
    if isinstance(content, dict):  # before transformers makes a name for each label
        _check_size(root, "num_labels", content.get("num_labels"))
    try:
        config = AutoConfig.from_pretrained(root, trust_remote_code=False)
    except (OSError, ValueError, TypeError, AttributeError, KeyError, StrictDataclassError) as error:
        raise CheckpointError(
            f"{root}: no model configuration could be read ({first_line(error)})"
        ) from error
    _check_sizes(root, config)
    _reset_choices(config)
    if written := getattr(config, "quantization_config", None):
        method = written.get("quant_method") if isinstance(written, dict) else None
        raise CheckpointError(
            quantised(root, f"quantization_config in config.json{f': {method}' if method else ''}")
        )
    if adapter is not None and root != source:
        config.ftool = {}  # the base's own facts
        adapter.fit(config)
    return config


def _check_sizes(root: str, config: Any) -> None:
    """Raise CheckpointError for a number of layers, tokens or dimensions that no network has."""
    for part in _parts(config):
        for name in _SIZES:
            size = getattr(part, name, None)
            if not (name == "num_hidden_layers" and size == 0 and part.model_type == NgramConfig.model_type):
                _check_size(root, name, size)


def _check_size(root: str, name: str, size: object) -> None:
    smallest, largest = _SIZES[name]
    if isinstance(size, int) and not smallest <= size <= largest:
        raise CheckpointError(
            f"{root}: {name} in config.json must be from {smallest} to {largest:,}, got {size}; fetch or write the "
            "checkpoint again"
        )


def _reset_choices(config: Any) -> None:
    """Set what a network returns to what ftool reads, and let transformers choose how it computes.

    A config.json may name a repository of the hub, from which transformers would load code, or a library that is
    missing here.
    """
    for part in _parts(config):
        part._attn_implementation = None
        part._experts_implementation = None
        part.output_attentions = part.output_hidden_states = False
        part.return_dict = True


def _parts(config: Any) -> list[Any]:
    """Return a configuration and those inside it, such as that of a decoder."""
    inner = (getattr(config, name, None) for name in getattr(config, "sub_configs", {}))
    return [config, *(part for one in inner if one is not None for part in _parts(one))]


def quantised(source: str, sign: str) -> str:
    """Return the message that refuses a checkpoint with quantised weights; `sign` is what shows that they are."""
    return (
        f"{source}: its weights are already quantised ({sign}), and an export quantises full ones; give the "
        "checkpoint in float32, float16 or bfloat16 from which it was made"
    )


def task_of(source: str) -> str | None:
    """Return the task of a checkpoint.

    It is found from an adapter's settings, from ftool's facts in config.json, from sentence-transformers files, or from
    the name of the network's class. The result is None if none of these shows a task, as for an encoder without a head.
    Raises CheckpointError if the configuration can't be read.
    """
    if find_file(source, "config.json") is None and find_file(source, "modules.json") is not None:
        return "feature-extraction"  # old sentence-transformers models have their encoder in a subfolder
    adapter = read_adapter(source)
    if adapter is not None:
        return adapter.task
    config = read_config(source)
    facts = getattr(config, "ftool", None) or {}
    if facts:
        return str(facts.get("task", "text-classification"))
    if find_file(source, "modules.json") is not None:  # a sentence-transformers model
        return "feature-extraction" if find_file(source, HEAD_FILE) is None else "text-classification"
    tasks = _tasks_of_class((config.architectures or [""])[0])
    return tasks[0] if tasks is not None and len(tasks) == 1 else None


def require_task(source: str, config: Any, task: str) -> None:
    """Raise CheckpointError if the files of a checkpoint name another task than `task` for its trained head.

    Named is a task by an adapter's settings, or by the classes in `config.architectures`. Classes without a head, and
    those that transformers does not have, name none.
    """
    adapter = read_adapter(source)
    if adapter is None:
        found = {name: _tasks_of_class(name) for name in config.architectures or ()}
        named = {name: tasks for name, tasks in found.items() if tasks is not None}
        file = "config.json"
    else:
        named = {} if adapter.task is None else {str(adapter.peft_task): (adapter.task,)}
        file = ADAPTER_FILE
    tasks = [one for several in named.values() for one in several]
    if not named or task in tasks:
        return
    use = f"use --task {' or --task '.join(tasks)}, or " if tasks else ""
    raise CheckpointError(
        f"{source}: a model for {' and '.join(tasks) or 'no task of ftool'} ({', '.join(named)} in {file}), not for "
        f"{task}; {use}train a new head on it: ftool train FOLDER --task {task} --base {source}"
    )


def _tasks_of_class(name: str) -> tuple[str, ...] | None:
    """Return the tasks of a class in transformers; None if its name shows no head."""
    return next((tasks for ending, tasks in _TASKS.items() if name.endswith(ending)), None)


def read_card(source: str) -> dict[str, Any]:
    """Return the metadata of the model card; empty if there is no card, or its metadata can't be read."""
    path = find_file(source, "README.md")
    if path is None:
        return {}
    try:
        return dict(ModelCard.load(path, ignore_metadata_errors=True).data.to_dict())
    except ValueError:
        log.warning("%s: its metadata could not be read", path)
        return {}


def read_licence(source: str) -> str | None:
    """Return the licence that a checkpoint's model card names; None if it names none.

    It is an identifier of the hub, such as "apache-2.0", or "other (NAME, LINK)" for another licence. Several are
    joined by " and ": those that one card names, and for an adapter its own and its base's, since a bundle contains
    both. A checkpoint that ftool wrote without a card has the licence of its base. The fields are those of the hub's
    cards: https://huggingface.co/docs/hub/repositories-licenses
    """
    adapter = read_adapter(source)
    sources = (source,) if adapter is None else (source, adapter.base)
    named = [licence for one in dict.fromkeys(sources) for licence in _licences(one)]
    return " and ".join(dict.fromkeys(named)) or None


def _licences(source: str) -> list[str]:
    card = read_card(source)
    stated = card.get("license") or written_facts(source).get("licence")
    named = [one for one in (stated if isinstance(stated, list) else [stated]) if isinstance(one, str)]
    details = [str(card[key]) for key in ("license_name", "license_link") if card.get(key)]
    return [f"other ({', '.join(details)})" if one == "other" and details else one for one in named]


def written_facts(source: str) -> dict[str, Any]:
    """Return the facts that ftool wrote into a checkpoint's config.json; empty if another program wrote it."""
    path = find_file(source, "config.json")
    try:
        content = {} if path is None else parse_json(path.read_bytes(), strict=False)
    except JsonError:
        return {}  # `read_config` refuses it
    return content.get("ftool") or {} if isinstance(content, dict) else {}
