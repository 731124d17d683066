"""A pool of decoders with their buffers, one for each thread that generates at the same time."""

import contextlib
import threading
from collections.abc import Iterator

from ftool_runtime.session.decoder.concatenated_cache import ConcatenatedCacheDecoder
from ftool_runtime.session.decoder.decoder import Decoder
from ftool_runtime.session.decoder.graph import DecoderGraph
from ftool_runtime.session.decoder.static_cache import StaticCacheDecoder


class DecoderPool:
    """Lends decoders that share one graph. Thread-safe."""

    def __init__(self, graph: DecoderGraph) -> None:
        """Start with an empty pool; decoders are made when needed."""
        self.graph = graph
        self._idle: list[Decoder] = []
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def borrow(self) -> Iterator[Decoder]:
        """Lend a decoder for the duration of the block."""
        decoder = self.acquire()
        try:
            yield decoder
        finally:
            self.release(decoder)

    def acquire(self) -> Decoder:
        """Return a decoder that no other call gets until `release`."""
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return (
            StaticCacheDecoder(self.graph)
            if self.graph.contract.caches == "in_place"
            else ConcatenatedCacheDecoder(self.graph)
        )

    def release(self, decoder: Decoder) -> None:
        """Make `decoder` available to the next call."""
        decoder.begin(0, None)
        with self._lock:
            self._idle.append(decoder)
