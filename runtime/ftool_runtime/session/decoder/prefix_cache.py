"""What a decoder has read of one conversation, so that its next turn reads only what is new."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from ftool_runtime.session.decoder.decoder import Decoder, Logits, Snapshot
from ftool_runtime.session.decoder.pool import DecoderPool

_PREFIXES: Final = 8  # different beginnings whose caches are kept


class PrefixCache:
    """One row's caches between turns, in a decoder of its own until `give_back`."""

    def __init__(self, decoders: DecoderPool) -> None:
        """Take a decoder, and begin with nothing read."""
        self.decoder: Decoder = decoders.take()
        self._decoders = decoders
        self._ids: list[int] = []

    def give_back(self) -> None:
        """Let other calls have the decoder; this memory is not used again."""
        self._decoders.give_back(self.decoder)

    def remember(self, ids: Sequence[int], snapshot: Snapshot) -> None:
        """Begin with `ids`, whose caches `snapshot` holds."""
        self.decoder.restore(snapshot)
        self._ids = list(ids)

    def read(self, ids: Sequence[int]) -> Logits:
        """Read `ids`, of which the beginning may have been read before: the logits of the next token."""
        same = _common(self._ids, ids[:-1])  # the last one must be run for its logits
        self._ids = []  # where reading fails, nothing holds
        if same:
            self.decoder.cut(same)
        else:
            self.decoder.begin(1, None)
        logits = self.decoder.feed([ids[same:]])
        self._ids = list(ids)
        return logits

    def note(self, answer: Sequence[int]) -> None:
        """Take note of the answer's tokens, which the decoder has read but for the last one, or the last ones."""
        read = int(self.decoder.lengths[0]) if len(self.decoder.lengths) else 0
        self._ids = [*self._ids, *answer][:read]


class SharedPrefixes:
    """Caches of beginnings that several conversations share. Safe to use from several threads at once."""

    def __init__(self) -> None:
        """Begin with none."""
        self._kept: OrderedDict[tuple[int, ...], Snapshot] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, ids: Sequence[int], decoders: DecoderPool) -> Snapshot:
        """The caches after `ids`, computed the first time."""
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
        """Keep none any more."""
        with self._lock:
            self._kept.clear()


def common_beginning(first: Sequence[int], second: Sequence[int]) -> list[int]:
    """The tokens with which both begin."""
    return list(first[: _common(first, second)])


def _common(first: Sequence[int], second: Sequence[int]) -> int:
    pairs = enumerate(zip(first, second, strict=False))
    return next((place for place, (one, other) in pairs if one != other), min(len(first), len(second)))
