"""What goes wrong with a knowledge base's file, in words for the person who can mend it."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ftool_runtime.errors import FtoolError

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class KnowledgeBaseError(FtoolError):
    """A file is no knowledge base, a damaged or a locked one, or one made by another embedding model."""


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite says of the knowledge base at `path` into a KnowledgeBaseError."""
    try:
        yield
    except sqlite3.Error as error:
        raise KnowledgeBaseError(f"{path}: {_explained(error)}") from error
    except UnicodeDecodeError as error:  # sqlite3 reading SQLite's own message, which quotes the file
        raise KnowledgeBaseError(f"{path}: {damage('its schema is no text')}") from error


def damage(found: str) -> str:
    """What is said of a file in which SQLite has found something wrong."""
    return f"damaged ({found}); index the documents into a new file, or put a copy in its place"


def damaged(found: str) -> sqlite3.DatabaseError:
    """The error, as SQLite has it, of damage that SQLite itself does not see."""
    error = sqlite3.DatabaseError(found)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _explained(error: sqlite3.Error) -> str:
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if code is not None else None  # the rest says where in SQLite
    if primary in _BUSY:
        return "locked by another program that writes to it; wait for that to end, or end it, and try again"
    if primary == sqlite3.SQLITE_NOTADB:
        return "no knowledge base: the file is no SQLite database; `ftool index` makes one"
    if primary in _DAMAGED or str(error).startswith("Could not decode to UTF-8"):
        return damage(str(error))
    if primary == sqlite3.SQLITE_FULL:
        return "the disk is full; what was indexed before stands, make room and call again"
    if primary == sqlite3.SQLITE_CANTOPEN:
        return "can't be opened; are its folder and the file there, and may this user read them?"
    if primary == sqlite3.SQLITE_READONLY:
        return "can't be written: file or folder are read-only"
    return str(error)
