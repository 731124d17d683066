"""Translate SQLite's errors about a knowledge base's file into messages with a remedy."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from ftool_runtime.errors import FtoolError

_TYPES: Final = {str: "text", int: "a whole number", float: "a number", bytes: "bytes", type(None): "nothing"}
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class KnowledgeBaseError(FtoolError):
    """Raised if a file is not a knowledge base, is damaged or locked, or does not fit the given embedder."""


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Within the block, turn SQLite's errors about the file at `path` into KnowledgeBaseError."""
    try:
        yield
    except sqlite3.Error as error:
        raise KnowledgeBaseError(f"{path}: {_explained(error)}") from error
    except MemoryError as error:  # SQLite asks for as much as a row says that it takes
        raise KnowledgeBaseError(f"{path}: {damage('it takes more memory than there is')}") from error
    except UnicodeDecodeError as error:  # sqlite3 can't decode SQLite's own message, which quotes the file
        raise KnowledgeBaseError(f"{path}: {damage('its schema is not valid text')}") from error


def damage(found: str) -> str:
    """Return the error message for a damaged file; `found` describes the damage."""
    return f"damaged ({found}); index the documents into a new file, or restore a backup copy"


def damaged(found: str) -> sqlite3.DatabaseError:
    """Return an error for damage that SQLite does not detect; SQLite's own error for a corrupt file has the same form.

    `found` describes the damage.
    """
    error = sqlite3.DatabaseError(found)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def checked(rows: Iterable[tuple[Any, ...]], *kinds: type) -> Iterator[tuple[Any, ...]]:
    """Yield rows of a query after checking that their cells have the types `kinds`.

    SQLite stores any value in any column. Raises sqlite3.DatabaseError for another type, which means that the file is
    damaged.
    """
    for row in rows:
        for cell, kind in zip(row, kinds, strict=True):
            if type(cell) is not kind:
                raise damaged(f"a cell holds {_TYPES[type(cell)]} instead of {_TYPES[kind]}")
        yield row


def _explained(error: sqlite3.Error) -> str:
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if code is not None else None  # the higher bits give details
    if primary in _BUSY:
        return "locked by another program that is writing to it; wait until it has finished, or stop it, and try again"
    if primary == sqlite3.SQLITE_NOTADB:
        return "not a knowledge base: the file is not an SQLite database; create one with `ftool index`"
    if primary in _DAMAGED or str(error).startswith("Could not decode to UTF-8"):
        return damage(str(error))
    if primary == sqlite3.SQLITE_FULL or code == sqlite3.SQLITE_IOERR_SHMSIZE:
        return (
            "the disk is full; documents indexed so far are kept, free some space and run the command again"
        )
    if primary == sqlite3.SQLITE_CANTOPEN:
        return "can't be opened; check that the file and its folder exist and that this user may read them"
    if primary == sqlite3.SQLITE_READONLY:
        return "can't be written: the file or its folder is read-only; change its permissions, or use another file"
    return str(error)
