"""Split rows into runs of the graph, and pad the rows of a run to the same length."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ftool_runtime.bundle.manifest import InputContract
from ftool_runtime.text.encode import Tokens

Feeds = dict[str, NDArray[np.int64]]


def cut_into_runs(lengths: Sequence[int], token_budget: int) -> list[list[int]]:
    """Group texts of similar length into runs, so that little padding is needed.

    Args:
        lengths: the number of tokens of each text.
        token_budget: the largest number of tokens in a run, including padding; a longer text gets a run of its own.

    Returns:
        For each run the indices of its texts in `lengths`. Each index occurs once; the longest texts come first.
    """
    runs: list[list[int]] = []
    longest = 0
    for position in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if runs and (len(runs[-1]) + 1) * longest <= token_budget:
            runs[-1].append(position)
        else:
            runs.append([position])
            longest = lengths[position]
    return runs


def length_groups(lengths: Sequence[int]) -> list[slice]:
    """Return slices of neighbouring rows of the same length, which together cover all rows in order.

    Rows of different lengths would need padding, which changes the order in which a row's numbers are added. The
    last bits of the sums then change, so that a quantised activation can round differently, and an answer would
    depend on the other rows of its batch.
    """
    starts = [row for row, length in enumerate(lengths) if row == 0 or length != lengths[row - 1]]
    return [slice(start, end) for start, end in zip(starts, [*starts[1:], len(lengths)], strict=True)]


def pad(texts: Sequence[Tokens], contract: InputContract) -> Feeds:
    """Return the graph's inputs for one run: int64 arrays (batch, sequence) by name, padded on the right."""
    if len(texts) == 1:
        return _single(texts[0], contract)
    shape = (len(texts), max(len(text.ids) for text in texts))
    feeds = {"input_ids": np.full(shape, contract.pad_token_id, dtype=np.int64)}
    if "attention_mask" in contract.names:
        feeds["attention_mask"] = np.zeros(shape, dtype=np.int64)
    if "token_type_ids" in contract.names:
        feeds["token_type_ids"] = np.full(shape, contract.pad_token_type_id, dtype=np.int64)
    for row, text in enumerate(texts):
        length = len(text.ids)
        feeds["input_ids"][row, :length] = text.ids
        if "attention_mask" in feeds:
            feeds["attention_mask"][row, :length] = 1
        if text.type_ids is not None:
            feeds["token_type_ids"][row, :length] = text.type_ids
    return feeds


def _single(text: Tokens, contract: InputContract) -> Feeds:
    feeds = {"input_ids": np.array([text.ids], dtype=np.int64)}
    if "attention_mask" in contract.names:
        feeds["attention_mask"] = np.ones((1, len(text.ids)), dtype=np.int64)
    if text.type_ids is not None:
        feeds["token_type_ids"] = np.array([text.type_ids], dtype=np.int64)
    return feeds
