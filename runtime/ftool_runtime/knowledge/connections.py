"""A pool of read-only connections to a knowledge base, each used by one thread at a time."""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from ftool_runtime.errors import ClosedError, InputError, OtherProcessError
from ftool_runtime.knowledge.errors import KnowledgeBaseError, file_errors
from ftool_runtime.limits import DEFAULT_LIMITS, Limits

_LOG_NOT_WRITABLE = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}
_STEPS_BETWEEN_CHECKS = 1_000_000  # of SQLite's virtual machine, some 10 ms


class Connections:
    """Read-only connections to the file at `path`, opened on demand and reused."""

    def __init__(self, path: Path, busy_timeout_s: float, limits: Limits = DEFAULT_LIMITS) -> None:
        """Open the first connection. Raises KnowledgeBaseError if the file can't be opened."""
        self._limits = limits
        self._path = path
        self._timeout_s = busy_timeout_s
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._free: list[sqlite3.Connection] = []
        self._closed = False
        with file_errors(path):
            self._free.append(self._open())

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection in a transaction, so that all reads see the same state, even while other programs write.

        Raises KnowledgeBaseError if the file is damaged or stays locked for longer than the time-out,
        InputError if the block takes more steps than the limit `sql_steps`, ClosedError after `close`, and
        OtherProcessError in a child of the process that opened the file.
        """
        connection = self._take()
        try:
            with file_errors(self._path), self._counting_steps(connection):
                connection.execute("BEGIN")
                yield connection
        finally:
            if connection.in_transaction:
                connection.rollback()
            self._give_back(connection)

    def close(self) -> None:
        """Close the idle connections now, and each connection in use as soon as its block of `reading` ends."""
        with self._lock:
            self._closed = True
            free, self._free = self._free, []
        for connection in free:
            connection.close()

    def __reduce__(self) -> NoReturn:
        raise OtherProcessError(
            "an open knowledge base can't be pickled or copied; open its path again instead"
        )

    @contextmanager
    def _counting_steps(self, connection: sqlite3.Connection) -> Iterator[None]:
        """Stop the block, with InputError, when SQLite has taken more steps than the limit `sql_steps`.

        SQLite counts for each statement, so that up to a hundredth of the limit may be missed for each.
        """
        most = self._limits.sql_steps
        if most is None:
            yield
            return
        every = max(1, min(most // 100, _STEPS_BETWEEN_CHECKS))
        left = most

        def over() -> bool:
            nonlocal left
            left -= every
            return left <= 0

        connection.set_progress_handler(over, every)
        try:
            yield
        except sqlite3.OperationalError as error:
            if left > 0 or error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                raise
            raise InputError(
                f"{self._path}: a read took more than {most:,} steps of SQLite (the limit sql_steps), which real "
                "documents hardly do; open it with limits=Limits(sql_steps=…) if you trust its source"
            ) from error
        finally:
            connection.set_progress_handler(None, 0)

    def _take(self) -> sqlite3.Connection:
        if self._closed:
            raise ClosedError("this knowledge base was closed; open it again")
        if os.getpid() != self._process:
            raise OtherProcessError(
                "this knowledge base was opened before a fork; open it again in the child process"
            )
        with self._lock:
            if self._free:
                return self._free.pop()
        with file_errors(self._path):
            return self._open()

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            if not self._closed:
                self._free.append(connection)
                return
        connection.close()

    def _open(self) -> sqlite3.Connection:
        if not self._path.is_file():
            raise KnowledgeBaseError(
                f"there is no knowledge base {self._path}; create one with `ftool index`"
            )
        try:
            return self._connect("mode=ro")
        except sqlite3.OperationalError as error:
            # The file is in WAL mode in a read-only folder. Since nobody can change it, it can be opened as immutable.
            if error.sqlite_errorcode & 0xFF not in _LOG_NOT_WRITABLE or self._has_log():
                raise
            return self._connect("immutable=1")

    def _connect(self, how: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self._path.resolve().as_uri()}?{how}",
            uri=True,
            timeout=self._timeout_s,
            isolation_level=None,
            check_same_thread=False,  # the pool lends a connection to one thread at a time
        )
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # opens the file now
        except BaseException:
            connection.close()
            raise
        return connection

    def _has_log(self) -> bool:
        log = self._path.with_name(self._path.name + "-wal")
        return log.is_file() and log.stat().st_size > 0
