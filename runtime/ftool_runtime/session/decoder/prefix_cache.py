"""Prefix caches: keep what a decoder has read of a conversation, so that the next turn reads only what is new."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from ftool_runtime.session.decoder.decoder import Decoder, Logits, Snapshot
from ftool_runtime.session.decoder.pool import DecoderPool

_PREFIXES: Final = 8  # shared prefixes that are kept


class PrefixCache:
    """The caches of one conversation between turns, in a decoder of its own until `release`."""

    def __init__(self, decoders: DecoderPool) -> None:
        """Take a decoder, with empty caches."""
        self.decoder: Decoder = decoders.acquire()
        self._decoders = decoders
        self._ids: list[int] = []

    def release(self) -> None:
        """Give the decoder back for other calls; this cache must not be used again."""
        self._decoders.release(self.decoder)

    def restore(self, ids: Sequence[int], snapshot: Snapshot) -> None:
        """Start with the caches of `ids`, which `snapshot` holds."""
        self.decoder.restore(snapshot)
        self._ids = list(ids)

    def read(self, ids: Sequence[int]) -> Logits:
        """Read `ids`, except for the beginning that was read before, and return the logits of the next token."""
        same = _common_length(self._ids, ids[:-1])  # the last one must be run for its logits
        self._ids = []  # if reading fails, the caches are in no known state
        if same:
            self.decoder.cut(same)
        else:
            self.decoder.begin(1, None)
        logits = self.decoder.feed([ids[same:]])
        self._ids = list(ids)
        return logits

    def append(self, answer: Sequence[int]) -> None:
        """Record an answer's tokens; the decoder has read all of them except the last one or more."""
        read = int(self.decoder.lengths[0]) if len(self.decoder.lengths) else 0
        self._ids = [*self._ids, *answer][:read]


class SharedPrefixes:
    """Caches of prefixes that several conversations share. Thread-safe."""

    def __init__(self) -> None:
        """Start without any."""
        self._kept: OrderedDict[tuple[int, ...], Snapshot] = OrderedDict()
        self._lock = threading.Lock()

    def snapshot(self, ids: Sequence[int], decoders: DecoderPool) -> Snapshot:
        """The caches after reading `ids`, computed the first time."""
        key = tuple(ids)
        with self._lock:
            snapshot = self._kept.get(key)
            if snapshot is None:
                with decoders.borrow() as decoder:
                    decoder.begin(1, None)
                    decoder.feed([ids])
                    snapshot = self._kept[key] = decoder.snapshot()
            self._kept.move_to_end(key)
            while len(self._kept) > _PREFIXES:
                self._kept.popitem(last=False)
            return snapshot

    def clear(self) -> None:
        """Drop all of them."""
        with self._lock:
            self._kept.clear()


def common_prefix(first: Sequence[int], second: Sequence[int]) -> list[int]:
    """The tokens that both begin with."""
    return list(first[: _common_length(first, second)])


def _common_length(first: Sequence[int], second: Sequence[int]) -> int:
    pairs = enumerate(zip(first, second, strict=False))
    return next((place for place, (one, other) in pairs if one != other), min(len(first), len(second)))
