"""Read JSON and JSON lines files as tables. The content decides which of both a file is, not the suffix."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ftool.data.cells import BadRows
from ftool.data.sources.annotation_tools import plain_records
from ftool.data.sources.files import DataFile
from ftool.data.sources.squad import is_squad, squad_table
from ftool.data.splits import split_called, with_left_out_warning
from ftool.data.table import Row, Table, check_width
from ftool.errors import DataError
from ftool_runtime.json_reader import MOST_LEVELS, is_too_deep
from ftool_runtime.text.rows import RowError, json_rows

_MANY_CELLS = 10**8  # of a table that rows with different names would need
_SPARSE = 100  # cells for one value, from which such a table is refused
_BETWEEN = re.compile(r"\s*,?\s*")


def read_jsonl(file: DataFile, columns: Sequence[str] | None = None) -> dict[str, Table]:
    """Return a dict from split name to table for a JSON lines file; the only key is "all" if no split is named.

    Each line is a JSON object whose keys are column names; if `columns` names the columns, a line can also be a list of
    cells. A file that holds one JSON value of several rows is read as `read_json` does. Raises DataError, which names
    the row, for any other line.
    """
    try:
        value = json.loads(file.text)
    except (ValueError, RecursionError):  # more than one value, as JSON lines have, or a bad line
        return {"all": _lines(file, columns)}
    _refuse_deep(file.source, value)
    if isinstance(value, list) and all(isinstance(one, dict | list) for one in value):
        return _tables(file.source, value, columns)
    if isinstance(value, dict) and ("\n" in file.text.strip() or is_squad(value)):
        return _tables(file.source, value, columns)
    return {"all": _lines(file, columns)}


def read_json(file: DataFile, columns: Sequence[str] | None = None) -> dict[str, Table]:
    """Return a dict from split name to table for a JSON file; the only key is "all" if no split is named.

    The file can hold a list of objects, one for each row; a list of lists of cells, if `columns` names the columns; an
    object with such lists under the names of splits, or with one such list beside other values, such as a version; an
    object of columns, which are lists of equal length; what pandas writes with `to_json`; the articles of SQuAD; or
    JSON lines. Raises DataError for any other content.
    """
    try:
        value = json.loads(file.text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and (columns is not None or file.text.lstrip().startswith("{")):
            return {"all": _lines(file, columns)}
        raise DataError(
            f"{file.source}: not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file.source}: JSON that can't be read: {error}") from error
    _refuse_deep(file.source, value)
    return _tables(file.source, value, columns)


def _lines(file: DataFile, columns: Sequence[str] | None) -> Table:
    bad = BadRows()

    def note(error: RowError) -> None:
        bad.add(error.number, DataError(f"{file.source}: row {error.number} {error.problem}"))

    records = list(json_rows(file.text.split("\n"), bad=note))
    if bad.rows and (objects := _objects(file.text)) is not None:
        return records_table(file.source, objects, columns)
    bad.refuse()
    return records_table(file.source, records, columns)


def _objects(text: str) -> list[tuple[int, Any]] | None:
    """Return the objects that are written one after another, with or without commas, each with the line of its start.

    Returns None if the text is anything else.
    """
    decoder, place, line = json.JSONDecoder(), 0, 1
    objects: list[tuple[int, Any]] = []
    while gap := _BETWEEN.match(text, place):
        line += text.count("\n", place, gap.end())
        place = gap.end()
        if place == len(text):
            return objects
        try:
            value, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            return None
        if not isinstance(value, dict) or is_too_deep(value):
            return None
        objects.append((line, value))
        line += text.count("\n", place, end)
        place = end
    return None


def _refuse_deep(source: str, value: Any) -> None:
    """Raise DataError for values with so many levels that what reads them could fail; it names the row of a list."""
    if not is_too_deep(value):
        return
    rows = value if isinstance(value, list) else []
    row = next((f"row {number}" for number, one in enumerate(rows, start=1) if is_too_deep([one])), "it")
    raise DataError(
        f"{source}: JSON that can't be read: {row} is nested more than {MOST_LEVELS} levels deep; write rows of texts, "
        "numbers and lists of them"
    )


def _tables(source: str, value: Any, columns: Sequence[str] | None) -> dict[str, Table]:
    if is_squad(value):
        return {"all": squad_table(source, value)}
    if isinstance(value, list):
        return {"all": records_table(source, list(enumerate(value, start=1)), columns)}
    if isinstance(value, dict) and value:
        parts = list(value.values())
        if len(parts) == 1 and isinstance(parts[0], dict) and _only_rows(parts[0]) is not None:
            return _tables(source, parts[0], columns)
        if set(value) == {"columns", "index", "data"} and all(isinstance(part, list) for part in parts):
            return _tables(source, value["data"], [str(name) for name in value["columns"]])  # orient="split"
        if all(isinstance(part, dict) and part for part in parts):
            return {"all": _indexed_table(source, value)}
        if (rows := _only_rows(value)) is not None:
            return {"all": records_table(source, list(enumerate(rows, start=1)), columns)}
        if all(isinstance(part, list) for part in parts) or _has_train_rows(value):
            return _tables_of_lists(source, value, columns)
    raise DataError(f"{source}: holds neither a list of examples nor an object of splits or columns")


def _only_rows(value: Mapping[str, Any]) -> list[Any] | None:
    """Return the list under `data`, or the only list of objects beside values that are not lists; else None."""
    if any(split_called(key) == "train" for key in value):
        return None
    of_rows = {key for key, part in value.items() if isinstance(part, list) and part and _are_rows(part)}
    others = [part for key, part in value.items() if key not in of_rows]
    if "data" in of_rows and (len(value) == 1 or isinstance(value["data"][0], dict)):
        return list(value["data"])
    if len(of_rows) == 1 and others and not any(isinstance(part, list) and part for part in others):
        return list(value[of_rows.pop()])
    return [] if list(value) == ["data"] and value["data"] == [] else None


def _has_train_rows(value: Mapping[str, Any]) -> bool:
    return any(
        split_called(key) == "train" and isinstance(part, list) and _are_rows(part)
        for key, part in value.items()
    )


def _are_rows(part: list[Any]) -> bool:
    return all(isinstance(one, dict) for one in part) or all(isinstance(one, list) for one in part)


def _indexed_table(source: str, value: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return the table of what pandas writes: an object of columns, or one of rows if their keys are not numbers.

    The row numbers are positions, counted from 1.
    """
    inner = list(dict.fromkeys(key for part in value.values() for key in part))
    if all(key.isdecimal() for key in inner):
        cells = [tuple(part.get(key) for part in value.values()) for key in inner]
        return Table(source, tuple(value), [Row(number, row) for number, row in enumerate(cells, start=1)])
    return records_table(source, list(enumerate(value.values(), start=1)), None)


def _tables_of_lists(
    source: str, value: Mapping[str, Any], columns: Sequence[str] | None
) -> dict[str, Table]:
    splits = {
        split: key
        for key, part in value.items()
        if (split := split_called(key)) is not None and isinstance(part, list)
    }
    if "train" in splits:
        tables = {
            split: records_table(f"{source} ({key})", list(enumerate(value[key], start=1)), columns)
            for split, key in splits.items()
        }
        return with_left_out_warning(tables, source, (key for key in value if key not in splits.values()))
    if len({len(cells) for cells in value.values()}) > 1:
        raise DataError(
            f"{source}: the columns {', '.join(value)} are not equally long, and none is a train split"
        )
    rows = [Row(number, cells) for number, cells in enumerate(zip(*value.values(), strict=True), start=1)]
    return {"all": Table(source, tuple(value), rows)}


def records_table(source: str, records: Sequence[tuple[int, Any]], columns: Sequence[str] | None) -> Table:
    """Return a table of records, each with its row number: dicts from column name to value, or lists of cells.

    `columns` names the columns of the lists; if None, the columns are the names in the dicts. Raises DataError, which
    names the rows, for other records.
    """
    warnings: Sequence[str] = ()
    if columns is None:
        records, warnings = plain_records(records)
    names = list(
        columns or dict.fromkeys(key for _, record in records if isinstance(record, dict) for key in record)
    )
    check_width(source, len(names))
    _refuse_sparse(source, records, len(names))
    rows, bad = [], BadRows()
    for number, record in records:
        if isinstance(record, dict):
            rows.append(Row(number, tuple(record.get(name) for name in names)))
        elif isinstance(record, list) and columns is not None and len(record) == len(names):
            rows.append(Row(number, tuple(record)))
        elif isinstance(record, list):
            remedy = "name its columns with --columns text,label" if columns is None else f"not {len(names)}"
            problem = f"is a list of {len(record)} cells; {remedy}"
            bad.add(number, DataError(f"{source}: row {number} {problem}"))
        else:
            problem = f"is not an object of named values: {str(record)[:40]!r}"
            bad.add(
                number,
                DataError(f'{source}: row {number} {problem}; write each row as {{"column": value, …}}'),
            )
    bad.refuse()
    return Table(source, tuple(names), rows, warnings=tuple(f"{source}: {warning}" for warning in warnings))


def _refuse_sparse(source: str, records: Sequence[tuple[int, Any]], columns: int) -> None:
    """Raise DataError if a table of the records would hold far more empty cells than the records hold values."""
    cells = columns * len(records)
    if cells > _MANY_CELLS and cells > _SPARSE * sum(
        len(one) for _, one in records if isinstance(one, dict | list)
    ):
        raise DataError(
            f"{source}: the rows have few names in common: {len(records):,} rows have {columns:,} names, such as "
            f"those of row {records[-1][0]}; give all rows the same names"
        )
