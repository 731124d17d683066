"""`Replay`: features of some training texts, by which a lesson is kept from spoiling what the model knew."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from ftool_runtime.bundle.contracts import TeachingContract
from ftool_runtime.bundle.paths import REPLAY_FILE
from ftool_runtime.errors import BundleError

_LEVELS: Final = 127


@dataclass(frozen=True)
class Replay:
    """What the untaught model makes of some training texts. The texts themselves are not kept.

    Attributes:
        features: the input of the graph's last linear layer, float32 (rows, features), each row rounded to 255 levels.
        logits: the graph's logits, float32 (rows, labels), rounded to float16.
        targets: which labels the texts have, bool (rows, labels).
    """

    features: NDArray[np.float32]
    logits: NDArray[np.float32]
    targets: NDArray[np.bool_]

    @classmethod
    def read(cls, content: bytes, contract: TeachingContract, labels: int) -> Self:
        """Return the replay in the content of a bundle's `replay.bin`.

        The file holds little-endian arrays, one after the other: the scale of each row, float32 (rows,); the features'
        levels, int8 (rows, features); the logits, float16 (rows, labels); and the targets, a bit each, (rows, labels).

        Raises BundleError if the content has another size than the manifest says, or numbers that are not finite.
        """
        rows = contract.rows
        sizes = (4 * rows, rows * contract.features, 2 * rows * labels, (rows * labels + 7) // 8)
        if len(content) != sum(sizes):
            raise BundleError(
                f"{REPLAY_FILE} has {len(content)} bytes instead of {sum(sizes)}; copy or export the bundle again"
            )
        scales, levels, logits, bits = parts(content, sizes)
        features = unpacked(scales, levels, contract.features)
        known = np.frombuffer(logits, "<f2").reshape(rows, labels).astype(np.float32)
        targets = np.unpackbits(np.frombuffer(bits, np.uint8), count=rows * labels).reshape(rows, labels)
        if not (np.isfinite(features).all() and np.isfinite(known).all()):
            raise BundleError(
                f"{REPLAY_FILE} holds numbers that are not finite; copy or export the bundle again"
            )
        return cls(features, known, targets.astype(np.bool_))

    def to_bytes(self) -> bytes:
        """Return the content of a file that `read` reads."""
        bits = np.packbits(self.targets).tobytes()
        return packed(self.features) + self.logits.astype("<f2").tobytes() + bits


def packed(features: NDArray[np.float32]) -> bytes:
    """Return features, float32 (rows, features), as the scale of each row, float32, and then levels, int8."""
    scales = (np.abs(features).max(axis=1, initial=0.0) / _LEVELS).astype("<f4")
    levels = np.rint(features / np.where(scales > 0, scales, 1)[:, None])
    content: bytes = scales.tobytes() + levels.astype(np.int8).tobytes()
    return content


def unpacked(scales: bytes, levels: bytes, width: int) -> NDArray[np.float32]:
    """Return the features that `packed` has packed, float32 (rows, width)."""
    steps = np.frombuffer(scales, "<f4").astype(np.float32)
    return np.frombuffer(levels, np.int8).reshape(-1, width).astype(np.float32) * steps[:, None]


def parts(content: bytes, sizes: Sequence[int]) -> list[bytes]:
    """Return consecutive parts of `content` that have these sizes, which must add up to its length."""
    ends = list(itertools.accumulate(sizes))
    return [content[end - size : end] for end, size in zip(ends, sizes, strict=True)]


def rounded(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return features, float32 (rows, features), as they are when they were packed and unpacked."""
    rows, width = features.shape
    content = packed(features)
    return unpacked(content[: 4 * rows], content[4 * rows :], width)


def choose_rows(targets: NDArray[np.bool_], for_each: int, most: int) -> Sequence[int]:
    """Return the indices of rows for a replay, in order: up to `for_each` rows of each label, and about `most` in all.

    Args:
        targets: which labels each row has, bool (rows, labels). The first rows of a label are taken, so shuffle first.
        for_each: rows of each label; fewer if `most` would be exceeded, but at least two.
        most: rows in all.
    """
    count = targets.shape[1]
    for_each = max(2, min(for_each, most // max(count, 1)))
    chosen: set[int] = set()
    for label in range(count):
        chosen.update(np.flatnonzero(targets[:, label])[:for_each].tolist())
    return sorted(chosen)
