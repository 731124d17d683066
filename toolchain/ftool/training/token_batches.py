"""Rows of tokens as batches for a Trainer: padded on the right, loss on the answers alone."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from ftool.training.generator_rows import TokenRow
from ftool_export.checkpoints.generator import LoadedGenerator

IGNORED = -100  # torch's cross-entropy leaves such labels out


class PairRows(Dataset[TokenRow]):
    """An encoder-decoder's rows; `collate` makes a batch of items."""

    def __init__(self, loaded: LoadedGenerator, rows: Sequence[TokenRow]) -> None:
        self._rows = rows
        self._pad = int(loaded.tokenizer.pad_token_id)
        self._start = start_token(loaded)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> TokenRow:
        return self._rows[index]

    def collate(self, items: Sequence[TokenRow]) -> dict[str, Tensor]:
        """int64: sources and their mask (items, longest source), answers as the decoder reads them, one token
        later, and as it must give them (items, longest answer)."""
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
