"""Training rows and their batches: tokenised once, padded batch by batch, batches of similar length."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset, Sampler

from ftool.training.generator_rows import TokenRow
from ftool_export.checkpoints.encoder import LoadedEncoder, all_rows
from ftool_export.checkpoints.generator import LoadedGenerator
from ftool_runtime.text.encode import Tokens

IGNORED = -100  # the label of a token without loss, as in torch and transformers
_BATCHES_SORTED_TOGETHER = 50  # enough that padding nearly goes, few enough that batches stay mixed


@dataclass(frozen=True, slots=True)
class EncoderRow:
    """One row of an encoder: its tokens, int32 (tokens,), and what is learnt from them."""

    ids: NDArray[np.int32]
    type_ids: NDArray[np.int32] | None  # None if the network takes none
    target: Tensor

    @classmethod
    def of(cls, tokens: Tokens, target: Tensor) -> Self:
        """A tokenizer's row with its target; arrays take a tenth of the memory of lists."""
        types = tokens.type_ids
        return cls(
            np.array(tokens.ids, np.int32), None if types is None else np.array(types, np.int32), target
        )


class EncoderRows(Dataset[EncoderRow]):
    """Rows of an encoder, one an item; `collate` makes a batch of items."""

    def __init__(self, loaded: LoadedEncoder, rows: Sequence[EncoderRow]) -> None:
        self.rows = rows
        self._names = loaded.input_names
        self._padding = {
            "input_ids": loaded.tokenizer.pad_token_id,
            "token_type_ids": getattr(loaded.tokenizer, "pad_token_type_id", 0),
        }

    @property
    def lengths(self) -> list[int]:
        """Tokens of each row, special ones included."""
        return [len(row.ids) for row in self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> EncoderRow:
        return self.rows[index]

    def collate(self, items: Sequence[EncoderRow]) -> dict[str, Tensor]:
        """A batch: ids and masks int64 (items, longest), padded on the right, and the targets as `labels`."""
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
        return batch | {"labels": self._targets([row.target for row in items])}

    def _targets(self, targets: list[Tensor]) -> Tensor:
        return torch.stack(targets)


def text_rows(loaded: LoadedEncoder, inputs: Sequence[Any], targets: Tensor) -> EncoderRows:
    """Texts, or pairs of them, each with its own of `targets`."""
    rows = all_rows(loaded, inputs)
    return EncoderRows(
        loaded, [EncoderRow.of(row, target) for row, target in zip(rows, targets, strict=True)]
    )


class PairRows(Dataset[TokenRow]):
    """Rows of an encoder-decoder; `collate` makes a batch of items."""

    def __init__(self, loaded: LoadedGenerator, rows: Sequence[TokenRow]) -> None:
        self._rows = rows
        self._pad = int(loaded.tokenizer.pad_token_id)
        self._start = start_token(loaded)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> TokenRow:
        return self._rows[index]

    def collate(self, items: Sequence[TokenRow]) -> dict[str, Tensor]:
        """A batch, int64: sources and their mask (items, longest source), answers as the decoder reads them, shifted by
        one token, and as labels (items, longest answer)."""
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


def joined(rows: Sequence[TokenRow]) -> Any:
    """A decoder's rows as the data set that TRL takes: `input_ids`, and `labels` of the answers alone."""
    import datasets

    return datasets.Dataset.from_dict(
        {
            "input_ids": [[*row.given, *row.answer] for row in rows],
            "labels": [[*[IGNORED] * len(row.given), *row.answer] for row in rows],
        }
    )


def start_token(loaded: LoadedGenerator) -> int:
    """What an encoder-decoder's answers begin from."""
    start = loaded.generation_config.decoder_start_token_id
    if start is None:
        start = loaded.model.config.decoder_start_token_id
    return int(start[0] if isinstance(start, list) else start)


class SimilarLengths(Sampler[int]):
    """A shuffled order in which neighbours have similar lengths, so that batches hold little padding.

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
        """Batches of similar length; a short one, if any, comes last."""
        span = self._batch_size * _BATCHES_SORTED_TOGETHER
        for start in range(0, len(shuffled), span):
            together = sorted(shuffled[start : start + span], key=lambda index: self._lengths[index])
            for first in range(0, len(together), self._batch_size):
                yield together[first : first + self._batch_size]
