"""Taggers (token classification): create them on a base model, read them from any checkpoint, save them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoModelForTokenClassification

from ftool_export.checkpoints.base import (
    longest_input,
    origin,
    read_facts,
    trained_length,
    window_stride,
)
from ftool_export.checkpoints.encoder import LoadedEncoder
from ftool_export.checkpoints.pretrained import read_config, read_licence, read_weights
from ftool_export.errors import CheckpointError
from ftool_export.networks.per_token import TokenTagger
from ftool_export.tokenizers.source import read_tokenizer
from ftool_export.tokenizers.windows import text_windows
from ftool_runtime.bundle.manifest import EntityContract
from ftool_runtime.postprocessing.entities import Aggregation
from ftool_runtime.text.encode import Tokens
from ftool_runtime.text.windows import Window

_UNNAMED = "LABEL_"  # the prefix that transformers gives to labels without a name
_LONGEST = 512  # tokens of a window, if the checkpoint does not say


@dataclass(frozen=True, kw_only=True)
class LoadedTagger(LoadedEncoder):
    """The checkpoint of a tagger.

    Attributes:
        max_length: the tokens of a window, special ones included; longer texts are cut into several windows.
        stride: the number of tokens that two neighbouring windows of a text share.
        aggregation: how tokens become entities by default, see `postprocessing.entities`.
    """

    task: str = "token-classification"
    model: TokenTagger
    stride: int
    aggregation: Aggregation = "first"  # training labels the first token of each word

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the tags, in the order of the logits."""
        return self.model.labels

    def windows(self, texts: Sequence[str]) -> list[list[Window]]:
        """Return the windows of each text, in order."""
        return text_windows(self, texts, self.stride)

    def rows(self, inputs: Sequence[Any]) -> list[list[Tokens]]:
        """Return the token rows of each text, one per window."""
        return [[window.tokens for window in windows] for windows in self.windows(inputs)]

    def manifest_fields(self) -> dict[str, Any]:
        """Return the manifest's tags, and its contract for turning the tags of tokens into entities."""
        return {
            "labels": self.labels,
            "entities": EntityContract(stride=self.stride, aggregation=self.aggregation),
        }

    def config_fields(self) -> dict[str, Any]:
        """Return the tags in transformers' fields of config.json."""
        return _label_fields(self.labels)

    def facts(self) -> dict[str, Any]:
        """Return the facts of every checkpoint, with the overlap of windows and the aggregation of tokens."""
        return {**super().facts(), "stride": self.stride, "aggregation": self.aggregation}


def create_tagger(
    base: str,
    labels: Sequence[str],
    *,
    max_length: int,
    exact_length: bool = False,
    stride: int | None = None,
    base_name: str | None = None,
) -> LoadedTagger:
    """Create a tagger with a new head on the encoder of a checkpoint.

    Args:
        base: a checkpoint folder or hub id.
        labels: the tags, in the order of the logits.
        max_length: tokens of a window; capped at the checkpoint's limit.
        exact_length: whether to raise, instead of capping, if the checkpoint lacks positions for `max_length`.
        stride: tokens that two neighbouring windows share; a third of the window if None.
        base_name: the name to record instead of `base`.

    Raises:
        CheckpointError: the checkpoint can't be read, or a length does not fit.
    """
    config = read_config(base)
    config.update(_label_fields(labels))
    encoder, _ = read_weights(AutoModelForTokenClassification, base, config, ignore_mismatched_sizes=True)
    tokenizer = read_tokenizer(base, config)
    longest = trained_length(base, encoder, tokenizer, max_length, exact=exact_length)
    return LoadedTagger(
        model=TokenTagger(encoder).eval(),
        tokenizer=tokenizer,
        max_length=longest,
        stride=window_stride(stride, longest),
        base=base_name or base,
        licence=read_licence(base),
    )


def load_tagger(source: str | Path) -> LoadedTagger:
    """Load the tagger in a run/ folder, or in any Hugging Face model for token classification (a folder or hub id).

    Raises CheckpointError if there is no model, its weights are not in safetensors files, or it has no trained head.
    """
    source = str(source)
    config = read_config(source)
    encoder, missing = read_weights(AutoModelForTokenClassification, source, config)
    if missing:
        raise CheckpointError(
            f"{source} has no trained head for token classification ({', '.join(missing[:3])} missing); "
            "train one on it: ftool train FOLDER --task token-classification --base …"
        )
    model = TokenTagger(encoder).eval()
    _check_labels(source, model.labels)
    tokenizer = read_tokenizer(source, config)
    facts = read_facts(config)
    max_length = facts.get("max_length") or min(_LONGEST, longest_input(encoder, tokenizer))
    return LoadedTagger(
        model=model,
        tokenizer=tokenizer,
        max_length=max_length,
        stride=facts.get("stride", max_length // 4),
        aggregation=facts.get("aggregation", "first"),
        prefix=facts.get("prefix", ""),
        **origin(facts, source),
    )


def _label_fields(labels: Sequence[str]) -> dict[str, Any]:
    return {
        "id2label": dict(enumerate(labels)),
        "label2id": {label: index for index, label in enumerate(labels)},
    }


def _check_labels(source: str, labels: Sequence[str]) -> None:
    """Refuse a checkpoint whose tags have no names: with them no word would be in an entity, or every word."""
    if all(label.startswith(_UNNAMED) for label in labels):
        raise CheckpointError(
            f"{source} does not name its labels ({', '.join(labels[:3])}); write O, B-… and I-… into id2label in its "
            "config.json"
        )
