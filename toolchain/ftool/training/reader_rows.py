"""Questions as a Trainer takes them: windows of their contexts, each with the tokens between which its answer lies."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from ftool.data.questions import Question
from ftool_export.reader import LoadedReader, make_windows
from ftool_runtime.spans import NO_ANSWER
from ftool_runtime.windows import Window

_AT_ONCE = 512  # questions whose windows, with all their offsets, are in memory together


@dataclass(frozen=True, slots=True)
class WindowRow:
    """One window: its tokens, int32 (tokens,), and the first and last of its answer."""

    ids: NDArray[np.int32]
    type_ids: NDArray[np.int32] | None
    start: int
    end: int


class WindowRows(Dataset[WindowRow]):
    """Windows of many contexts, one an item; `collate` makes a batch of items."""

    def __init__(self, loaded: LoadedReader, examples: Sequence[Question]) -> None:
        self.rows = [
            row
            for first in range(0, len(examples), _AT_ONCE)
            for row in _rows(loaded, examples[first : first + _AT_ONCE])
        ]
        self._names = loaded.input_names
        self._padding = {
            "input_ids": loaded.tokenizer.pad_token_id,
            "token_type_ids": getattr(loaded.tokenizer, "pad_token_type_id", 0),
        }

    @property
    def lengths(self) -> list[int]:
        """Tokens of each window, question and special ones included."""
        return [len(row.ids) for row in self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Any:
        return self.rows[index]

    def collate(self, items: Sequence[Any]) -> dict[str, Tensor]:
        """A batch: ids and masks int64 (items, longest), padded on the right, and `labels` int64 (items, 2)."""
        columns = {
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
        return batch | {"labels": torch.tensor([(row.start, row.end) for row in items])}


def answer_tokens(window: Window, start: int, end: int) -> tuple[int, int]:
    """The first and the last token of the text's characters from `start` to `end`, as the window holds them.

    Both are `NO_ANSWER` where the window does not hold all of it.
    """
    places = window.text_positions
    offsets = window.offsets[places.start : places.stop]
    if not offsets or offsets[0][0] > start or offsets[-1][1] < end:
        return NO_ANSWER, NO_ANSWER
    first = bisect_right(
        offsets, start, key=lambda pair: pair[1]
    )  # the first token that ends behind the start
    last = bisect_left(offsets, end, key=lambda pair: pair[0]) - 1  # the last that begins before the end
    return (places[first], places[last]) if first <= last else (NO_ANSWER, NO_ANSWER)


def _rows(loaded: LoadedReader, examples: Sequence[Question]) -> list[WindowRow]:
    windows = make_windows(
        loaded, [example.question for example in examples], [example.context for example in examples]
    )
    return [
        _row(window, example) for example, of_one in zip(examples, windows, strict=True) for window in of_one
    ]


def _row(window: Window, example: Question) -> WindowRow:
    """A window with its answer: of several the first, as in the SQuAD scripts."""
    start = end = NO_ANSWER
    if example.answers:
        first = example.starts[0]
        start, end = answer_tokens(window, first, first + len(example.answers[0]))
    type_ids = window.tokens.type_ids
    return WindowRow(
        np.array(window.tokens.ids, dtype=np.int32),
        None if type_ids is None else np.array(type_ids, dtype=np.int32),
        start,
        end,
    )
