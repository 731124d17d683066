"""SQLite's write-ahead log (WAL) around an indexing run: begin it, and merge it into the file at the end."""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path


def begin_log(connection: sqlite3.Connection) -> None:
    """Switch the file to WAL mode: others read during writes; after a crash, the next connection recovers the log."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")


def merge_log(connection: sqlite3.Connection, path: Path) -> bool:
    """Merge the log into the file at `path`, close the connection, and return whether the file is still empty.

    The log stays if another program has the file open; it is merged when that program closes it. Raises
    sqlite3.DatabaseError if the file can't be read.
    """
    with closing(connection):
        try:
            if _merge(connection, "DELETE"):
                return _is_empty(connection)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_IOERR_SHMSIZE:
                raise
    # The disk may be too full for the index of the log (-shm), and without it nobody can read a file in WAL mode. A
    # connection that excludes all others from its beginning needs none: https://sqlite.org/wal.html#noshm. To leave WAL
    # mode changes one page, for whose old content there may be space in memory only.
    with closing(sqlite3.connect(path, isolation_level=None)) as alone:
        alone.execute("PRAGMA locking_mode = EXCLUSIVE")
        if _merge(alone, "DELETE") or _merge(alone, "MEMORY"):
            Path(f"{path}-shm").unlink(missing_ok=True)
        return _is_empty(alone)


def _merge(connection: sqlite3.Connection, mode: str) -> bool:
    """Merge the log and leave WAL mode for the journal mode `mode`; return whether the file has left it."""
    connection.execute("PRAGMA busy_timeout = 0")
    _is_empty(connection)  # opens the file
    with suppress(sqlite3.DatabaseError):  # another program has the file open, or the disk is full
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return bool(connection.execute(f"PRAGMA journal_mode = {mode}").fetchone() == (mode.lower(),))
    return False


def _is_empty(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("PRAGMA schema_version").fetchone() == (0,))
