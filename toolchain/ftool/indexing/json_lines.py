"""Documents that stand in the lines of a JSONL file, one in each."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ftool.indexing.types import Document, DocumentError, Piece, Title

TEXT_KEYS = ("text", "content", "body", "passage", "context", "document")
_TITLE_KEYS = ("title", "heading", "headline")
_ID_KEYS = ("id", "_id", "doc_id", "docid", "name", "url")


def json_documents(pieces: Iterable[str], file: str, column: str | None = None) -> Iterator[Document]:
    """The documents in a JSONL file, called by the file and their id, or else by their row.

    Args:
        pieces: the file's text.
        file: what it is called.
        column: the key of the text; None: the first of TEXT_KEYS that the row has.

    Raises DocumentError naming the row where it is no JSON, lacks the text, or has the id of one before.
    """
    rows: dict[str, int] = {}
    for number, line in enumerate(_lines(pieces), start=1):
        if not line.strip():
            continue
        values = _object(line, f"{file}: row {number}")
        name = f"{file}#{_first(values, _ID_KEYS, number)}"
        if name in rows:
            raise DocumentError(
                f"{file}: row {number} has the id of row {rows[name]}; ids must differ: {name.partition('#')[2]!r}"
            )
        rows[name] = number
        yield _document(values, file, name, f"{file}: row {number}", column)


def _document(values: Mapping[str, Any], file: str, name: str, where: str, column: str | None) -> Document:
    key = column or next((key for key in TEXT_KEYS if key in values), None)
    if key is None or key not in values:
        wanted = repr(column) if column else f"none of {', '.join(TEXT_KEYS)}"
        raise DocumentError(
            f"{where} has {'no ' if column else ''}{wanted} among its keys {', '.join(values) or '(none)'}; "
            "name that of the text with --column"
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
        values = json.loads(line)
    except json.JSONDecodeError as error:
        raise DocumentError(f"{where} is not JSON: {error.msg} at column {error.colno}") from error
    except (ValueError, RecursionError) as error:  # a number too long, lists too deep
        raise DocumentError(f"{where} is JSON that can't be read: {error}") from error
    if isinstance(values, str):
        return {"text": values}
    if not isinstance(values, dict):
        raise DocumentError(f"{where} must be an object with a text, or a string, got {line.strip()[:40]!r}")
    return values


def _first(values: Mapping[str, Any], keys: Iterable[str], default: object) -> object:
    return next(
        (values[key] for key in keys if isinstance(values.get(key), str | int) and values[key] != ""), default
    )


def _valid(text: str) -> str:
    """`text` with lone surrogates, which JSON can escape and no file can hold, as U+FFFD."""
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
