"""Build a knowledge base's approximate index, and build it anew after many changes."""

import hashlib
import logging
import time
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ftool.search.store import BuiltGraph, KnowledgeBaseWriter
from ftool.terminal import progress_bar
from ftool_runtime.errors import InputError, RuntimeMissingError
from ftool_runtime.knowledge.approximate import new_graph

SAMPLE: Final = 100  # passages whose neighbours are looked up to measure the recall
NEAREST: Final = 10
_REBUILD_SHARE = 0.1  # the share of passages that may be new or deleted before the index is built anew
_REBUILD_LEAST = 10_000  # so many may be in any case: an exact search of them takes a millisecond
_LOW_RECALL = 0.9  # a warning tells of a lower recall
# So many passages are added by one thread. Threads that fill an empty graph together may leave passages that no search
# reaches, others in each build; a small graph is then the same in each build.
_ALONE = 4_000
_SAME = 1e-5  # the largest difference of the same product, added up in another order

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApproximateReport:
    """Report on an approximate index that was built.

    Attributes:
        passages: number of passages in the index.
        bytes: size of the index.
        recall: share of the 10 passages nearest to each of 100 passages that the index finds.
        seconds: duration of building, and of measuring the recall.
    """

    passages: int
    bytes: int
    recall: float
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain JSON."""
        return asdict(self) | {"recall": round(self.recall, 4), "seconds": round(self.seconds, 3)}


def prepare_approximate(store: KnowledgeBaseWriter, dimension: int, wanted: bool | None) -> None:
    """Delete an approximate index that is not wanted, or is damaged, so that `update_approximate` builds it anew.

    Raises InputError if an index is wanted and `dimension` is 0, because there are no embeddings; RuntimeMissingError
    if usearch is not installed.
    """
    if wanted:
        if not dimension:
            raise InputError(
                f"--approximate: {store.path} has no embeddings to index; leave --approximate out"
            )
        new_graph(dimension)
    if wanted is False or (wanted and not store.has_whole_approximate(dimension)):
        store.drop_approximate()


def update_approximate(
    store: KnowledgeBaseWriter, dimension: int, wanted: bool | None, threads: int | None
) -> ApproximateReport | None:
    """Build the approximate index if it is wanted or there have been many changes; return a report if it was built.

    Args:
        store: the knowledge base, after `prepare_approximate`.
        dimension: the length of its vectors.
        wanted: whether to build the index if there is none.
        threads: CPU threads; None: all.

    Raises KnowledgeBaseError if the file can't be written; the former index stays.
    """
    covered = store.covered()
    if covered is None:
        return _build(store, dimension, threads) if wanted else None
    changed = covered.built - covered.passages + store.passages_after(covered.last)
    if changed <= max(_REBUILD_LEAST, _REBUILD_SHARE * covered.built):
        return None
    try:
        return _build(store, dimension, threads)
    except RuntimeMissingError as error:
        _log.warning(
            "%s: %d passages have changed since its approximate index was built, which was left as it is: %s",
            store.path,
            changed,
            error,
        )
    return None


def _add(graph: Any, keys: NDArray[np.uint64], vectors: NDArray[Any], threads: int) -> None:
    """Add vectors, (passages, dimension), to the graph; 0 threads are all."""
    alone = max(0, _ALONE - len(graph))
    for part, count in ((slice(alone), 1), (slice(alone, None), threads)):
        if len(keys[part]):
            graph.add(keys[part], vectors[part], threads=count)


def _build(store: KnowledgeBaseWriter, dimension: int, threads: int | None) -> ApproximateReport:
    started = time.perf_counter()
    graph = new_graph(dimension)
    first: dict[bytes, int] = {}  # the first passage with a vector, by a hash of the vector
    repeats: list[tuple[int, int]] = []
    size = 0

    def build() -> BuiltGraph:
        nonlocal size
        total = np.zeros(dimension)
        with progress_bar("approximate index", store.sizes()["passages"], "passages") as show:
            for ids, vectors in store.blocks(dimension):
                seen = zip(map(_hash, vectors), ids.tolist(), strict=True)
                keys = np.array([first.setdefault(*one) for one in seen])
                new = keys == ids
                # Many copies of one vector, such as a footer on each page, would hide others from the graph.
                _add(graph, ids[new].astype(np.uint64), vectors[new], threads or 0)
                repeats.extend(zip(keys[~new].tolist(), ids[~new].tolist(), strict=True))
                total += vectors.sum(axis=0, dtype=np.float64)
                show(len(graph) + len(repeats))
        written = BuiltGraph(graph.save(), np.array(sorted(repeats), np.int64).reshape(-1, 2), total)
        size = len(written.graph) + written.repeats.nbytes
        return written

    store.put_approximate(build)
    recall = _recall(store, graph, np.array(list(first.values()))) if first else 1.0
    if recall < _LOW_RECALL:
        _log.warning(
            "%s: the approximate index finds %.2f of the nearest passages; --no-approximate deletes it",
            store.path,
            recall,
        )
    return ApproximateReport(
        passages=len(graph) + len(repeats), bytes=size, recall=recall, seconds=time.perf_counter() - started
    )


def _recall(store: KnowledgeBaseWriter, graph: Any, ids: NDArray[np.int64]) -> float:
    """Return the share of the NEAREST vectors to each of SAMPLE of the vectors of `ids` that `graph` finds."""
    sample = ids[np.linspace(0, len(ids) - 1, min(SAMPLE, len(ids))).astype(int)]
    asked = np.stack(graph.get(sample.astype(np.uint64))).astype(np.float32)
    best = np.full((len(sample), 0), -np.inf, np.float32)
    for block in store.blocks(asked.shape[1]):
        best = np.hstack([best, asked @ block.vectors[np.isin(block.ids, ids)].T])
        best = -np.sort(-best, axis=1)[:, :NEAREST]
    found = [
        np.stack(graph.get(graph.search(one, best.shape[1], threads=1).keys)).astype(np.float32) @ one
        for one in asked
    ]
    # Different vectors may be equally near, whichever of them is found.
    right = [np.sum(near >= least - _SAME) for near, least in zip(found, best[:, -1], strict=True)]
    return float(np.sum(right) / best.size)


def _hash(vector: NDArray[np.float32]) -> bytes:
    return hashlib.blake2b(vector.tobytes(), digest_size=16).digest()
