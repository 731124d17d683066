"""Concatenated caches: the graph returns past and new keys and values together, in buffers that swap at every run."""

import numpy as np
from numpy.typing import NDArray

from ftool_runtime.session.decoder.decoder import Arrays, Decoder, Logits, Snapshot
from ftool_runtime.session.decoder.graph import DecoderGraph


class ConcatenatedCacheDecoder(Decoder):
    """A decoder with caches (rows, heads, columns, head_dim) that grow by concatenation.

    Prompts of different lengths are padded on the right; the attention mask excludes the padded columns.
    """

    def __init__(self, graph: DecoderGraph) -> None:
        """Prepare to run `graph`; buffers are allocated with the first rows."""
        super().__init__(graph)
        self._past = [np.empty(0, np.float32) for _ in graph.caches]
        self._present = [np.empty(0, np.float32) for _ in graph.caches]
        self._mask = np.zeros((0, 0), np.int64)  # (rows, columns)

    def step(self, tokens: NDArray[np.int64]) -> Logits:
        """Add one token to each row; see `Decoder.step`."""
        return self.feed(tokens[:, None])  # type: ignore[arg-type]

    def cut(self, length: int) -> None:
        """Keep the first `length` tokens. The cache holds a single row, without padding."""
        if length >= self._mask.shape[1]:
            return
        for place, view in enumerate(self._past_views()):
            kept = view[:, :, :length].copy()
            self._past[place][: kept.size] = kept.reshape(-1)
        self._mask = self._mask[:, :length]
        self.lengths = np.minimum(self.lengths, length)

    def snapshot(self) -> Snapshot:
        """Return a copy of the only row's caches."""
        return [view.copy() for view in self._past_views()]

    def restore(self, snapshot: Snapshot) -> None:
        """Replace all rows with one row whose caches are `snapshot`."""
        self.begin(1, None)
        self._past = [kept.reshape(-1).copy() for kept in snapshot]
        self._mask = np.ones((1, snapshot[0].shape[2]), np.int64)
        self.lengths[:] = snapshot[0].shape[2]

    def _reset(self, rows: int, _: int) -> None:
        self._mask = np.zeros((rows, 0), np.int64)

    def _inputs(self, ids: NDArray[np.int64], counts: NDArray[np.int64]) -> Arrays:
        self.lengths = self.lengths + counts
        self._check_limit(int(self.lengths.max()))
        new = np.arange(ids.shape[1]) < counts[:, None]
        self._mask = np.concatenate([self._mask, new.astype(np.int64)], axis=1)
        for place, cache in enumerate(self.graph.caches):
            size = self._mask.size * cache.heads * cache.head_dim
            if self._present[place].size < size:
                self._present[place] = np.empty(2 * size, np.float32)
        return {"input_ids": ids, "attention_mask": self._mask}

    def _run(self, kept: int) -> Logits:
        rows, total = self._mask.shape
        new = self._bound["input_ids"].shape[1]
        for place, (cache, past) in enumerate(
            zip(self.graph.caches, self._past_views(total - new), strict=True)
        ):
            shape = (rows, cache.heads, total, cache.head_dim)
            present = self._present[place][: rows * cache.heads * total * cache.head_dim].reshape(shape)
            self._binding.bind_ortvalue_input(cache.past, self.graph.session.value(past))
            self._binding.bind_ortvalue_output(cache.present, self.graph.session.value(present))
        logits = super()._run(kept)
        self._past, self._present = self._present, self._past
        return logits

    def _move(self, rows: NDArray[np.intp]) -> None:
        for place, view in enumerate(self._past_views()):
            self._past[place] = view[rows].reshape(-1)
        self._mask = self._mask[rows]

    def _past_views(self, columns: int | None = None) -> list[NDArray[np.float32]]:
        rows, held = self._mask.shape
        held = held if columns is None else columns
        return [
            flat[: rows * cache.heads * held * cache.head_dim].reshape(
                rows, cache.heads, held, cache.head_dim
            )
            for flat, cache in zip(self._past, self.graph.caches, strict=True)
        ]
