"""`LoadedModel`, a checkpoint with everything that export and training need; reading ftool's facts in config.json."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from ftool_export.checkpoints.files import quiet_transformers
from ftool_export.checkpoints.pretrained import read_licence
from ftool_export.checkpoints.weights import allow_as_by_umask
from ftool_export.errors import CheckpointError
from ftool_export.tokenizers.settings_file import settle_tokenizer_config
from ftool_export.tokenizers.source import pad_with_special_token
from ftool_runtime.bundle.manifest import GenerationContract, InputContract

log = logging.getLogger(__name__)

_FACTS: Final = "ftool"  # the key in config.json for facts that Hugging Face has no field for
_NO_LIMIT: Final = 1_000_000  # tokens; tokenizers without a limit say 1e30
_DEFAULT_LIMIT: Final = 512  # tokens, if neither tokenizer nor positions limit them; T5 was trained on 512
_TOKENS_PER_BATCH: Final = 4096
_TOKENS_PER_THREAD: Final = 512  # measured in docs/performance.md, "Training speed"


def tokens_per_batch(device: torch.device) -> int:
    """Return how many tokens, padding included, a network on `device` should read at a time if nothing is learnt.

    On a CPU small batches are faster: their rows have more similar lengths, and activations stay in the caches.
    """
    if device.type != "cpu":
        return _TOKENS_PER_BATCH
    return min(_TOKENS_PER_BATCH, _TOKENS_PER_THREAD * torch.get_num_threads())


@dataclass(frozen=True, kw_only=True)
class LoadedModel(ABC):
    """A network in evaluation mode and float32, with the tokenizer and the other facts of its checkpoint.

    Attributes:
        task: Hugging Face's name of the task, such as "text-classification".
        model: the network.
        tokenizer: a fast Hugging Face tokenizer.
        max_length: the largest number of tokens, special tokens included: of an input, or for decoders of prompt and
            answer together.
        prefix: text to put before every input text.
        base: hub id or folder name (never a path) of the model from which ftool trained this one, or of this model if
            ftool did not train it; named on the model card.
        licence: the licence of `base`.
        training_sha256: SHA-256 of the training data, if known.
        training_examples: the number of training examples, if known.
        tuned_on: the fingerprint of the examples on which training tuned numbers to the network's answers, such as the
            thresholds of labels; None if it tuned none, or an older ftool trained the model.
    """

    task: str
    model: nn.Module
    tokenizer: Any
    max_length: int
    prefix: str = ""
    base: str = ""
    licence: str | None = None
    training_sha256: str | None = None
    training_examples: int | None = None
    tuned_on: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "base", checkpoint_name(self.base))
        if self.vocabulary is not None:
            count = sum(number >= self.known_ids for number in self.tokenizer.get_vocab().values())
            log.warning(
                "%s: %d %s of its tokenizer %s no embedding; a text that holds one is refused",
                self.base,
                count,
                *(("token", "has") if count == 1 else ("tokens", "have")),
            )
        pad = self.tokenizer.pad_token_id
        if pad is not None and pad >= self.known_ids:  # masked, so that any known token does
            pad_with_special_token(self.tokenizer, self.known_ids, self.base)
            self.config.pad_token_id = self.tokenizer.pad_token_id

    @property
    def config(self) -> Any:
        """The network's Hugging Face configuration."""
        return self.model.config

    @property
    def has_tuned_numbers(self) -> bool:
        """Whether answers depend on numbers that training tunes on examples, such as the thresholds of labels."""
        return False

    @property
    def pretrained(self) -> Any:
        """The part of the network that transformers saves and loads."""
        return self.model

    @cached_property
    def known_ids(self) -> int:
        """The number of token ids, from 0, that the tokenizer makes and the network has embeddings for."""
        return self._highest_id + 1 if self.vocabulary is None else self.vocabulary

    @cached_property
    def vocabulary(self) -> int | None:
        """The number of token ids that the network has embeddings for; None if the tokenizer makes no others."""
        rows = getattr(self.pretrained.get_input_embeddings(), "num_embeddings", None)
        return None if rows is None or rows > self._highest_id else int(rows)

    @cached_property
    def _highest_id(self) -> int:
        return int(max(self.tokenizer.get_vocab().values()))

    @property
    def known_special_tokens(self) -> list[str]:
        """The tokenizer's special tokens that the network has embeddings for."""
        special = zip(self.tokenizer.all_special_ids, self.tokenizer.all_special_tokens, strict=True)
        return [token for number, token in special if number < self.known_ids]

    @property
    def standard_output(self) -> str:
        """The name of the graph's output that the runtime reads, in a bundle with standard names."""
        return "logits"

    @property
    @abstractmethod
    def family(self) -> str:
        """The architecture's family: "encoder", "encoder-decoder" or "decoder"."""

    def input_contract(self, names: Sequence[str]) -> InputContract:
        """Return the manifest's record of how a text becomes the graph's inputs, whose names are `names`."""
        return InputContract(
            names=tuple(names),
            max_length=self.max_length,
            pad_token_id=self.tokenizer.pad_token_id,
            pad_token_type_id=self.tokenizer.pad_token_type_id,
            prefix=self.prefix,
            truncation_side=self.tokenizer.truncation_side,
            split_special_tokens=bool(getattr(self.tokenizer, "split_special_tokens", False)),
            vocabulary=self.vocabulary,
        )

    @property
    def reads_padding(self) -> bool:
        """Whether padding in a batch changes a row's outputs in PyTorch."""
        return False

    @abstractmethod
    def reference_ids(self, given: Any) -> list[list[int]] | None:
        """Return the token ids of each token row of the input `given`, from transformers' tokenizer.

        The result is None if the runtime tokenises this input differently on purpose. Raises InputError for an invalid
        input.
        """

    def reads(self, text: str) -> bool:
        """Return whether the tokenizer makes any token of `text`, special tokens that it adds left aside."""
        added = set(self.tokenizer.all_special_ids) - {self.tokenizer.unk_token_id}
        return not added.issuperset(self.tokenizer(text, verbose=False)["input_ids"])

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of `text` after the model's prefix, special tokens included."""
        return len(self.tokenizer(self.prefix + text, verbose=False)["input_ids"])

    def manifest_fields(self) -> dict[str, Any]:
        """Return the arguments of `Manifest` that depend on the task: labels, or the contract for other answers."""
        return {"labels": ()}

    def generation_contract(self, caches: Any) -> GenerationContract | None:
        """Return the manifest's record of how to run the decoder's graph, whose `caches` are "in_place" or "joined".

        None for models that generate no text.
        """
        del caches
        return None

    def config_fields(self) -> dict[str, Any]:
        """Return the fields of config.json that depend on the task."""
        return {}

    def save_tokenizer(self, folder: Path) -> None:
        """Write the tokenizer without truncation and padding, which the runtime does itself, as set in the manifest."""
        self.tokenizer.backend_tokenizer.no_truncation()
        self.tokenizer.backend_tokenizer.no_padding()
        self.tokenizer.save_pretrained(folder)

    def facts(self) -> dict[str, Any]:
        """Return facts for which Hugging Face has no fields; `save` stores these facts under "ftool" in config.json."""
        return {
            "task": self.task,
            "max_length": self.max_length,
            "prefix": self.prefix,
            "base": self.base,
            "licence": self.licence,
            "training_data": {"sha256": self.training_sha256, "examples": self.training_examples},
            "tuned_on": self.tuned_on,
        }

    def save(self, folder: Path) -> None:
        """Write network and tokenizer into the existing, empty `folder`, so that transformers' own classes load them.

        The model's `facts()` are stored under "ftool" in config.json. Raises OSError.
        """
        for name, value in self.config_fields().items():
            setattr(self.config, name, value)
        setattr(self.config, _FACTS, self.facts())
        with quiet_transformers():
            self.pretrained.save_pretrained(folder)
        allow_as_by_umask(folder)
        self.save_tokenizer(folder)

    def write_files(self, folder: Path) -> None:
        """Write the files of a bundle that are in Hugging Face's format: tokenizer and config.json. Raises OSError."""
        self.save_tokenizer(folder)
        settle_tokenizer_config(folder)
        for name, value in self.config_fields().items():
            setattr(self.config, name, value)
        if facts := read_facts(self.config):
            setattr(self.config, _FACTS, {**facts, "base": self.base})
        self.config.save_pretrained(folder)

    def write_standard_files(self, folder: Path) -> None:
        """Write the files that only other libraries read, besides those of `write_files`. Raises OSError."""
        del folder  # most models need no others


def read_facts(config: Any) -> dict[str, Any]:
    """Return the facts that `LoadedModel.save` wrote to config.json; empty if ftool did not write the checkpoint."""
    return getattr(config, _FACTS, None) or {}


def origin_fields(facts: dict[str, Any], source: str) -> dict[str, Any]:
    """Return the arguments of `LoadedModel` for its origin: base, licence and data, from `facts` or the model card."""
    training = facts.get("training_data") or {}
    return {
        "base": facts.get("base", source),
        "licence": facts["licence"] if "licence" in facts else read_licence(source),
        "training_sha256": training.get("sha256"),
        "training_examples": training.get("examples"),
        "tuned_on": facts.get("tuned_on"),
    }


def label_fields(labels: Sequence[str]) -> dict[str, Any]:
    """Return the fields of config.json that hold labels; `labels` are in the order of the logits."""
    return {
        "id2label": dict(enumerate(labels)),
        "label2id": {label: index for index, label in enumerate(labels)},
    }


def checkpoint_name(source: str) -> str:
    """Return a checkpoint's name for publication: a hub id unchanged, or a folder's name without its path."""
    if not source:
        return ""
    folder = Path(source).expanduser()
    is_hub_id = len(folder.parts) <= 2 and not folder.is_absolute() and not source.startswith((".", "~"))
    return source if is_hub_id and not folder.is_dir() else folder.resolve().name


def longest_input(network: nn.Module, tokenizer: Any, stated: int | None = None) -> int:
    """Return the largest number of tokens, special tokens included, of an input that a checkpoint can read.

    This is the smallest of the tokenizer's limit, the size of the position table, and the limit `stated` in the
    checkpoint's files. Without any limit, the result is 512, and a warning says so.
    """
    found = [tokenizer.model_max_length, stated, *_positions(network)]
    limits = [int(limit) for limit in found if limit and 0 < limit < _NO_LIMIT]
    if limits:
        return min(limits)
    log.warning(
        "%s: no file limits the length of inputs, so they are cut to %d tokens; for another limit write "
        "model_max_length into its tokenizer_config.json",
        tokenizer.name_or_path,
        _DEFAULT_LIMIT,
    )
    return _DEFAULT_LIMIT


def trained_length(
    base: str,
    network: nn.Module,
    tokenizer: Any,
    wanted: int | None,
    *,
    exact: bool,
    stated: int | None = None,
) -> int:
    """Return the `max_length` (in tokens) of a model that is about to be trained from `base`.

    Args:
        base: the checkpoint's name, for messages.
        network: the checkpoint's network.
        tokenizer: the checkpoint's tokenizer.
        wanted: the requested length; None uses the result of `longest_input`.
        exact: whether to use `wanted` if the network has enough positions, and to raise CheckpointError if not.
            Otherwise `wanted` is capped at the result of `longest_input`.
        stated: the limit in the checkpoint's files; None if they state no limit.

    Raises:
        CheckpointError: `exact` is set, and the network has positions for fewer tokens than `wanted`.
    """
    longest = longest_input(network, tokenizer, stated)
    if wanted is None or (wanted > longest and not exact):
        return longest
    if wanted <= longest:
        return wanted
    positions = min(_positions(network), default=wanted)
    if positions < wanted:
        raise CheckpointError(
            f"train.max_length is {wanted}, but {base} has positions for {positions} tokens; set it to {positions} or "
            "less, or choose another base"
        )
    log.warning(
        "%s: its files limit inputs to %d tokens; train.max_length sets %d, for which it has positions",
        base,
        longest,
        wanted,
    )
    return wanted


def _positions(network: nn.Module) -> list[int]:
    """Return the sizes of the network's position tables without unused entries; empty if its positions are relative.

    XLNet's configuration has -1 as the size of the table, because positions are relative.
    """
    named = (getattr(network.config, name, None) for name in ("max_position_embeddings", "n_positions"))
    return [int(positions) - _first_position(network) for positions in named if positions and positions > 0]


def _first_position(network: nn.Module) -> int:
    """Return the first index of the position table that the network uses: in RoBERTa, the one after the padding id."""
    for name, module in network.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            return 0 if module.padding_idx is None else module.padding_idx + 1
    return 0
