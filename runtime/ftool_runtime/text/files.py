"""Read a model's inputs, one at a time, from lines of text, JSON lines or tables. Errors name the file and the line."""

import codecs
import io
import itertools
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TextIO, cast

from ftool_runtime.errors import InputError
from ftool_runtime.regular_files import open_regular
from ftool_runtime.text.input_rows import checked_inputs
from ftool_runtime.text.rows import Row, RowError, csv_rows, json_rows, tsv_rows

_JSON_LINES = (".jsonl", ".ndjson")
# Refused, since reading these as lines of text would give nonsense.
_NOT_READ = (".json", ".parquet", ".gz", ".zip", ".xlsx")
_CHUNK = 65_536  # bytes: the capacity of a pipe on Linux


class _ReadableAsItComes(Protocol):
    """A binary stream, such as `io.BufferedReader`, that can return data before its buffer is full."""

    def read1(self, size: int, /) -> bytes:
        """Return up to `size` bytes that have arrived, after waiting for at least one; b"" at the end of the stream."""


# The name of the text's column, or, for inputs with several fields, a mapping from each field to its column.
Columns = str | Mapping[str, str]


def read_texts(
    path: Path, column: Columns = "text", *, names: Sequence[str] | None = None, keep_blank: bool = False
) -> Iterator[Any]:
    """Yield the inputs in a file; the file is read as the inputs are consumed.

    Args:
        path: a `.jsonl` or `.ndjson` file with one object or string per line, a `.csv` or `.tsv` file, or any other
            file with one text per line; in UTF-8, or in UTF-16 with a byte order mark.
        column: the key or column that holds the text. For inputs with several texts, such as a question and its
            context, a mapping from each field to its column; each input is then a dict of strings by field.
        names: the names of the columns, for a table or JSON lines of lists without a header; None if the first line
            names the columns. With names, a file with one text per line is a TSV file.
        keep_blank: whether None is yielded for an input with an empty text; otherwise such an input is an error.

    Raises:
        InputError: the file can't be read, is empty, is in another encoding, lacks the column, or has an empty text;
            the message names the file and the line.
    """
    yield from checked_inputs(numbered_texts(path, column, names), str(path), keep_blank=keep_blank)


def numbered_texts(
    path: Path, column: Columns, names: Sequence[str] | None = None
) -> Iterator[tuple[int, object]]:
    """Yield the number and the content of each row of a file, as `input_rows` takes them.

    The arguments are those of `read_texts`. Raises InputError if the file can't be read, is in another encoding, or
    lacks the column.
    """
    if path.suffix.lower() in _NOT_READ:
        raise InputError(
            f"can't read {path}: convert it to an uncompressed .jsonl, .csv or .tsv file, or to lines of text"
        )
    try:
        with open_regular(path) as file:
            encoding = _encoding_of(file)
            if encoding is None:
                yield from numbered_rows(_lines(file, str(path)), path.name, str(path), column, names)
                return
            with io.TextIOWrapper(file, encoding=encoding, newline="") as text:
                yield from numbered_rows(_decoded_lines(text, str(path)), path.name, str(path), column, names)
    except OSError as error:
        raise InputError(f"can't read {path}: {error.strerror}") from error


def read_batches(
    path: Path | None, column: Columns = "text", batch_size: int = 64, *, names: Sequence[str] | None = None
) -> Iterator[list[Any]]:
    """Yield the inputs in a file, or in standard input if `path` is None, in lists of up to `batch_size`.

    Standard input has one text per line, or one JSON object per line if an input has several texts. A list then holds
    the lines that have already arrived, so that a line from a live pipe is answered at once. An input with an empty
    text, such as a blank line, is None. `names` are the names of the columns of a file without a header. Raises
    InputError for the same reasons as `read_texts`, and if standard input is closed.
    """
    if path is not None:
        yield from in_batches(read_texts(path, column, names=names, keep_blank=True), batch_size)
        return
    if sys.stdin is None:
        raise InputError("standard input is closed; give texts as arguments or in a file with --input")
    arriving = ArrivingLines(cast(_ReadableAsItComes, sys.stdin.buffer))
    name = "standard input"
    lines = _lines(arriving, name)
    texts = checked_inputs(
        enumerate(lines, 1) if isinstance(column, str) else _json_texts(lines, name, column, None),
        name,
        keep_blank=True,
    )
    for first in texts:
        yield [first, *itertools.islice(texts, min(arriving.waiting, batch_size - 1))]


def in_batches(texts: Iterator[Any], batch_size: int = 64) -> Iterator[list[Any]]:
    """Yield the texts in lists of `batch_size`; the last list may be shorter."""
    while batch := list(itertools.islice(texts, batch_size)):
        yield batch


class ArrivingLines:
    """Iterator over the lines of a stream, without line feeds, that yields each line as soon as it is complete."""

    def __init__(self, stream: _ReadableAsItComes) -> None:
        """Prepare to read from `stream`, which stays open at the end."""
        self._chunks = iter(lambda: stream.read1(_CHUNK), b"")
        self._whole: deque[bytes] = deque()
        self._begun: list[bytes] = []  # the parts of a line whose end has not arrived yet

    @property
    def waiting(self) -> int:
        """The number of lines that can be read without waiting."""
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


def numbered_rows(
    lines: Iterable[str], file_name: str, source: str, column: Columns, names: Sequence[str] | None
) -> Iterator[tuple[int, object]]:
    """Yield the number and the content of each row in the lines of a file, as `numbered_texts` does.

    The suffix of `file_name` decides how the lines are read; `source` is the name of the file in errors.
    """
    suffix = Path(file_name).suffix.lower()
    if suffix in _JSON_LINES:
        return _json_texts(lines, source, column, names)
    if suffix in (".csv", ".psv"):
        wanted = {column} if isinstance(column, str) else set(column.values())
        rows = csv_rows(lines, columns=None if names is None else len(names), known=wanted.__contains__)
        return _table_texts(rows, source, column, names)
    if suffix == ".tsv" or names is not None:
        return _table_texts(tsv_rows(lines), source, column, names)
    if not isinstance(column, str):
        raise InputError(
            f"{source}: lines of text can't hold {' and '.join(column)}; give a .jsonl, .csv or .tsv file"
        )
    return enumerate(lines, 1)


def _encoding_of(file: BinaryIO) -> str | None:
    """Return the encoding of a file whose byte order mark is not UTF-8's; None for any other file, to be read as UTF-8.

    The file is at its start afterwards.
    """
    start = file.read(2)
    file.seek(0)
    return "utf-16" if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else None


def _decoded_lines(file: TextIO, name: str) -> Iterator[str]:
    try:
        for line in file:
            yield line.rstrip("\r\n")
    except UnicodeError as error:
        raise InputError(f"{name}: not {file.encoding}: {error}; save it as UTF-8") from error


def _lines(lines: Iterable[bytes], name: str) -> Iterator[str]:
    """Yield UTF-8 lines as text, without line ends and byte order mark. Raises InputError, which names the line."""
    for number, line in enumerate(_split_at_carriage_returns(lines), 1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{name}, line {number}: not UTF-8 (byte {error.start + 1} of the line is "
                f"0x{error.object[error.start]:02x}); save it as UTF-8"
            ) from error
        yield text.rstrip("\r\n")


def _split_at_carriage_returns(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines; if there is no line feed, the lines are those that end with a carriage return."""
    remaining = iter(lines)
    first = next(remaining, b"")
    if b"\r" in first.rstrip(b"\r\n"):
        second = next(remaining, None)
        if second is None:
            yield from first.splitlines()
            return
        remaining = itertools.chain((second,), remaining)
    if first:
        yield first
    yield from remaining


def _json_texts(
    lines: Iterable[str], name: str, column: Columns, names: Sequence[str] | None
) -> Iterator[tuple[int, object]]:
    """Yield the number and the text of each line, or an InputError for a line that has none.

    Raises InputError if the first JSON object lacks a column: the others will hardly have it.
    """
    unread: deque[RowError] = deque()
    first = True
    for number, value in json_rows(lines, bad=unread.append):
        yield from _popped(unread)
        try:
            yield number, _json_text(number, value, name, column, names)
        except InputError as error:
            if first and not isinstance(error, RowError):
                raise
            yield number, error
        first = False
    yield from _popped(unread)


def _popped(errors: deque[RowError]) -> Iterator[tuple[int, RowError]]:
    while errors:
        yield errors[0].number, errors.popleft()


def _json_text(number: int, value: Any, name: str, column: Columns, names: Sequence[str] | None) -> object:
    if names is not None and isinstance(value, list):
        _check_width(number, value, names)
        value = dict(zip(names, value, strict=True))
    if isinstance(value, dict) or not isinstance(column, str):
        values = value if isinstance(value, dict) else {}
        keys = ", ".join(values) or "no keys"
        return _picked(values, column, f"{name}, line {number}: no {{}} among {keys}")
    return value


def _table_texts(
    rows: Iterator[Row], name: str, column: Columns, names: Sequence[str] | None
) -> Iterator[tuple[int, object]]:
    """Yield the number and the text of each row, or a RowError for a row with too few or too many cells."""
    header = tuple(names) if names is not None else next(rows, (1, ()))[1]
    if header:
        problem = f"{name} has no column {{}}; it has {', '.join(header)}"
        _picked(dict.fromkeys(header), column, problem, header_remedy=names is None)
    for number, cells in rows:
        if names is not None and cells == header:  # a header in spite of `names`
            continue
        try:
            _check_width(number, cells, header)
        except RowError as error:
            yield number, error
        else:
            yield number, _picked(dict(zip(header, cells, strict=True)), column, "")


def _check_width(number: int, cells: Sequence[object], header: Sequence[str]) -> None:
    if len(cells) != len(header):
        raise RowError(number, f"has {len(cells)} cells under {len(header)} columns")


def _picked(
    values: Mapping[str, object], column: Columns, problem: str, *, header_remedy: bool = False
) -> object:
    """Return the value of one column, or a dict of values by field if `column` is a mapping.

    If a column is missing, raises InputError with `problem`, in which `{}` stands for the missing columns, and names
    the flags that select other columns and, if `header_remedy`, the flag for a file without a header.
    """
    if isinstance(column, str):
        missing = {} if column in values else {"NAME": column}
    else:
        missing = {f"{field}=NAME": name for field, name in column.items() if name not in values}
    if missing:
        flags = " ".join(f"--column {flag}" for flag in missing)
        remedy = f"; name {'it' if len(missing) == 1 else 'them'} with {flags}" if values else ""
        if header_remedy and values:
            remedy += ", or all with --columns if the file has no header"
        raise InputError(problem.replace("{}", " or ".join(map(repr, missing.values()))) + remedy)
    if isinstance(column, str):
        return values[column]
    return {field: values[name] for field, name in column.items()}
