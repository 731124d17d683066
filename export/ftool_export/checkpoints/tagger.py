"""Taggers (token classification): create them on a base model, read them from any checkpoint, save them."""

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoModelForTokenClassification

from ftool_export.checkpoints.base import label_fields, read_facts
from ftool_export.checkpoints.output_labels import read_labelled_config, read_with_new_head
from ftool_export.checkpoints.pretrained import read_config, require_task
from ftool_export.checkpoints.weights import read_trained
from ftool_export.checkpoints.windowed import WindowedEncoder, base_fields, trained_fields
from ftool_export.errors import CheckpointError
from ftool_export.networks.per_token import TokenTagger
from ftool_export.tokenizers.windows import text_windows
from ftool_runtime.bundle.manifest import EntityContract
from ftool_runtime.errors import nearest
from ftool_runtime.postprocessing.entities import Aggregation
from ftool_runtime.postprocessing.tag_names import outside
from ftool_runtime.text.windows import Window

log = logging.getLogger(__name__)

TASK = "token-classification"

_UNNAMED = "LABEL_"  # the prefix that transformers gives to labels without a name
_OUTSIDE = frozenset(
    ["o", "other", "others", "none", "null", "nil", "out", "outside", "0", "_", "-", "background"]
)
_SMALL_PREFIX = re.compile(r"[bilusemw][-_].")
_PARTS_OF_SPEECH = ({"NOUN", "VERB"}, {"NN", "VB"})  # of Universal Dependencies and the Penn Treebank
_LONGEST = 512  # tokens of a window, if the checkpoint does not say


@dataclass(frozen=True, kw_only=True)
class LoadedTagger(WindowedEncoder):
    """The checkpoint of a tagger.

    Attributes:
        aggregation: the default way to combine the tags of tokens into entities; see `postprocessing.entities`.
    """

    task: str = TASK
    model: TokenTagger
    aggregation: Aggregation = "first"  # training labels the first token of each word

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the tags, in the order of the logits."""
        return self.model.labels

    def windows(self, inputs: Sequence[str]) -> list[list[Window]]:
        """Return the windows of each text, in order."""
        return text_windows(self, inputs, self.stride)

    def manifest_fields(self) -> dict[str, Any]:
        """Return the manifest's tags, and its contract for turning the tags of tokens into entities."""
        return {
            "labels": self.labels,
            "entities": EntityContract(stride=self.stride, aggregation=self.aggregation),
        }

    def config_fields(self) -> dict[str, Any]:
        """Return transformers' fields of config.json for the tags."""
        return label_fields(self.labels)

    def facts(self) -> dict[str, Any]:
        """Return the facts in `WindowedEncoder.facts`, and the aggregation."""
        return {**super().facts(), "aggregation": self.aggregation}


def create_tagger(
    base: str,
    labels: Sequence[str],
    *,
    max_length: int,
    exact_length: bool = False,
    stride: int | None = None,
    base_name: str | None = None,
) -> LoadedTagger:
    """Create a tagger on the encoder of a checkpoint. Its head is new, except for tags that the checkpoint has too.

    Args:
        base: a checkpoint folder or hub id.
        labels: the tags, in the order of the logits.
        max_length: the largest number of tokens of a window, capped at the checkpoint's limit.
        exact_length: whether to raise CheckpointError, instead of capping, if `max_length` exceeds the position table.
        stride: the number of tokens that two neighbouring windows share; None uses a third of the window's length.
        base_name: the name to record as the model's base; None records `base`.

    Raises:
        CheckpointError: the checkpoint can't be read, or `max_length` or `stride` is too large.
    """
    config = read_config(base)
    seems = _seems_outside(config.id2label.values())
    if seems is not None:
        _name_outside(base, config, seems)
    encoder = read_with_new_head(AutoModelForTokenClassification, base, config, labels)
    read = base_fields(
        base,
        encoder,
        config,
        max_length=max_length,
        exact_length=exact_length,
        stride=stride,
        base_name=base_name,
    )
    return LoadedTagger(model=TokenTagger(encoder).eval(), **read)


def load_tagger(source: str | Path, *, outside_label: str | None = None) -> LoadedTagger:
    """Load a tagger from a run/ folder, or from any Hugging Face model for token classification (a folder or hub id).

    `outside_label` is the checkpoint's label for words outside entities, which becomes "O"; None if it is "O" already.
    Raises CheckpointError if there is no model or no such label, or the model has no trained head or no weights in
    safetensors files.
    """
    source = str(source)
    config = read_labelled_config(source)
    require_task(source, config, TASK)
    _check_prefixes(source, [str(name) for name in config.id2label.values()])
    if outside_label is not None:
        _name_outside(source, config, outside_label)
    encoder = read_trained(AutoModelForTokenClassification, source, config, TASK)
    model = TokenTagger(encoder).eval()
    _check_labels(source, model.labels, trained_here=bool(read_facts(config)))
    return LoadedTagger(
        model=model,
        aggregation=read_facts(config).get("aggregation", "first"),
        **trained_fields(source, encoder, config, longest=_LONGEST, overlaps=4),
    )


def _check_prefixes(source: str, labels: Sequence[str]) -> None:
    """Raise CheckpointError if the prefixes of all tags are small letters, which are refused in data of tags too."""
    kinds = [label for label in labels if label.casefold() not in _OUTSIDE]
    small = [label for label in kinds if _SMALL_PREFIX.match(label)]
    if small and small == kinds and any(label.startswith(("b", "i")) for label in small):
        right = f"{small[0][0].upper()}{small[0][1:]}"
        raise CheckpointError(
            f"{source}: its tags ({', '.join(labels[:6])}) begin with small letters, so each would be a kind of entity "
            f"of its own; write them into id2label in its config.json as O and {right}"
        )


def _name_outside(source: str, config: Any, label: str) -> None:
    """Call the label for words outside entities "O".

    Raises CheckpointError if there is no such label, or an "O" besides.
    """
    names = [str(name) for name in config.id2label.values()]
    if label not in names:
        near = nearest(label, names)
        raise CheckpointError(
            f"{source}: none of its labels is {label!r}; "
            + (f"did you mean {near!r}?" if near else f"they are {', '.join(names[:12])}")
        )
    if any(map(outside, names)) and not outside(label):
        raise CheckpointError(
            f'{source}: its label for words outside entities is "O", beside which {label!r} can\'t be one; leave '
            "--outside-label out"
        )
    config.update(label_fields(["O" if name == label else name for name in names]))


def _seems_outside(labels: Iterable[object]) -> str | None:
    """Return the label that seems to mark words outside entities, if no label is "O"."""
    names = [str(label) for label in labels]
    if any(map(outside, names)):
        return None
    return next((name for name in names if name.casefold() in _OUTSIDE), None)


def _check_labels(source: str, labels: Sequence[str], *, trained_here: bool) -> None:
    """Raise CheckpointError if the tags have no names, or if none of the tags is "O".

    Without the tag "O", every word would be part of an entity. This is right for parts of speech, and for a model that
    ftool trained, whose tags are those of its data.
    """
    if all(label.startswith(_UNNAMED) for label in labels):
        raise CheckpointError(
            f"{source} does not name its labels ({', '.join(labels[:3])}); write O, B-… and I-… into id2label in its "
            "config.json"
        )
    if any(outside(label) for label in labels) or trained_here:
        return
    if any(speech <= set(labels) for speech in _PARTS_OF_SPEECH):
        log.warning("%s: no label is O, so every word is answered with its label", source)
        return
    seems = _seems_outside(labels)
    raise CheckpointError(
        f'{source}: none of its labels ({", ".join(labels[:6])}) is "O", so every word would be an entity; name the '
        f"label of words outside entities with --outside-label {seems or 'NAME'}"
    )
