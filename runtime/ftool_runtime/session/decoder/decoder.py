"""`Decoder`: rows of tokens and their caches; base class of the decoders for both kinds of caches."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ftool_runtime.errors import InputError
from ftool_runtime.session.decoder.cross_cache import Sources
from ftool_runtime.session.decoder.graph import LOGITS, DecoderGraph

Logits = NDArray[np.float32]
Snapshot = list[NDArray[np.float32]]  # a copy of each cache, (1, heads, tokens, head_dim)
_KEPT_LOGITS = 64  # a buffer for the logits of at most this many positions is kept between calls

Arrays = dict[str, NDArray[np.integer]]


class Decoder(ABC):
    """Rows of tokens, their caches, and the graph that extends them. Not thread-safe.

    Logits are float32 (rows, kept, vocabulary), in a buffer that the next run overwrites.

    Attributes:
        lengths: int64 (rows,), the number of tokens that each row holds.
    """

    def __init__(self, graph: DecoderGraph) -> None:
        """Prepare to run `graph`, without rows."""
        self.graph = graph
        self.lengths = np.zeros(0, np.int64)
        self._binding = graph.session.binding()
        self._sources: Sources | None = None
        self._logits = np.empty(0, np.float32)
        self._all_positions = np.arange(64)
        self._bound: dict[str, NDArray[np.integer]] = {}  # inputs that the next step may overwrite in place
        self._keep_alive: dict[str, NDArray[np.integer]] = {}  # references to the arrays that are bound

    def begin(self, rows: int, sources: Sources | None, room: int = 0) -> None:
        """Replace all rows with `rows` empty rows that answer `sources`, None for a decoder without an encoder.

        `room` is the expected largest number of tokens in a row; 0 if unknown.
        """
        self.lengths = np.zeros(rows, np.int64)
        self._bound = {}
        self._sources = sources
        if not rows and self._logits.size > _KEPT_LOGITS * self.graph.vocabulary:
            self._logits = np.empty(0, np.float32)
        self._bind_sources()
        self._reset(rows, room)

    def feed(self, rows: Sequence[Sequence[int]], kept: NDArray[np.int64] | None = None) -> Logits:
        """Add tokens to each row and run them.

        Args:
            rows: the token ids to add, at least one for each row. The rows may get different numbers of tokens only if
                the decoder's rows are empty; several tokens can be added to a row that is not empty only if
                it is the only row.
            kept: int64 (rows, kept), the indices among these tokens whose logits are returned; None for the last one.

        Returns:
            The logits, float32 (rows, kept, vocabulary).

        Raises InputError if a row would have more tokens than the model can hold.
        """
        counts = np.array([len(row) for row in rows])
        ids = np.zeros((len(rows), int(counts.max())), np.int64)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = row
        if kept is None:
            kept = counts[:, None] - 1
        first = self.lengths[:, None]
        arrays = self._inputs(ids, counts)
        arrays["position_ids"] = first + np.arange(ids.shape[1])
        arrays["logits_at"] = np.ascontiguousarray(kept)
        self._bound = {}
        for name, array in arrays.items():
            self._bind(name, array)
        return self._run(kept.shape[1])

    @abstractmethod
    def step(self, tokens: NDArray[np.int64]) -> Logits:
        """Add one token to each row and run; `tokens` is int64 (rows,). Returns logits (rows, 1, vocabulary).

        Raises InputError if a row would have more tokens than the model can hold.
        """

    @abstractmethod
    def cut(self, length: int) -> None:
        """Keep only the first `length` tokens of the only row."""

    @abstractmethod
    def snapshot(self) -> Snapshot:
        """Return a copy of the only row's caches."""

    @abstractmethod
    def restore(self, snapshot: Snapshot) -> None:
        """Replace all rows with one row whose caches are `snapshot`, for a decoder without an encoder."""

    def select(self, rows: NDArray[np.intp]) -> None:
        """Replace row i with a copy of row rows[i], which may change the number and the order of rows."""
        same_count = len(rows) == len(self.lengths)
        if same_count and np.array_equal(rows, np.arange(len(rows))):
            return
        if self._sources is not None and self._sources.select(rows):
            self._bind_sources()
        self._move(rows)
        self.lengths = self.lengths[rows]
        if not same_count:
            self._bound = {}

    @abstractmethod
    def _reset(self, rows: int, room: int) -> None:
        """Prepare the caches for `rows` empty rows, which will grow to about `room` tokens each."""

    @abstractmethod
    def _inputs(self, ids: NDArray[np.int64], counts: NDArray[np.int64]) -> Arrays:
        """Make room for new tokens, add `counts` to `lengths`, and return the graph's integer inputs by name.

        `ids` are the padded tokens, int64 (rows, tokens); `counts` is the number of tokens in each row without padding,
        int64 (rows,). Raises InputError if a row would have more tokens than the model can hold.
        """

    @abstractmethod
    def _move(self, rows: NDArray[np.intp]) -> None:
        """Replace cache row i with row rows[i], as in `select`; `lengths` still describes the old rows."""

    def _check_limit(self, longest: int) -> None:
        limit = self.graph.contract.max_length
        if limit is not None and longest > limit:
            raise InputError(
                f"the model holds {limit} tokens, prompt and answer together; these would be {longest}"
            )

    def _bind(self, name: str, array: NDArray[np.integer]) -> None:
        if self.graph.takes(name):
            array = np.ascontiguousarray(self.graph.integers(name, array))
            self._bound[name] = self._keep_alive[name] = array
            self._binding.bind_ortvalue_input(name, self.graph.session.value(array))

    def _bind_sources(self) -> None:
        if self._sources is None:
            return
        for name, value in self._sources.values.items():
            self._binding.bind_ortvalue_input(name, self.graph.session.value(value))
        self._bind("source_mask", self._sources.mask)

    def _bind_logits(self, kept: int) -> Logits:
        """Bind a buffer for logits, float32 (rows, kept, vocabulary), as the graph's output, and return the buffer."""
        shape = (len(self.lengths), kept, self.graph.vocabulary)
        size = shape[0] * shape[1] * shape[2]
        if self._logits.size < size:
            self._logits = np.empty(size, np.float32)
        logits = self._logits[:size].reshape(shape)
        self._binding.bind_ortvalue_output(LOGITS, self.graph.session.value(logits))
        return logits

    def _run(self, kept: int) -> Logits:
        logits = self._bind_logits(kept)
        self.graph.session.run_bound(self._binding)
        return logits

    def _positions(self, total: int) -> NDArray[np.int64]:
        if total > self._all_positions.size:
            self._all_positions = np.arange(2 * total)
        return self._all_positions[:total]
