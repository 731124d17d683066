"""Write an approximate index with plain SQL, because the tests of the runtime run without the toolchain."""

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np

from ftool_runtime.knowledge.approximate import APPROXIMATE_TABLES, new_graph
from ftool_runtime.knowledge.vectors import read_blocks


def write_approximate(path: Path, dimension: int, part_bytes: int = 1000) -> None:
    """Build an index of all passages; the graph is stored in parts of `part_bytes`."""
    graph = new_graph(dimension)
    total = np.zeros(dimension)
    with closing(sqlite3.connect(path)) as connection:
        for ids, vectors in read_blocks(connection, dimension):
            graph.add(ids.astype(np.uint64), vectors, threads=1)
            total += vectors.sum(axis=0, dtype=np.float64)
        stored = bytes(graph.save())
        connection.executescript("DROP TABLE IF EXISTS approximate; DROP TABLE IF EXISTS approximate_parts;")
        connection.executescript(APPROXIMATE_TABLES)
        (last,) = connection.execute("SELECT max(id) FROM passages").fetchone()
        digest = hashlib.sha256(stored).hexdigest()
        row = (digest, len(stored), last, len(graph), len(graph), 0, total.tobytes())
        connection.execute("INSERT INTO approximate VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        for start in range(0, len(stored), part_bytes):
            part = (stored[start : start + part_bytes],)
            connection.execute("INSERT INTO approximate_parts (data) VALUES (?)", part)
        connection.execute("UPDATE meta SET value = value + 1 WHERE key = 'changes'")
        connection.commit()
