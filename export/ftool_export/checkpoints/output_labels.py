"""The labels of a network's outputs: read them from config.json, and give a network a head for other labels."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import nn

from ftool_export.checkpoints.adapters import holder, read_adapter
from ftool_export.checkpoints.base import label_fields
from ftool_export.checkpoints.files import read_json
from ftool_export.checkpoints.places import require_checkpoint
from ftool_export.checkpoints.pretrained import read_config
from ftool_export.checkpoints.weights import read_weights
from ftool_export.errors import CheckpointError
from ftool_export.networks.encoder import last_linear

log = logging.getLogger(__name__)

_CONFIG = "config.json"
_SHOWN = 6


def read_labelled_config(source: str) -> Any:
    """Read the configuration of a checkpoint (a folder or hub id) whose outputs have labels.

    The result's `id2label` has a string for each of the numbers from 0. Names that are numbers become strings. If
    config.json has only `label2id`, its names are used.

    Raises CheckpointError if the configuration can't be read, the outputs are not numbered from 0, two outputs have one
    label, or a label is neither text nor a number.
    """
    require_checkpoint(source)
    root = holder(source, _CONFIG)
    raw = read_json(root, _CONFIG)
    labels = _labels(f"{root}/{_CONFIG}", raw) if isinstance(raw, dict) else None
    config = read_config(source)
    if labels is not None and (root == source or len(labels) == config.num_labels):
        config.id2label = labels
    adapter = read_adapter(source)
    if adapter is not None and root != source and (outputs := adapter.fit(config)):
        log.warning(
            "%s: an adapter's files don't name its %d outputs, so that they are called %s; to name them otherwise, "
            "copy the config.json of its base to the folder, and write id2label there",
            source,
            outputs,
            _called(config, "in its base"),
        )
    return config


def _called(config: Any, where: str) -> str:
    """Return the names that the outputs have, and where these come from unless they are numbers, for a message."""
    names = [str(config.id2label[index]) for index in range(config.num_labels)]
    listed = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    return listed if all(name.startswith("LABEL_") for name in names) else f"{listed}, as {where}"


def read_with_new_head(auto_class: Any, source: str, config: Any, labels: Sequence[str]) -> nn.Module:
    """Return the network of a checkpoint, in float32, with a head for `labels`, which are in the order of the logits.

    A label that the checkpoint's head knows keeps its weights, wherever they stand in that head. The weights of other
    labels are random. Raises CheckpointError as `read_weights` does.
    """
    network: Any = read_weights(auto_class, source, config, new_head=True)[0]
    config = network.config
    old = last_linear(network, config.num_labels)
    head = nn.Linear(old.in_features, len(labels), bias=old.bias is not None)
    network._init_weights(head)
    rows = {str(name): row for row, name in config.id2label.items()}
    known = {row: rows[label] for row, label in enumerate(labels) if label in rows}
    with torch.no_grad():
        for name, values in head.named_parameters():
            values[[*known]] = old.get_parameter(name)[[*known.values()]]
    network.set_submodule(next(name for name, module in network.named_modules() if module is old), head)
    network.num_labels = len(labels)
    config.update(label_fields(labels))
    if known:
        log.info("%s: its head keeps its weights for %d of %d labels", source, len(known), len(labels))
    return cast(nn.Module, network)


def _labels(path: str, raw: Mapping[str, Any]) -> dict[int, str] | None:
    """Return the labels in config.json by the number of their output, or None if there are none."""
    named, numbers = raw.get("id2label"), raw.get("label2id")
    if not named:
        return _checked(path, "label2id", [(key, name) for name, key in _items(path, "label2id", numbers)])
    labels = _checked(path, "id2label", _items(path, "id2label", named))
    if labels and isinstance(numbers, Mapping):
        wrong = [name for key, name in labels.items() if str(numbers.get(name, key)) != str(key)]
        if wrong:
            log.warning("%s: label2id gives %r another number than id2label, which is used", path, wrong[0])
    return labels


def _items(path: str, where: str, value: object) -> list[tuple[Any, Any]]:
    if value is None:
        return []
    if isinstance(value, Mapping):
        return list(value.items())
    raise CheckpointError(f'{path}: {where} is {value!r}; write an object such as {{"0": "no", "1": "yes"}}')


def _checked(path: str, where: str, items: list[tuple[Any, Any]]) -> dict[int, str] | None:
    if not items:
        return None
    if not all(str(key).isdecimal() for key, _ in items) or (
        {int(key) for key, _ in items} != set(range(len(items)))
    ):
        raise CheckpointError(
            f"{path}: {where} numbers its {len(items)} labels {', '.join(str(key) for key, _ in items)[:80]}; "
            f"number them from 0 to {len(items) - 1}, in the order of the network's outputs"
        )
    labels = {int(key): _label(path, where, key, name) for key, name in items}
    name, count = Counter(labels.values()).most_common(1)[0]
    if count > 1:
        twice = ", ".join(str(key) for key, other in labels.items() if other == name)
        raise CheckpointError(
            f"{path}: {where} names the outputs {twice} all {name!r}; give each output its own label"
        )
    return dict(sorted(labels.items()))


def _label(path: str, where: str, key: object, name: object) -> str:
    if isinstance(name, bool) or not isinstance(name, str | int | float) or not str(name).strip():
        raise CheckpointError(
            f"{path}: {where} names output {key} {name!r}; a label is a text that is not empty"
        )
    return str(name)
