"""Time the exact search over 100,000 vectors with one thread and with BLAS's threads, without and with load.

    python -m benchmarks.search_threads [--rounds 30]

The load is as many other processes as there are cores, which take all the time they get. Each round searches for one
vector in every way, in turns; each way has its own copy of the vectors, so that none finds them in the processor's
cache. The result says how many cores other processes used: near 0 without load if the machine is idle. sqlite-vec is
timed too if it and apsw, which loads it, are installed: `pip install sqlite-vec apsw`.
"""

import argparse
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks.commands import write_result
from benchmarks.search_scale import DIMENSION, time_calls
from ftool.machine import describe_machine
from ftool.terminal import format_table
from ftool_runtime.knowledge.vectors import STORED, VectorSearch

PASSAGES = 100_000
DEPTH = 100  # passages that a search returns before fusion
BLAS_THREADS = 2
STATES = ("without_load", "with_load")

Search = Callable[[NDArray[np.float32]], Any]


def main() -> None:
    """Run all measurements, and write benchmarks/results/search_threads.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    vectors = unit_vectors(PASSAGES, seed=0)
    queries = list(unit_vectors(options.rounds, seed=1))
    calls: dict[str, Search] = {
        "einsum, one thread, blocks of 1,024": one_thread(in_blocks(vectors, 1024)),
        "BLAS, one thread, blocks of 1,024": blas(in_blocks(vectors, 1024), 1),
        "BLAS, two threads, blocks of 1,024": blas(in_blocks(vectors, 1024), BLAS_THREADS),
        "BLAS, two threads, blocks of 4,096": blas(in_blocks(vectors, 4096), BLAS_THREADS),
        f"VectorSearch, best {DEPTH}": ftool_search(vectors),
    }
    if find_spec("sqlite_vec") and find_spec("apsw"):
        calls[f"sqlite-vec, best {DEPTH}"] = sqlite_vec_search(vectors)
    result: dict[str, Any] = {
        "machine": describe_machine(),
        "passages": PASSAGES,
        "dimension": DIMENSION,
        "rounds": options.rounds,
        "without_load": timed(calls, queries),
    }
    with other_processes(os.cpu_count() or 1):
        result["with_load"] = timed(calls, queries)
    write_result("search_threads", result)
    for state in STATES:
        print(f"{state}: other processes used {result[state]['cores_used_by_others']} cores")
    print(format_table([["ms: p50, p95; processor time", *STATES], *(row(result, name) for name in calls)]))


def timed(calls: Mapping[str, Search], queries: Sequence[NDArray[np.float32]]) -> dict[str, Any]:
    """Return the times of the calls, and how many cores other processes used meanwhile."""
    started, busy, own = time.perf_counter(), busy_seconds(), time.process_time()
    found = time_calls(calls, queries)
    others = busy_seconds() - busy - (time.process_time() - own)
    return {**found, "cores_used_by_others": round(others / (time.perf_counter() - started), 2)}


def busy_seconds() -> float:
    """Return the processor time of all processes since the machine started, and the time taken by other machines."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + getattr(times, "steal", 0))


def unit_vectors(count: int, *, seed: int) -> NDArray[np.float32]:
    """Return random vectors of length 1, as float16 stores them, (count, DIMENSION)."""
    drawn = np.random.default_rng(seed).standard_normal((count, DIMENSION), np.float32)
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(STORED).astype(np.float32)


def in_blocks(vectors: NDArray[np.float32], rows: int) -> list[NDArray[np.float32]]:
    """Return the vectors in blocks of `rows`, each with memory of its own, as VectorSearch keeps them."""
    return [vectors[at : at + rows].copy() for at in range(0, len(vectors), rows)]


def one_thread(blocks: Sequence[NDArray[np.float32]]) -> Search:
    """Return a function of the products of a query with all vectors, as VectorSearch forms them."""
    return lambda query: [np.einsum("ij,j->i", block, query) for block in blocks]


def blas(blocks: Sequence[NDArray[np.float32]], threads: int) -> Search:
    """Return a function of the products of a query with all vectors, by BLAS with so many threads."""

    def products(query: NDArray[np.float32]) -> Sequence[Any]:
        with threadpool_limits(threads, user_api="blas"):
            return [block @ query for block in blocks]

    return products


def ftool_search(vectors: NDArray[np.float32]) -> Search:
    """Return the search of a knowledge base that holds the vectors in memory."""
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE vectors (first INTEGER PRIMARY KEY, vectors BLOB)")
    rows = ((at, vectors[at : at + 1000].astype(STORED).tobytes()) for at in range(0, len(vectors), 1000))
    connection.executemany("INSERT INTO vectors VALUES (? + 1, ?)", rows)
    search = VectorSearch(DIMENSION, 2 * vectors.nbytes)
    return lambda query: [passage for passage, _ in search.rank(connection, query, DEPTH, 0)]


def sqlite_vec_search(vectors: NDArray[np.float32]) -> Search:
    """Return sqlite-vec's search over the same vectors, in a table in memory."""
    import apsw
    import sqlite_vec

    connection = apsw.Connection(":memory:")
    connection.enable_load_extension(True)
    connection.load_extension(sqlite_vec.loadable_path())
    connection.execute(f"CREATE VIRTUAL TABLE passages USING vec0(vector float[{DIMENSION}])")
    rows = ((at, vector.tobytes()) for at, vector in enumerate(vectors, 1))
    with connection:
        connection.executemany("INSERT INTO passages (rowid, vector) VALUES (?, ?)", rows)
    nearest = f"SELECT rowid FROM passages WHERE vector MATCH ? ORDER BY distance LIMIT {DEPTH}"
    return lambda query: [passage for (passage,) in connection.execute(nearest, (query.tobytes(),))]


@contextmanager
def other_processes(count: int) -> Iterator[None]:
    """Run the block beside `count` processes that take all the time they get."""
    with ExitStack() as started:
        for _ in range(count):
            process = started.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            started.callback(process.kill)
        yield


def row(result: Mapping[str, Any], name: str) -> list[str]:
    """Return a row of the table: the name, and the times without and with load."""
    times = [result[state][name] for state in STATES]
    return [name, *(f"{one['p50']}, {one['p95']}; {one['cpu_p50']}" for one in times)]


if __name__ == "__main__":
    main()
