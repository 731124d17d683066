"""Reading texts to answer, one by one, from lines, JSON lines or a table; an error names file and line."""

import csv
import itertools
import json
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from ftool_runtime.errors import InputError
from ftool_runtime.text.encode import text_problem

_TABLES = {".csv": ",;\t", ".tsv": "\t"}  # what may stand between cells
_JSON_LINES = (".jsonl", ".ndjson")
_NOT_READ = (".json", ".parquet", ".gz", ".zip", ".xlsx")  # they would pass for lines of text, some of them
_CHUNK = 65_536  # bytes: what a pipe holds on Linux
_LONGEST_CELL = (
    2**31 - 1
)  # the csv module's own limit refuses at 131,072 characters what the model would only cut


class _ReadableAsItComes(Protocol):
    """What `io.BufferedReader` and `io.BytesIO` offer."""

    def read1(self, size: int, /) -> bytes:
        """What has arrived, at most `size` bytes; waits where that is nothing, and gives none at the end."""


Columns = str | Mapping[str, str]  # of a text; or of each field of an input that has several


def read_texts(path: Path, column: Columns = "text") -> Iterator[Any]:
    """The texts in a file, read as they are asked for.

    Args:
        path: `.jsonl` or `.ndjson`: one object or string a line; `.csv` or `.tsv`: with a header; anything else:
            one text a line.
        column: the key or column that holds the text; for inputs of several texts, such as a question and its context,
            that of each field: then dicts of strings come, by field.

    Raises:
        InputError: the file can't be read, is empty or not UTF-8, lacks the column, or has an empty text; file and
            line are named.
    """
    if path.suffix.lower() in _NOT_READ:
        raise InputError(f"can't read {path}: give texts as .jsonl, .csv, .tsv or a text a line, not zipped")
    try:
        with path.open("rb") as file:
            yield from _checked(_parsed(file, path, column), str(path))
    except OSError as error:
        raise InputError(f"can't read {path}: {error.strerror}") from error


def read_batches(path: Path | None, column: Columns = "text", batch_size: int = 64) -> Iterator[list[Any]]:
    """The texts in a file, `batch_size` at a time.

    Those of standard input (`path` None; one text a line, or one JSON object where an input has several texts) come as
    they arrive, so that every line of a live pipe is answered at once, and those that arrived meanwhile together.
    Raises as `read_texts` does.
    """
    if path is not None:
        texts = read_texts(path, column)
        while batch := list(itertools.islice(texts, batch_size)):
            yield batch
        return
    if sys.stdin is None:
        raise InputError("standard input is closed; give texts as arguments or in a file with --input")
    arriving = ArrivingLines(cast(_ReadableAsItComes, sys.stdin.buffer))
    numbered: Iterator[tuple[int, object]] = _lines(arriving, "standard input")
    if not isinstance(column, str):
        numbered = _json_texts(cast(Iterator[tuple[int, str]], numbered), Path("standard input"), column)
    texts = _checked(numbered, "standard input")
    for first in texts:
        yield [first, *itertools.islice(texts, min(arriving.waiting, batch_size - 1))]


class ArrivingLines:
    """The lines of a stream, without their line feeds, each as soon as it is whole."""

    def __init__(self, stream: _ReadableAsItComes) -> None:
        """Read from `stream`, which is not closed."""
        self._chunks = iter(lambda: stream.read1(_CHUNK), b"")
        self._whole: deque[bytes] = deque()
        self._begun: list[bytes] = []  # a line whose end has not come

    @property
    def waiting(self) -> int:
        """How many lines can be had without waiting."""
        return len(self._whole)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        while not self._whole:
            chunk = next(self._chunks, None)
            if chunk is None:
                return self._last()
            *ends, begun = chunk.split(b"\n")
            if ends:
                self._whole.extend((b"".join((*self._begun, ends[0])), *ends[1:]))
                self._begun = []
            self._begun.append(begun)
        return self._whole.popleft()

    def _last(self) -> bytes:
        last, self._begun = b"".join(self._begun), []
        if not last:
            raise StopIteration
        return last


def _checked(numbered: Iterable[tuple[int, object]], name: str) -> Iterator[Any]:
    empty = True
    for number, given in numbered:
        for field, text in given.items() if isinstance(given, dict) else [("text", given)]:
            problem = text_problem(text)
            if problem:
                raise InputError(f"{name}, line {number}: the {field} {problem}")
        empty = False
        yield given
    if empty:
        raise InputError(f"{name} is empty")


def _parsed(file: BinaryIO, path: Path, column: Columns) -> Iterator[tuple[int, object]]:
    lines = _lines(file, str(path))
    suffix = path.suffix.lower()
    if suffix in _JSON_LINES:
        return _json_texts(lines, path, column)
    if suffix in _TABLES:
        return _table_texts(lines, path, column, _TABLES[suffix])
    if not isinstance(column, str):
        raise InputError(
            f"{path}: {' and '.join(column)} stand in a .jsonl, .csv or .tsv file, not in lines of text"
        )
    return lines


def _lines(lines: Iterable[bytes], name: str) -> Iterator[tuple[int, str]]:
    """Numbered lines without their ends; a byte order mark is dropped."""
    for number, line in enumerate(lines, 1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{name}, line {number}: not UTF-8 (byte {error.start + 1} of the line is "
                f"0x{error.object[error.start]:02x}); save it as UTF-8"
            ) from error
        yield number, text.rstrip("\r\n")


def _json_texts(
    lines: Iterable[tuple[int, str]], path: Path, column: Columns
) -> Iterator[tuple[int, object]]:
    for number, line in lines:
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{path}, line {number}: not JSON: {error.msg}") from error
        except (ValueError, RecursionError) as error:  # a number too long, lists too deep
            raise InputError(f"{path}, line {number}: JSON that can't be read: {error}") from error
        if isinstance(value, dict) or not isinstance(column, str):
            values = value if isinstance(value, dict) else {}
            value = _picked(
                values, column, f"{path}, line {number}: no {{}} among {', '.join(values) or 'no keys'}"
            )
        yield number, value


def _picked(values: Mapping[str, object], column: Columns, problem: str) -> object:
    """What stands under a column, or a dict of what stands under several.

    Raises InputError, naming the columns that are missing and the flags that name others.
    """
    if isinstance(column, str):
        missing = {} if column in values else {"NAME": column}
    else:
        missing = {f"{field}=NAME": name for field, name in column.items() if name not in values}
    if missing:
        flags = " ".join(f"--column {flag}" for flag in missing)
        remedy = f"; name {'it' if len(missing) == 1 else 'them'} with {flags}" if values else ""
        raise InputError(problem.replace("{}", " or ".join(map(repr, missing.values()))) + remedy)
    if isinstance(column, str):
        return values[column]
    return {field: values[name] for field, name in column.items()}


def _table_texts(
    lines: Iterator[tuple[int, str]], path: Path, column: Columns, delimiters: str
) -> Iterator[tuple[int, object]]:
    csv.field_size_limit(_LONGEST_CELL)
    first = list(itertools.islice(lines, 1))
    delimiter = max(
        delimiters, key=lambda mark: len(next(csv.reader((line for _, line in first), delimiter=mark), []))
    )
    # TSV has no quoting: a quotation mark in a tweet is part of it.
    reader = csv.reader(
        (line + "\n" for _, line in itertools.chain(first, lines)),
        delimiter=delimiter,
        quoting=csv.QUOTE_NONE if delimiters == "\t" else csv.QUOTE_MINIMAL,
        strict=True,  # or a quote that does not close swallows the rest of the file
    )
    try:
        header = next(reader, [])
        if header:
            _picked(dict.fromkeys(header), column, f"{path} has no column {{}}; it has {', '.join(header)}")
        for row in filter(None, reader):
            if len(row) != len(header):
                raise InputError(
                    f"{path}, line {reader.line_num}: {len(row)} cells under {len(header)} columns"
                )
            yield reader.line_num, _picked(dict(zip(header, row, strict=True)), column, "")
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: {error}") from error
