"""Reading texts to answer, one by one, from lines, JSON lines or a table; an error names file and line."""

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from ftool_runtime.errors import InputError
from ftool_runtime.token_encoder import text_problem

_TABLES = {".csv": ",", ".tsv": "\t"}
_JSON_LINES = (".jsonl", ".ndjson")
_LONGEST_CELL = (
    2**31 - 1
)  # the csv module's own limit refuses at 131,072 characters what the model would only cut


def read_texts(path: Path | None, column: str = "text") -> Iterator[str]:
    """The texts in a file, read as they are asked for.

    Args:
        path: `.jsonl` or `.ndjson`: one object or string a line; `.csv` or `.tsv`: with a header; anything else:
            one text a line. None: standard input, one text a line.
        column: the key or column that holds the text.

    Raises:
        InputError: the file can't be read, is empty or not UTF-8, lacks the column, or has an empty text; file and
            line are named.
    """
    if path is None:
        yield from _checked(_lines(sys.stdin.buffer, "standard input"), "standard input")
        return
    try:
        with path.open("rb") as file:
            yield from _checked(_parsed(file, path, column), str(path))
    except OSError as error:
        raise InputError(f"can't read {path}: {error.strerror}") from error


def _checked(numbered: Iterable[tuple[int, object]], name: str) -> Iterator[str]:
    empty = True
    for number, text in numbered:
        problem = text_problem(text)
        if problem:
            raise InputError(f"{name}, line {number}: the text {problem}")
        empty = False
        yield str(text)
    if empty:
        raise InputError(f"{name} is empty")


def _parsed(file: BinaryIO, path: Path, column: str) -> Iterator[tuple[int, object]]:
    lines = _lines(file, str(path))
    suffix = path.suffix.lower()
    if suffix in _JSON_LINES:
        return _json_texts(lines, path, column)
    if suffix in _TABLES:
        return _table_texts(lines, path, column, _TABLES[suffix])
    return lines


def _lines(file: BinaryIO, name: str) -> Iterator[tuple[int, str]]:
    """Numbered lines without their ends; a byte order mark is dropped."""
    offset = 0
    for number, line in enumerate(file, 1):
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"{name}, line {number}: not UTF-8 (byte {offset + error.start})") from error
        offset += len(line)
        yield number, text.removeprefix("\ufeff").rstrip("\r\n")


def _json_texts(lines: Iterable[tuple[int, str]], path: Path, column: str) -> Iterator[tuple[int, object]]:
    for number, line in lines:
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{path}, line {number}: not JSON: {error.msg}") from error
        if isinstance(value, dict):
            if column not in value:
                raise InputError(
                    f"{path}, line {number}: no {column!r} among {', '.join(value) or 'no keys'}"
                )
            value = value[column]
        yield number, value


def _table_texts(
    lines: Iterable[tuple[int, str]], path: Path, column: str, delimiter: str
) -> Iterator[tuple[int, object]]:
    csv.field_size_limit(_LONGEST_CELL)
    # TSV has no quoting: a quotation mark in a tweet is part of it.
    reader = csv.reader(
        (line + "\n" for _, line in lines),
        delimiter=delimiter,
        quoting=csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL,
    )
    try:
        header = next(reader, [])
        if header and column not in header:
            raise InputError(f"{path} has no column {column!r}; it has {', '.join(header)}")
        for row in filter(None, reader):
            if len(row) != len(header):
                raise InputError(
                    f"{path}, line {reader.line_num}: {len(row)} cells under {len(header)} columns"
                )
            yield reader.line_num, row[header.index(column)]
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: {error}") from error
