"""Prefix caches: keep a conversation's keys and values, so that the next turn runs only the new tokens."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ftool_runtime.session.decoder.decoder import Decoder, Logits, Snapshot
from ftool_runtime.session.decoder.pool import DecoderPool
from ftool_runtime.session.decoder.prefix_file import PrefixFile

_PREFIXES: Final = 8  # the largest number of shared prefixes that are kept


class PrefixCache:
    """Keeps one conversation's caches between turns.

    The caches are in a decoder, which this object borrows from a pool and returns in `release`.
    """

    def __init__(self, decoders: DecoderPool) -> None:
        """Borrow a decoder, with empty caches."""
        self.decoder: Decoder = decoders.acquire()
        self._decoders = decoders
        self._ids: list[int] = []

    def release(self) -> None:
        """Return the decoder to the pool; this object must not be used afterwards."""
        self._decoders.release(self.decoder)

    def restore(self, ids: Sequence[int], snapshot: Snapshot) -> None:
        """Start with the token ids `ids`, whose caches are in `snapshot`."""
        self.decoder.restore(snapshot)
        self._ids = list(ids)

    def read(self, ids: Sequence[int]) -> Logits:
        """Run the tokens of `ids` that come after the part already in the caches; return the next token's logits."""
        same = _common_length(self._ids, ids[:-1])  # the last token must be run, to get its logits
        self._ids = []  # if running fails, the state of the caches is unknown
        if same:
            self.decoder.cut(same)
        else:
            self.decoder.begin(1, None)
        logits = self.decoder.feed([ids[same:]])
        self._ids = list(ids)
        return logits

    def append(self, answer: Sequence[int]) -> None:
        """Record the tokens of an answer; only those that the decoder has run count as read."""
        read = int(self.decoder.lengths[0]) if len(self.decoder.lengths) else 0
        self._ids = [*self._ids, *answer][:read]


class SharedPrefixes:
    """Keeps the caches of prefixes that several conversations share. Thread-safe."""

    def __init__(self) -> None:
        """Start without any prefixes."""
        self._kept: OrderedDict[tuple[int, ...], Snapshot] = OrderedDict()
        self._saved: set[tuple[tuple[int, ...], Path]] = set()  # the files that were read or written
        self._lock = threading.Lock()

    def snapshot(self, ids: Sequence[int], decoders: DecoderPool, file: PrefixFile | None = None) -> Snapshot:
        """Return the caches of the prefix `ids`, computed on the first call for this prefix.

        With `file`, they are read from there if it holds this prefix, and otherwise saved there.
        """
        key = tuple(ids)
        with self._lock:
            snapshot = self._kept.get(key)
            if file is not None and (key, file.path) not in self._saved:
                stored = file.read(ids)
                snapshot = stored or snapshot or _computed(ids, decoders)
                if stored is None:
                    file.write(ids, snapshot)
                self._saved.add((key, file.path))
            self._kept[key] = snapshot = snapshot or _computed(ids, decoders)
            self._kept.move_to_end(key)
            while len(self._kept) > _PREFIXES:
                dropped, _ = self._kept.popitem(last=False)
                self._saved = {saved for saved in self._saved if saved[0] != dropped}
            return snapshot

    def clear(self) -> None:
        """Drop all prefixes."""
        with self._lock:
            self._kept.clear()
            self._saved.clear()


def _computed(ids: Sequence[int], decoders: DecoderPool) -> Snapshot:
    with decoders.borrow() as decoder:
        decoder.begin(1, None)
        decoder.feed([ids])
        return decoder.snapshot()


def common_prefix(first: Sequence[int], second: Sequence[int]) -> list[int]:
    """Return the longest common prefix of two lists of token ids."""
    return list(first[: _common_length(first, second)])


def _common_length(first: Sequence[int], second: Sequence[int]) -> int:
    pairs = enumerate(zip(first, second, strict=False))
    return next((place for place, (one, other) in pairs if one != other), min(len(first), len(second)))
