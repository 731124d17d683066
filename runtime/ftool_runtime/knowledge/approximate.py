"""The approximate index of a knowledge base: a graph of neighbouring vectors, which the library usearch searches.

approximate        one row, if there is an index: the sha256 and the length of the graph as usearch writes it; `last`,
                   the highest id of the passages when the index was built; `built`, their number; `passages`, the
                   number of those that still exist; and `total`, the sum of their vectors: float64 (dimension,)
approximate_parts  the graph, in parts

Passages that were written later have ids above `last`, and are searched exactly. Deleted ones stay in the graph and are
left out of the results.
"""

import hashlib
import logging
import sqlite3
import threading
from collections.abc import Iterator
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ftool_runtime.errors import RuntimeMissingError

APPROXIMATE_TABLES: Final = """
CREATE TABLE IF NOT EXISTS approximate (
    sha256 TEXT NOT NULL, bytes INTEGER NOT NULL, last INTEGER NOT NULL, built INTEGER NOT NULL,
    passages INTEGER NOT NULL, total BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS approximate_parts (part INTEGER PRIMARY KEY, data BLOB NOT NULL);
"""
PART_BYTES: Final = 2**24
REBUILD: Final = "build the index again with `ftool index -o KB.db --approximate`"

_LINKS = 16  # neighbours of a vector in the graph; twice as many in its lowest layer
_BUILD_DEPTH = 128  # vectors compared to find the neighbours of a new one
_SEARCH_DEPTH = 400  # vectors kept during a search; docs/search.md has the recall with it
_WIDER = 4  # the factor by which a search grows that found too few passages because others were deleted

_log = logging.getLogger(__name__)


class Covered(NamedTuple):
    """The row of the table `approximate`."""

    sha256: str
    bytes: int
    last: int
    built: int
    passages: int
    total: NDArray[np.float64]


def read_covered(connection: sqlite3.Connection) -> Covered | None:
    """Return what the approximate index covers; None if the knowledge base has no such index.

    Raises ApproximateIndexError if the row is damaged.
    """
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'approximate'").fetchone():
        return None
    row = connection.execute("SELECT sha256, bytes, last, built, passages, total FROM approximate").fetchone()
    if row is None:
        return None
    sha256, size, last, built, passages, total = row
    whole = all(isinstance(count, int) and count >= 0 for count in (size, last, built, passages))
    if not whole or not isinstance(total, bytes) or len(total) % 8:
        raise ApproximateIndexError("its description is invalid")
    return Covered(sha256, size, last, built, passages, np.frombuffer(total, np.float64))


class ApproximateIndexError(sqlite3.DatabaseError):
    """Raised if an approximate index is damaged; the rest of the knowledge base may be whole."""

    def __init__(self, found: str) -> None:
        super().__init__(f"its approximate index is damaged ({found}); {REBUILD}")


class LoadedGraph(NamedTuple):
    """A graph, a `usearch.index.Index`, that reads from the bytes `stored`, and their sha256."""

    sha256: str
    graph: Any
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
        """Return what the index covers; None if there is no index, or usearch is not installed, which is logged once.

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
            graph = self._graph(connection, covered)
            count = depth
            while True:
                keys = graph.search(query, min(count, len(graph)), threads=1).keys
                if covered.passages < covered.built:
                    keys = _existing(connection, keys, depth)
                if len(keys) >= min(depth, covered.passages) or count >= len(graph):
                    break
                count *= _WIDER
            if not len(keys):
                return np.empty(0, np.int64), np.empty((0, self._dimension), np.float32)
            return keys.astype(np.int64), np.stack(graph.get(keys)).astype(np.float32)

    def _graph(self, connection: sqlite3.Connection, covered: Covered) -> Any:
        if self._loaded is None or self._loaded.sha256 != covered.sha256:
            self._loaded = None  # free the outdated graph before reading the new one
            self._loaded = read_graph(connection, covered, self._dimension)
        return self._loaded.graph

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
    stored = bytearray(covered.bytes)
    digest = hashlib.sha256()
    at = 0
    for part in _parts(connection):
        digest.update(part)
        stored[at : at + len(part)] = part
        at += len(part)
    if digest.hexdigest() != covered.sha256 or at != covered.bytes:
        raise ApproximateIndexError("its bytes are not those that were written")
    graph = new_graph(dimension)
    try:
        graph.view(stored)
    except (RuntimeError, ValueError) as error:  # another version's
        raise ApproximateIndexError(f"usearch can't read it: {error}") from error
    if (graph.ndim, len(graph)) != (dimension, covered.built):
        raise ApproximateIndexError("it does not fit the file")
    return LoadedGraph(covered.sha256, graph, stored)


def _parts(connection: sqlite3.Connection) -> Iterator[bytes]:
    for (part,) in connection.execute("SELECT data FROM approximate_parts ORDER BY part"):
        if not isinstance(part, bytes):
            raise ApproximateIndexError("a part is not binary")
        yield part


def _existing(connection: sqlite3.Connection, keys: NDArray[np.uint64], most: int) -> NDArray[np.uint64]:
    """Return the first `most` of the passages `keys` that have not been deleted."""
    found = []
    for key in keys.tolist():
        if connection.execute("SELECT 1 FROM passages WHERE id = ?", (key,)).fetchone():
            found.append(key)
            if len(found) == most:
                break
    return np.array(found, np.uint64)
