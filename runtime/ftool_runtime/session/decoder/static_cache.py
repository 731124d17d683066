"""Static caches: the same buffer is the graph's input and output, and the graph appends to it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ftool_runtime.session.batching import length_groups
from ftool_runtime.session.decoder.decoder import Arrays, Decoder, Logits, Snapshot
from ftool_runtime.session.decoder.graph import DecoderGraph

_SMALLEST = 64  # the smallest capacity of a row, in tokens


class StaticCacheDecoder(Decoder):
    """A decoder with buffers (rows, heads, capacity, head_dim) that later calls reuse and that double when full.

    A step with the same number of rows binds only `positions` again; all other inputs are written into arrays that
    stay bound.
    """

    def __init__(self, graph: DecoderGraph) -> None:
        """Prepare to run `graph`; buffers are allocated with the first rows."""
        super().__init__(graph)
        self._flat = [np.zeros(0, np.float32) for _ in graph.caches]
        self._views: list[NDArray[np.float32]] = []
        self._capacity = 0
        self._step_logits: Logits = np.empty(0, np.float32)

    def feed(self, rows: Sequence[Sequence[int]], kept: NDArray[np.int64] | None = None) -> Logits:
        """Add tokens to each row and run them; see `Decoder.feed`. Prompts of different lengths run separately."""
        groups = length_groups([len(row) for row in rows])
        if len(groups) == 1 or kept is not None or self._sources is not None or self.lengths.any():
            return super().feed(rows, kept)
        self._reserve(max(map(len, rows)), used=0)
        views, logits = self._views, []
        for group in groups:
            self.lengths = np.zeros(len(rows[group]), np.int64)
            self._use([view[group] for view in views])
            logits.append(super().feed(rows[group]).copy())
        self.lengths = np.array([len(row) for row in rows])
        self._use(views)
        self._bound = {}
        return np.concatenate(logits)

    def step(self, tokens: NDArray[np.int64]) -> Logits:
        """Add one token to each row; see `Decoder.step`."""
        if "step" not in self._bound:
            self._bind_step()
        bound, lengths = self._bound, self.lengths
        bound["input_ids"][:, 0] = tokens
        if "position_ids" in bound:
            bound["position_ids"][:, 0] = lengths
        bound["seqlens_k"][:] = lengths
        lengths += 1
        total = int(lengths.max())
        bound["total_length"][()] = total
        if total > self._capacity:
            self._reserve(total, used=total - 1)
        if "positions" in bound:
            positions = self.graph.session.value(self._positions(total))
            self._binding.bind_ortvalue_input("positions", positions)
        self.graph.session.run_bound(self._binding)
        return self._step_logits

    def cut(self, length: int) -> None:
        """Keep only the first `length` tokens of the only row."""
        self.lengths = np.minimum(self.lengths, length)

    def snapshot(self) -> Snapshot:
        """Return a copy of the only row's caches."""
        used = int(self.lengths[0])
        return [view[:, :, :used].copy() for view in self._views]

    def restore(self, snapshot: Snapshot) -> None:
        """Replace all rows with one row whose caches are `snapshot`."""
        self.begin(1, None)
        used = snapshot[0].shape[2]
        self._reserve(used, used=0)
        for view, kept in zip(self._views, snapshot, strict=True):
            view[:, :, :used] = kept
        self.lengths[:] = used

    def _bind_step(self) -> None:
        rows = len(self.lengths)
        self.lengths = self.lengths.copy()
        for name, shape in (
            ("input_ids", (rows, 1)),
            ("position_ids", (rows, 1)),
            ("logits_at", (rows, 1)),
            ("seqlens_k", (rows,)),
            ("total_length", ()),
            ("positions", (1,)),
        ):
            self._bind(name, np.zeros(shape, np.int64))
        self._step_logits = self._bind_logits(1)
        self._bound["step"] = self.lengths

    def _inputs(self, ids: NDArray[np.int64], counts: NDArray[np.int64]) -> Arrays:
        self.lengths = self.lengths + counts
        total = int(self.lengths.max())
        self._reserve(total, used=total - ids.shape[1])
        return {
            "input_ids": ids,
            "seqlens_k": self.lengths - 1,
            "total_length": np.array(total),
            "positions": self._positions(total),
        }

    def _reset(self, rows: int, room: int) -> None:
        if not rows:
            return
        fits = min(
            flat.size // (rows * cache.heads * cache.head_dim)
            for flat, cache in zip(self._flat, self.graph.caches, strict=True)
        )
        self._capacity = 0  # the old content is dropped
        # As large as the buffers allow, but not larger than needed: the operator's memory grows with the capacity.
        self._arrange(rows, self._limited(max(min(fits, room), _SMALLEST)), used=0)

    def _reserve(self, longest: int, used: int) -> None:
        if longest > self._capacity:
            self._check_limit(longest)
            self._arrange(len(self.lengths), self._limited(max(2 * self._capacity, longest)), used)

    def _limited(self, capacity: int) -> int:
        limit = self.graph.contract.max_length
        return capacity if limit is None else min(capacity, limit)

    def _move(self, rows: NDArray[np.intp]) -> None:
        used = int(self.lengths.max())
        old = self._views
        if len(rows) <= len(self.lengths):
            moved = np.flatnonzero(rows != np.arange(len(rows)))
            for view in old:
                view[moved, :, :used] = view[rows[moved], :, :used]  # the right side is copied first
        if len(rows) == len(self.lengths):
            return
        grown = len(rows) > len(self.lengths)
        # With few rows, a large buffer gives a high capacity, which more rows could not have without much more memory.
        capacity = min(self._capacity, max(2 * used, _SMALLEST)) if grown else self._capacity
        self._arrange(len(rows), self._limited(capacity), used)
        if grown:
            for view in self._views:
                view[:, :, :used] = view[rows, :, :used]

    def _arrange(self, rows: int, capacity: int, used: int) -> None:
        """Shape and bind the buffers for `rows` rows of `capacity` tokens; each row keeps its first `used` tokens."""
        views = []
        for place, cache in enumerate(self.graph.caches):
            shape = (rows, cache.heads, capacity, cache.head_dim)
            size = rows * cache.heads * capacity * cache.head_dim
            flat = self._flat[place]
            other_layout = capacity != self._capacity and used
            if flat.size < size or other_layout:
                self._flat[place] = np.zeros(max(size, flat.size), np.float32)
            view = self._flat[place][:size].reshape(shape)
            if self._flat[place] is not flat and used:
                old = self._views[place]
                view[: len(old), :, :used] = old[:rows, :, :used]
            views.append(view)
        self._use(views)
        self._capacity = capacity

    def _use(self, views: list[NDArray[np.float32]]) -> None:
        """Bind `views`, one for each cache, as the graph's inputs and outputs."""
        for cache, view in zip(self.graph.caches, views, strict=True):
            value = self.graph.session.value(view)
            self._binding.bind_ortvalue_input(cache.past, value)
            self._binding.bind_ortvalue_output(cache.present, value)
        self._views = views
