"""Texts as a Trainer takes them: tokenised once, padded batch by batch, batches of like length."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset, Sampler

from ftool_export.classifier import LoadedClassifier
from ftool_export.encoder.loaded import all_rows

_BATCHES_SORTED_TOGETHER = 50  # enough that padding nearly goes, few enough that batches stay mixed


class TokenizedTexts(Dataset[dict[str, Any]]):
    """Texts, or pairs of them, and targets, one example an item; `collate` makes a batch of items."""

    def __init__(self, loaded: LoadedClassifier, inputs: Sequence[Any], targets: Tensor) -> None:
        tokenizer = loaded.tokenizer
        self._names = tuple(n for n in loaded.input_names if n != "attention_mask")
        rows = all_rows(loaded, inputs)
        self._columns: dict[str, list[list[int]]] = {"input_ids": [row.ids for row in rows]}
        if "token_type_ids" in self._names:
            self._columns["token_type_ids"] = [row.type_ids or [] for row in rows]
        self._padding = {
            "input_ids": tokenizer.pad_token_id,
            "token_type_ids": getattr(tokenizer, "pad_token_type_id", 0),
        }
        self._targets = targets

    @property
    def lengths(self) -> list[int]:
        """Tokens of each text, special ones included."""
        return [len(ids) for ids in self._columns["input_ids"]]

    def __len__(self) -> int:
        return len(self._targets)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {name: column[index] for name, column in self._columns.items()} | {
            "labels": self._targets[index]
        }

    def collate(self, items: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        """A batch: ids and masks int64 (items, longest), padded on the right, and the targets."""
        batch = {
            name: pad_sequence(
                [torch.tensor(item[name]) for item in items],
                batch_first=True,
                padding_value=self._padding[name],
            )
            for name in self._names
        }
        ones = [torch.ones(len(item["input_ids"]), dtype=torch.int64) for item in items]
        batch["attention_mask"] = pad_sequence(ones, batch_first=True)
        batch["labels"] = torch.stack([item["labels"] for item in items])
        return batch


class LikeLengths(Sampler[int]):
    """A shuffled order in which neighbours are of like length, so that batches hold little padding.

    The order is a function of seed and epoch alone: a resumed epoch, and every process of a distributed run,
    sees the same one (transformers' own grouping draws from the global generator, and does not).
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self._lengths = lengths
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + self._epoch)
        shuffled = torch.randperm(len(self), generator=generator).tolist()
        batches = list(self._cut(shuffled))
        short = [batches.pop()] if batches and len(batches[-1]) < self._batch_size else []
        order = torch.randperm(len(batches), generator=generator).tolist()
        for batch in [batches[index] for index in order] + short:
            yield from batch

    def _cut(self, shuffled: list[int]) -> Iterator[list[int]]:
        """Batches of like length; a short one, if any, comes last."""
        span = self._batch_size * _BATCHES_SORTED_TOGETHER
        for start in range(0, len(shuffled), span):
            together = sorted(shuffled[start : start + span], key=lambda index: self._lengths[index])
            for first in range(0, len(together), self._batch_size):
                yield together[first : first + self._batch_size]
