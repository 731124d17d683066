"""Find wrappers, unmerged adapters and unused weights by the names of the weights in a checkpoint's files."""

import logging
import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
import transformers

from ftool_export.checkpoints.files import quiet_transformers

log = logging.getLogger(__name__)

# What torch.compile, DataParallel and FSDP put before or between the names of the weights that they wrap.
_WRAPPER = "_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module"
_WRAPPERS = re.compile(rf"^(?:(?:{_WRAPPER}|module)\.)+|(?<=\.)(?:(?:{_WRAPPER})\.)+")
# What peft adds to a network.
_ADAPTERS = re.compile(
    r"\.(?:lora_[A-Za-z]\w*|base_layer|modules_to_save|ia3_l|hada_\w+|lokr_\w+|oft_\w+)(?:\.|$)"
)
# Tables that transformers computes anew, and heads of pre-training that it has no class for (DeBERTa-v3).
_UNUSED = re.compile(
    r"(?:^|\.)(?:position_ids|token_type_ids|inv_freq|num_batches_tracked|(?:attn|attention)\.(?:masked_)?bias)$"
    r"|^(?:lm|mask)_predictions\."
)
_HEADS = (
    "",
    "ForCausalLM",
    "ForMaskedLM",
    "ForMultipleChoice",
    "ForNextSentencePrediction",
    "ForPreTraining",
    "ForQuestionAnswering",
    "ForSeq2SeqLM",
    "ForSequenceClassification",
    "ForTextEncoding",
    "ForTokenClassification",
)  # the endings of the names of transformers' AutoModel classes
_INTEGERS = ("I", "U", "BOOL")  # kinds of numbers in safetensors files
_SHOWN = 3


def renaming(network: Any, info: Mapping[str, Any], stored: Iterable[str]) -> dict[str, str]:
    """Return what to remove from the names of weights, as transformers' `key_mapping`; empty if nothing.

    Removed are the prefixes of wrapped models, and a prefix with which the files have what is missing, as PyTorch
    Lightning writes "model." before each name.
    """
    found = {_WRAPPERS.pattern: ""} if any(_WRAPPERS.search(name) for name in info["unexpected_keys"]) else {}
    plain = {_WRAPPERS.sub("", name) for name in stored}
    prefixes = prefixes_of(network, plain, {*info["missing_keys"]} - plain)
    return found if len(prefixes) != 1 else {**found, f"^{re.escape(prefixes[0])}": ""}


def prefixes_of(network: Any, stored: Iterable[str], missing: Iterable[str]) -> list[str]:
    """Return the prefixes with which `stored` has names of `missing` weights, such as "model."."""
    base = f"{network.base_model_prefix}."
    ends = {f".{name.removeprefix(base)}" for name in missing}
    starts = {
        name[: -len(end) + 1].removesuffix(base) for name in stored for end in ends if name.endswith(end)
    }
    return sorted(starts - {""})


def adapters_in(names: Iterable[str]) -> list[str]:
    """Return the names of weights that belong to an adapter which was not merged into the model."""
    return sorted(name for name in names if _ADAPTERS.search(name))


def warn_of_unread(source: str, network: Any, names: Iterable[str]) -> None:
    """Log which weights of a checkpoint's files nothing reads, if they are not those of a usual other head.

    A checkpoint often has the head of another task than it is read for: that of masked language modelling in an
    encoder, or that of a classifier where the encoder alone is needed.
    """
    base = f"{network.base_model_prefix}."
    rest = sorted(name for name in names if not _UNUSED.search(name))
    if rest:
        usual = _names_in_any_class(network.config)
        rest = [name for name in rest if not usual.intersection((name, name.removeprefix(base)))]
    if rest:
        log.warning(
            "%s: nothing reads %d of the weights in its files (%s), because no %s model has them; if they were "
            "trained, the original's answers are others",
            source,
            len(rest),
            shown(rest),
            network.config.model_type,
        )


def shown(names: Iterable[str]) -> str:
    """Return the first few names, and how many more there are, for a message."""
    known = list(names)
    more = len(known) - _SHOWN
    return ", ".join(known[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def integers_in(network: Any, kinds: Mapping[str, str], mapping: Iterable[str]) -> list[str]:
    """Return the stored names of weights that are integers in the files, but floating-point numbers in the network.

    `kinds` has the kind of number of each stored weight, `mapping` the patterns that are removed from their names.
    """
    base = f"{network.base_model_prefix}."
    floating = {n.removeprefix(base) for n, value in network.named_parameters() if value.is_floating_point()}
    found = []
    for stored, kind in kinds.items():
        name = stored
        for pattern in mapping:
            name = re.sub(pattern, "", name)
        if kind.startswith(_INTEGERS) and name.removeprefix(base) in floating:
            found.append(stored)
    return sorted(found)


def _names_in_any_class(config: Any) -> set[str]:
    """Return the names of weights in all of transformers' classes for the architecture of `config`."""
    found: set[str] = set()
    for head in _HEADS:
        auto_class = getattr(transformers, f"AutoModel{head}")
        try:
            with quiet_transformers(), torch.device("meta"):
                network = auto_class.from_config(config)
        except (ValueError, TypeError, AttributeError, KeyError):  # no such class for the architecture
            continue
        base = f"{network.base_model_prefix}."
        for name in network.state_dict():
            found |= {name, name.removeprefix(base)}
    return found
