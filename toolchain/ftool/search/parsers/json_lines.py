"""Read documents from JSONL files, which have one document per line."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ftool.errors import DocumentError
from ftool.search.types import Document, Piece, Title
from ftool_runtime.json_reader import JsonError, read_json

TEXT_KEYS = ("text", "content", "body", "passage", "context", "document")
_TITLE_KEYS = ("title", "heading", "headline")
_ID_KEYS = ("id", "_id", "doc_id", "docid", "name", "url")
_REASONS = 5  # bad rows whose reasons are kept


@dataclass(slots=True)
class BadRows:
    """The number of rows of a file that were left out, and the reasons for the first few rows."""

    count: int = 0
    reasons: list[str] = field(default_factory=list)

    def note(self, reason: str) -> None:
        """Count a row that was left out; `reason` starts with the row's number."""
        self.count += 1
        if self.count <= _REASONS:
            self.reasons.append(reason)

    def message(self, file: str) -> str:
        """Return one line for the user that says how many rows of `file` were left out, and why."""
        more = f"; and {self.count - _REASONS} more" if self.count > _REASONS else ""
        rows = f"{self.count} row{'s' if self.count > 1 else ''}"
        return f"{rows} of {file} left out: {'; '.join(self.reasons)}{more}"


def json_documents(
    pieces: Iterable[str], file: str, bad: BadRows, column: str | None = None
) -> Iterator[Document]:
    """Yield the documents in a JSONL file, each named `file`#id or, if its row has no id, `file`#number of the row.

    Args:
        pieces: the file's text, in pieces.
        file: the file's name.
        bad: records the rows that are left out because of invalid JSON, no text, or an id that an earlier row has.
        column: the key of the text; None for the first of `TEXT_KEYS` that the row has.
    """
    names = _Names()
    for number, line in enumerate(_lines(pieces), start=1):
        if not line.strip():
            continue
        where = f"row {number}"
        try:
            values = _object(line, where)
            identity = _identity(values)
            name = names.choose(identity, number)
            document = _document(values, file, f"{file}#{name}", where, column)
        except DocumentError as error:
            bad.note(str(error))
            continue
        names.take(name, identity, number)
        yield document


class _Names:
    """Chooses unique names for the rows of a file, since one row's id may equal another row's number."""

    def __init__(self) -> None:
        self._rows_of_ids: dict[str, int] = {}
        self._taken: set[str] = set()

    def choose(self, identity: object, number: int) -> str:
        """Return an unused name for a row: its id (or number, without an id), or a longer form such as "id 7" if taken.

        Raises DocumentError if an earlier row has the same id, or if the longer form is also taken.
        """
        if identity is not None and (row := self._rows_of_ids.get(str(identity))):
            raise DocumentError(
                f"row {number} has the id {str(identity)!r}, which row {row} has too; give each row its own id"
            )
        names = (str(number), f"row {number}") if identity is None else (str(identity), f"id {identity}")
        free = next((name for name in names if name not in self._taken), None)
        if free is None:
            raise DocumentError(
                f"row {number}: earlier rows are named {names[0]!r} and {names[1]!r}; give it another id"
            )
        return free

    def take(self, name: str, identity: object, number: int) -> None:
        """Record that row `number` has the name `name` and the id `identity` (None for no id)."""
        self._taken.add(name)
        if identity is not None:
            self._rows_of_ids[str(identity)] = number


def _identity(values: Mapping[str, Any]) -> str | None:
    """Return the id of a row as it is stored; None if the row has none."""
    identity = _first(values, _ID_KEYS, None)
    return None if identity is None else _valid(str(identity))


def _document(values: Mapping[str, Any], file: str, name: str, where: str, column: str | None) -> Document:
    key = column or next((key for key in TEXT_KEYS if key in values), None)
    if key is None or key not in values:
        wanted = f"no {column!r}" if column else f"none of {', '.join(TEXT_KEYS)}"
        raise DocumentError(
            f"{where} has {wanted} among its keys {', '.join(values) or '(none)'}; "
            "give the key of the text with --column"
        )
    text = values[key]
    if not isinstance(text, str):
        raise DocumentError(f"{where}: {key!r} must be a string, got {type(text).__name__}")
    parts: list[Piece] = [_valid(text)]
    if title := str(_first(values, _TITLE_KEYS, "")):
        parts = [Title(_valid(title)), *parts]
    digest = hashlib.sha256(json.dumps([title, text]).encode()).hexdigest()
    return Document(name=_valid(name), file=file, sha256=digest, pieces=lambda: iter(parts))


def _object(line: str, where: str) -> Mapping[str, Any]:
    try:
        values = read_json(line, strict=False)
    except JsonError as error:
        raise DocumentError(f"{where} {error}") from error
    if isinstance(values, str):
        return {"text": values}
    if not isinstance(values, dict):
        raise DocumentError(f"{where} must be an object with a text or a string, got {line.strip()[:40]!r}")
    return values


def _first(values: Mapping[str, Any], keys: Iterable[str], default: object) -> object:
    return next(
        (values[key] for key in keys if isinstance(values.get(key), str | int | float) and values[key] != ""),
        default,
    )


def _valid(text: str) -> str:
    """Return `text` with lone surrogates, which JSON can escape but UTF-8 can't encode, replaced by U+FFFD."""
    return "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text) if not _encodes(text) else text


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _lines(pieces: Iterable[str]) -> Iterator[str]:
    rest = ""
    for piece in pieces:
        *whole, rest = (rest + piece).split("\n")
        yield from whole
    if rest:
        yield rest
