"""Decoders that wait for the next call, with their buffers: one a thread that generates at the same time."""

import contextlib
import threading
from collections.abc import Iterator

from ftool_runtime.session.decoder.concatenated_cache import ConcatenatedCacheDecoder
from ftool_runtime.session.decoder.decoder import Decoder
from ftool_runtime.session.decoder.graph import DecoderGraph
from ftool_runtime.session.decoder.static_cache import StaticCacheDecoder


class DecoderPool:
    """Hands out decoders on one graph. Safe to use from several threads at once."""

    def __init__(self, graph: DecoderGraph) -> None:
        """Begin with none; they are made as calls come."""
        self.graph = graph
        self._idle: list[Decoder] = []
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def borrow(self) -> Iterator[Decoder]:
        """A decoder for the length of the block."""
        decoder = self.take()
        try:
            yield decoder
        finally:
            self.give_back(decoder)

    def take(self) -> Decoder:
        """A decoder that nobody else uses until it is given back, or for good."""
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return (
            StaticCacheDecoder(self.graph)
            if self.graph.contract.caches == "in_place"
            else ConcatenatedCacheDecoder(self.graph)
        )

    def give_back(self, decoder: Decoder) -> None:
        """Let the next call use `decoder`."""
        decoder.begin(0, None)
        with self._lock:
            self._idle.append(decoder)
