"""Training rows, which are tokenised once, and batches of rows of similar lengths, padded to the longest row."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset, Sampler

from ftool.data.dataset import Example
from ftool.training.generator_rows import TokenRow
from ftool_export.checkpoints.encoder import LoadedEncoder, all_rows
from ftool_export.checkpoints.generator import LoadedGenerator
from ftool_export.checkpoints.windowed import WindowedEncoder
from ftool_runtime.text.encode import Tokens
from ftool_runtime.text.windows import Window

E = TypeVar("E", bound=Example)

IGNORED = -100  # label of tokens that are excluded from the loss, as in torch and transformers
_AT_ONCE = 512  # inputs whose windows and offsets are in memory at a time
_BATCHES_SORTED_TOGETHER = 50  # more batches leave less padding, fewer keep each batch's lengths more mixed


@dataclass(frozen=True, slots=True)
class EncoderRow:
    """One training row of an encoder: token ids, int32 (tokens,), and the row's target.

    With a teacher, also the teacher's outputs, float32 (outputs,) or (tokens, outputs), and, if they are learnt, its
    hidden states, float16 (tokens, layers x hidden).
    """

    ids: NDArray[np.int32]
    type_ids: NDArray[np.int32] | None  # None if the network has no such input
    target: Tensor
    taught: NDArray[np.float32] | None = None
    hidden: NDArray[np.float16] | None = None

    @property
    def tokens(self) -> Tokens:
        """The row as the input of a network."""
        types = None if self.type_ids is None else self.type_ids.tolist()
        return Tokens(self.ids.tolist(), types)

    @classmethod
    def of(cls, tokens: Tokens, target: Tensor) -> Self:
        """Return a row of `tokens` and `target`. Ids become int32 arrays, which need a tenth of the memory of lists."""
        types = tokens.type_ids
        return cls(
            np.array(tokens.ids, np.int32), None if types is None else np.array(types, np.int32), target
        )


class EncoderRows(Dataset[EncoderRow]):
    """A data set of training rows for an encoder; `collate` makes batches of them."""

    def __init__(self, loaded: LoadedEncoder, rows: Sequence[EncoderRow]) -> None:
        self.rows = rows
        self._names = loaded.input_names
        self._padding = {
            "input_ids": loaded.tokenizer.pad_token_id,
            "token_type_ids": getattr(loaded.tokenizer, "pad_token_type_id", 0),
        }

    @property
    def lengths(self) -> list[int]:
        """The number of tokens of each row, including special tokens."""
        return [len(row.ids) for row in self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> EncoderRow:
        return self.rows[index]

    def collate(self, items: Sequence[EncoderRow]) -> dict[str, Tensor]:
        """Return a batch: ids and masks, int64 (items, longest row), padded on the right, and targets as `labels`.

        With a teacher, its outputs are `taught` and its hidden states `hidden`, padded with zeros.
        """
        columns: dict[str, list[Any]] = {
            "input_ids": [row.ids for row in items],
            "token_type_ids": [row.type_ids for row in items],
            "attention_mask": [np.ones_like(row.ids) for row in items],
        }
        batch = {
            name: pad_sequence(
                [torch.from_numpy(column).long() for column in columns[name]],
                batch_first=True,
                padding_value=self._padding.get(name, 0),
            )
            for name in self._names
        }
        taught = {
            name: pad_sequence([torch.from_numpy(getattr(row, name)) for row in items], batch_first=True)
            for name in ("taught", "hidden")
            if getattr(items[0], name) is not None
        }
        return batch | taught | {"labels": self._targets([row.target for row in items])}

    def _targets(self, targets: list[Tensor]) -> Tensor:
        return torch.stack(targets)


def windows_of(loaded: WindowedEncoder, examples: Sequence[E]) -> Iterator[tuple[list[Window], E]]:
    """Yield each example, preceded by its windows; the windows of at most 512 examples are in memory at a time."""
    for first in range(0, len(examples), _AT_ONCE):
        some = examples[first : first + _AT_ONCE]
        yield from zip(loaded.windows([one.input for one in some]), some, strict=True)


def text_rows(loaded: LoadedEncoder, inputs: Sequence[Any], targets: Tensor) -> EncoderRows:
    """Return the training rows of `inputs`, which are texts or pairs of texts, with their `targets`."""
    rows = all_rows(loaded, inputs)
    return EncoderRows(
        loaded, [EncoderRow.of(row, target) for row, target in zip(rows, targets, strict=True)]
    )


class PairRows(Dataset[TokenRow]):
    """A data set of training rows for an encoder-decoder; `collate` makes batches of them."""

    def __init__(self, loaded: LoadedGenerator, rows: Sequence[TokenRow]) -> None:
        self._rows = rows
        self._pad = int(loaded.tokenizer.pad_token_id)
        self._start = loaded.start_token

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> TokenRow:
        return self._rows[index]

    def collate(self, items: Sequence[TokenRow]) -> dict[str, Tensor]:
        """Return a batch of int64 tensors, padded on the right.

        `input_ids` (the sources) and `attention_mask` are (items, longest source). `labels` (the answers) and
        `decoder_input_ids` (the answers shifted right by one token) are (items, longest answer).
        """
        given = [torch.tensor(item.given) for item in items]
        return {
            "input_ids": pad_sequence(given, batch_first=True, padding_value=self._pad),
            "attention_mask": pad_sequence([torch.ones_like(ids) for ids in given], batch_first=True),
            "decoder_input_ids": pad_sequence(
                [torch.tensor([self._start, *item.answer[:-1]]) for item in items],
                batch_first=True,
                padding_value=self._pad,
            ),
            "labels": pad_sequence(
                [torch.tensor(item.answer) for item in items], batch_first=True, padding_value=IGNORED
            ),
        }


def decoder_dataset(rows: Sequence[TokenRow]) -> Any:
    """Return a decoder's rows for TRL: `input_ids` (prompt and answer), and `labels`, which are -100 for the prompt."""
    import datasets

    return datasets.Dataset.from_dict(
        {
            "input_ids": [[*row.given, *row.answer] for row in rows],
            "labels": [[*[IGNORED] * len(row.given), *row.answer] for row in rows],
        }
    )


class SimilarLengths(Sampler[int]):
    """A shuffled order in which neighbours have similar lengths, so that batches need little padding.

    The order depends only on seed and epoch, so a resumed epoch and every process of a distributed run see the same
    order. Transformers' own grouping by length uses the global random generator and does not guarantee this.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self._lengths = lengths
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch whose order `__iter__` yields next; Trainer calls this."""
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
        """Yield batches of rows with similar lengths; a batch that is not full, if any, comes last."""
        span = self._batch_size * _BATCHES_SORTED_TOGETHER
        for start in range(0, len(shuffled), span):
            together = sorted(shuffled[start : start + span], key=lambda index: self._lengths[index])
            for first in range(0, len(together), self._batch_size):
                yield together[first : first + self._batch_size]
