"""Rank passages by embeddings: an exact search in blocks of vectors, or an approximate one."""

import sqlite3
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ftool_runtime.knowledge.approximate import ApproximateIndex
from ftool_runtime.knowledge.errors import checked, damaged

STORED: Final = np.dtype("<f2")  # half the size of float32 with the same results: see docs/search.md

_ROWS_AT_ONCE = 1024  # vectors in a block: little enough for the processor's cache
_SIZE = np.int16(0x7FFF)  # all bits of a float16 but the sign
_LARGEST = 0x7BFF  # the bits of the largest finite float16
_WITHOUT_COPIES = np.int32(-0x70002000)  # all bits of a float32 but copies of the sign, which shifting leaves
_PRIOR = 10  # passages of score 0 that are added to the average, which says little if there are only a few passages


class Block(NamedTuple):
    """A block of passages: their ids, int64 (passages,), and their vectors, float32 (passages, dimension)."""

    ids: NDArray[np.int64]
    vectors: NDArray[np.float32]


class VectorSearch:
    """Finds the vectors with the largest inner products with a question's vector. Thread-safe.

    All vectors are compared with the question's, except those in the approximate index, if there is one: of these, only
    the candidates that the index names are. If all vectors to compare take at most `memory_bytes`, they stay in memory
    between questions. Otherwise they are read from the file for every question, a few thousand at a time.
    """

    def __init__(
        self, dimension: int, memory_bytes: int, approximate: ApproximateIndex | None = None
    ) -> None:
        """Prepare to search vectors of length `dimension`, without reading any vectors yet."""
        self._dimension = dimension
        self._approximate = approximate
        self._memory_bytes = memory_bytes
        self._kept: tuple[int, list[Block]] | None = None  # `changes` of the file when read, and its blocks

    def rank(
        self, connection: sqlite3.Connection, query: NDArray[np.float32], depth: int, changes: int
    ) -> list[tuple[int, float]]:
        """Return the passages whose vectors have the largest inner products with `query`.

        Args:
            connection: a connection to a knowledge base, in a transaction.
            query: the question's vector, float32 (dimension,).
            depth: the maximum number of passages.
            changes: `Meta.changes` in this transaction, which shows whether vectors in memory are up to date.

        Returns:
            Pairs of a passage's id and its score, best first. The score is the inner product of its vector with
            `query`, on a scale from 0, the average of all passages, to 1, the same direction as `query`. So the scores
            of embedders compare, whether their vectors fill the space or, as with many, a narrow cone.

        Raises sqlite3.DatabaseError if a vector contains nan or infinity, which means that the file is damaged.
        """
        all_ids: list[NDArray[np.int64]] = []
        products: list[NDArray[np.float32]] = []
        covered = self._approximate.covered(connection) if self._approximate is not None else None
        with np.errstate(all="ignore"):  # damaged vectors may overflow; checked below
            for ids, vectors in self._blocks(connection, changes, covered.last if covered else 0):
                all_ids.append(ids)
                # einsum uses one thread; BLAS's threads wait for each other if the machine is busy
                products.append(np.einsum("ij,j->i", vectors, query))
            total = sum(float(block.sum(dtype=np.float64)) for block in products)
            passages = sum(map(len, products))
            if covered is not None:
                assert self._approximate is not None
                ids, vectors = self._approximate.nearest(connection, covered, query, depth)
                all_ids.append(ids)
                products.append(np.einsum("ij,j->i", vectors, query))
                total += float(covered.total @ query)
                passages += covered.passages
        scores = np.concatenate(products or [np.empty(0, np.float32)])
        if not len(scores):
            return []
        if not np.isfinite(scores).all() or not np.isfinite(total):
            raise damaged("a vector contains nan or infinity")
        average = total / (passages + _PRIOR)
        best_ids, best = _best(np.concatenate(all_ids), scores, depth)
        scaled = (best.astype(np.float64) - average) / max(max(float(best[0]), 1.0) - average, 1e-6)
        return list(zip(best_ids.tolist(), scaled.tolist(), strict=True))

    def _blocks(self, connection: sqlite3.Connection, changes: int, after: int) -> Iterator[Block]:
        kept = self._kept
        if kept is not None and kept[0] == changes:
            yield from kept[1]
            return
        keep: list[Block] = []
        room = self._memory_bytes
        self._kept = None  # free the outdated blocks before reading new ones
        for block in read_blocks(connection, self._dimension, after):
            room -= block.vectors.nbytes
            if room >= 0:
                keep.append(block)
            else:
                keep.clear()
            yield block
        if room >= 0:
            self._kept = (changes, keep)


def read_blocks(connection: sqlite3.Connection, dimension: int, after: int = 0) -> Iterator[Block]:
    """Yield the vectors of all passages with ids above `after`, in order of ids, a few thousand at a time."""
    rows = connection.execute("SELECT first, vectors FROM vectors WHERE first > ? ORDER BY first", (after,))
    waiting: list[tuple[int, bytes]] = []
    size = 0
    for first, vectors in checked(rows, int, bytes):
        waiting.append((first, vectors))
        size += len(vectors)
        if size >= _ROWS_AT_ONCE * dimension * STORED.itemsize:
            yield _block(waiting, dimension)
            waiting, size = [], 0
    if waiting:
        yield _block(waiting, dimension)


def _block(rows: list[tuple[int, bytes]], dimension: int) -> Block:
    width = dimension * STORED.itemsize
    if any(len(vectors) % width for _, vectors in rows):
        raise damaged("a vector is incomplete")
    stored = np.frombuffer(b"".join(vectors for _, vectors in rows), dtype=STORED).reshape(-1, dimension)
    counts = np.array([len(vectors) // width for _, vectors in rows])
    firsts = np.array([first for first, _ in rows], np.int64)
    before = np.cumsum(counts) - counts
    ids = np.repeat(firsts - before, counts) + np.arange(len(stored))
    return Block(ids, widened(stored))


def widened(stored: NDArray[np.float16]) -> NDArray[np.float32]:
    """Return float16 numbers as float32, by moving their bits, which is faster than numpy's own conversion.

    Raises sqlite3.DatabaseError if a number is nan or infinity.
    """
    narrow = stored.view("<i2")
    if stored.size and (narrow & _SIZE).max() > _LARGEST:
        raise damaged("a vector contains nan or infinity")
    bits = narrow.astype(np.int32)
    bits <<= 13  # float32 has 13 more bits of mantissa, and its exponents count from 112 lower
    bits &= _WITHOUT_COPIES
    wide = bits.view(np.float32)
    wide *= np.float32(2.0**112)
    return wide


def _best(
    ids: NDArray[np.int64], scores: NDArray[np.float32], depth: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the ids with the `depth` largest scores, and these scores, largest first; equal scores in order of ids."""
    if len(ids) > depth:
        # All entries with the lowest kept score are candidates.
        candidates = scores >= np.partition(scores, -depth)[-depth]
        ids, scores = ids[candidates], scores[candidates]
    order = np.lexsort((ids, -scores))[:depth]
    return ids[order], scores[order]
