"""Read the result of a query to a SQLite database as a table: `sqlite:///file.db?query=SELECT …`."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote

from ftool.data.table import Row, Table
from ftool.errors import DataError
from ftool.recipe.paths import SQLITE
from ftool_runtime.errors import nearest

DATABASE_SUFFIXES = (".sqlite", ".sqlite3", ".db")
# What a query may do: nothing that writes a file or opens another.
_ALLOWED = {
    sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE,
}  # fmt: skip


def read_database(address: str) -> Table:
    """Return the table that `sqlite:///FILE?query=SELECT …` or `sqlite:///FILE?table=NAME` describes.

    Without a query or a table, the database must have one table, or one view and no table. The query may be
    percent-encoded. The database is only read. Raises DataError if the file is missing or not a database, or if the
    query fails.
    """
    place, _, option = address.removeprefix(SQLITE).partition("?")
    path = Path(place).expanduser()
    key, _, value = option.partition("=")
    if option and (key not in ("query", "table") or not value.strip()):
        raise DataError(f"{address}: write sqlite:///FILE?query=SELECT … or sqlite:///FILE?table=NAME")
    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            kinds = dict(
                connection.execute(
                    "SELECT name, type FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'"
                )
            )
            query = unquote(value) if key == "query" else _select(path, kinds, unquote(value) or None)
            connection.set_authorizer(_authorize)
            cursor = connection.execute(query)
            columns = tuple(column for column, *_ in cursor.description or ())
            rows = [Row(number, cells) for number, cells in enumerate(cursor, start=1)]
    except sqlite3.Error as error:
        asked = f" ({unquote(value)[:80]})" if key == "query" else ""
        raise DataError(f"{path}: {error}{asked}") from error
    return Table(str(path), columns, rows)


def _authorize(action: int, *_: str | None) -> int:
    return sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY


def _select(path: Path, kinds: Mapping[str, str], table: str | None) -> str:
    """Return the query for a table or view, by default the only table; `kinds` says which of both each name is."""
    names = list(kinds)
    known = ", ".join(map(repr, names)) or "none"
    alone = [name for name, kind in kinds.items() if kind == "table"] or names
    if table is None and len(alone) != 1:
        raise DataError(
            f"{path}: the tables are {known}; name one with {SQLITE}{path}?table=NAME, or write ?query=SELECT …"
        )
    if table is not None and table not in names:
        near = nearest(table, names)
        raise DataError(
            f"{path}: has no table {table!r}; the tables are {known}"
            + (f"; did you mean {near}?" if near else "")
        )
    quoted = (table or alone[0]).replace('"', '""')
    return f'SELECT * FROM "{quoted}"'
