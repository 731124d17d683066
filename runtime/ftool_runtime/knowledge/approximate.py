"""The approximate index of a knowledge base: a graph of neighbouring vectors, which the library usearch searches.

approximate        one row, if there is an index: the sha256 and the length of its bytes; `last`, the highest id of the
                   passages when the index was built; `built`, their number; `passages`, the number of those that still
                   exist; `repeats`, the number of those whose vector is that of an earlier one, which alone is in the
                   graph; and `total`, the sum of the vectors of passages that still exist: float64 (dimension,)
approximate_parts  the bytes in parts: the graph as usearch writes it, and for each repeat the ids of the earlier
                   passage and of the repeat, in this order: int64 (repeats, 2)

Passages that were written later have ids above `last`, and are searched exactly. Deleted ones stay in the graph and are
left out of the results.
"""

import hashlib
import logging
import sqlite3
import threading
from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ftool_runtime.errors import RuntimeMissingError

APPROXIMATE_TABLES: Final = """
CREATE TABLE IF NOT EXISTS approximate (
    sha256 TEXT NOT NULL, bytes INTEGER NOT NULL, last INTEGER NOT NULL, built INTEGER NOT NULL,
    passages INTEGER NOT NULL, repeats INTEGER NOT NULL, total BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS approximate_parts (part INTEGER PRIMARY KEY, data BLOB NOT NULL);
"""
PART_BYTES: Final = 2**24
REBUILD: Final = "build the index again with `ftool index -o KB.db --approximate`"

_REPEAT: Final = np.dtype("<i8")
_LINKS = 16  # neighbours of a vector in the graph; twice as many in its lowest layer
_BUILD_DEPTH = 128  # vectors compared to find the neighbours of a new one
_SEARCH_DEPTH = 800  # vectors kept during a search; docs/search.md has the recall with it
_WIDER = 4  # the factor by which a search grows that found too few passages because others were deleted

_log = logging.getLogger(__name__)


class Covered(NamedTuple):
    """The row of the table `approximate`."""

    sha256: str
    bytes: int
    last: int
    built: int
    passages: int
    repeats: int
    total: NDArray[np.float64]


def read_covered(connection: sqlite3.Connection) -> Covered | None:
    """Return what the approximate index covers; None if the knowledge base has no such index.

    Raises ApproximateIndexError if the row is damaged.
    """
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'approximate'").fetchone():
        return None
    row = connection.execute(
        "SELECT sha256, bytes, last, built, passages, repeats, total FROM approximate"
    ).fetchone()
    if row is None:
        return None
    sha256, size, last, built, passages, repeats, total = row
    counts = (size, last, built, passages, repeats)
    if (
        not all(isinstance(count, int) and count >= 0 for count in counts)
        or not isinstance(total, bytes)
        or len(total) % 8
    ):
        raise ApproximateIndexError("its description is invalid")
    return Covered(sha256, size, last, built, passages, repeats, np.frombuffer(total, np.float64))


class ApproximateIndexError(sqlite3.DatabaseError):
    """Raised if an approximate index is damaged; the rest of the knowledge base may be whole."""

    def __init__(self, found: str) -> None:
        super().__init__(f"its approximate index is damaged ({found}); {REBUILD}")


class LoadedGraph(NamedTuple):
    """A graph, a `usearch.index.Index`, that reads from the bytes `stored`, their sha256, and the repeats."""

    sha256: str
    graph: Any
    repeats: NDArray[np.int64]
    stored: bytearray


class ApproximateIndex:
    """Finds the vectors nearest to a question's by the graph in the file.

    The graph is read when it is first needed, and again if `ftool index` has built it anew. Thread-safe.
    """

    def __init__(self, dimension: int, name: str) -> None:
        """Prepare to search the knowledge base `name`, with vectors of length `dimension`, without reading it yet."""
        self._dimension = dimension
        self._name = name
        self._lock = threading.Lock()  # usearch lends the same memory to all searches from Python
        self._loaded: LoadedGraph | None = None

    def covered(self, connection: sqlite3.Connection) -> Covered | None:
        """Return what the index covers; None if there is no index, or if usearch is not installed.

        A warning is logged once if usearch is not installed.

        Raises ApproximateIndexError if the index is damaged.
        """
        covered = read_covered(connection)
        if covered is None or not self._installed:
            return None
        if len(covered.total) != self._dimension:
            raise ApproximateIndexError("it has vectors of another length")
        return covered

    def nearest(
        self, connection: sqlite3.Connection, covered: Covered, query: NDArray[np.float32], depth: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the passages that seem nearest to `query`, best first, at most `depth`.

        Returns:
            Their ids, int64 (passages,), and their vectors as stored, in float32 (passages, dimension).

        Raises ApproximateIndexError if the index is damaged.
        """
        with self._lock:
            if self._loaded is None or self._loaded.sha256 != covered.sha256:
                self._loaded = None  # free the outdated graph before reading the new one
                self._loaded = read_graph(connection, covered, self._dimension)
            graph = self._loaded.graph
            count = depth
            while True:
                keys = graph.search(query, min(count, len(graph)), threads=1).keys.astype(np.int64)
                passages = _with_repeats(keys, self._loaded.repeats)
                if covered.passages < covered.built:
                    passages = (pair for pair in passages if _exists(connection, pair[0]))
                found = list(islice(passages, depth))
                if len(found) >= min(depth, covered.passages) or count >= len(graph):
                    break
                count *= _WIDER
            if not found:
                return np.empty(0, np.int64), np.empty((0, self._dimension), np.float32)
            ids, keys = np.array(found, np.int64).T
            return ids, np.stack(graph.get(keys.astype(np.uint64))).astype(np.float32)

    @cached_property
    def _installed(self) -> bool:
        try:
            new_graph(self._dimension)
        except RuntimeMissingError as error:
            _log.warning("%s has an approximate index, but is searched exactly: %s", self._name, error)
            return False
        return True


def new_graph(dimension: int) -> Any:
    """Return an empty graph of vectors of length `dimension`, a `usearch.index.Index`.

    Raises RuntimeMissingError if usearch is not installed.
    """
    try:
        from usearch.index import Index
    except ModuleNotFoundError as error:
        raise RuntimeMissingError(
            "an approximate index needs usearch, which is not installed: "
            '`pip install "ftool-runtime[approximate]"`'
        ) from error
    return Index(
        ndim=dimension,
        metric="ip",
        dtype="f16",
        connectivity=_LINKS,
        expansion_add=_BUILD_DEPTH,
        expansion_search=_SEARCH_DEPTH,
    )


def read_graph(connection: sqlite3.Connection, covered: Covered, dimension: int) -> LoadedGraph:
    """Read the graph and check it. Raises ApproximateIndexError if it is damaged."""
    pages, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    if covered.bytes > pages * size:  # more than the whole file: no memory is taken for it
        raise ApproximateIndexError("its bytes are not those that were written")
    stored = bytearray(covered.bytes)
    digest = hashlib.sha256()
    at = 0
    for part in _parts(connection):
        digest.update(part)
        stored[at : at + len(part)] = part
        at += len(part)
    if digest.hexdigest() != covered.sha256 or at != covered.bytes:
        raise ApproximateIndexError("its bytes are not those that were written")
    repeats = _REPEAT.itemsize * 2 * covered.repeats
    graph = new_graph(dimension)
    try:
        graph.view(stored)
    except (RuntimeError, ValueError) as error:  # another version's
        raise ApproximateIndexError(f"usearch can't read it: {error}") from error
    if (graph.ndim, len(graph) + covered.repeats) != (dimension, covered.built) or repeats > len(stored):
        raise ApproximateIndexError("it does not fit the file")
    pairs = np.frombuffer(stored, _REPEAT, offset=len(stored) - repeats).reshape(-1, 2)
    return LoadedGraph(covered.sha256, graph, pairs, stored)


def _parts(connection: sqlite3.Connection) -> Iterator[bytes]:
    for (part,) in connection.execute("SELECT data FROM approximate_parts ORDER BY part"):
        if not isinstance(part, bytes):
            raise ApproximateIndexError("a part is not binary")
        yield part


def _with_repeats(keys: NDArray[np.int64], repeats: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield the passages with the vectors of the passages `keys`, as pairs of id and key: each key and its repeats."""
    starts = np.searchsorted(repeats[:, 0], keys, "left")
    ends = np.searchsorted(repeats[:, 0], keys, "right")
    for key, start, end in zip(keys.tolist(), starts.tolist(), ends.tolist(), strict=True):
        yield key, key
        yield from ((other, key) for other in repeats[start:end, 1].tolist())


def _exists(connection: sqlite3.Connection, passage: int) -> bool:
    return bool(connection.execute("SELECT 1 FROM passages WHERE id = ?", (passage,)).fetchone())
