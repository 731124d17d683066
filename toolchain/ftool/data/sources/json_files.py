"""Read JSON and JSON lines files as tables."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ftool.data.sources.files import DataFile
from ftool.data.sources.squad import is_squad, squad_table
from ftool.data.splits import split_called
from ftool.data.table import Row, Table
from ftool.errors import DataError
from ftool_runtime.text.rows import RowError, json_rows


def read_jsonl(file: DataFile, columns: Sequence[str] | None = None) -> Table:
    """Return a JSON lines file as a table.

    Each line is a JSON object whose keys are column names; if `columns` names the columns, a line can also be a list of
    cells. Raises DataError, which names the row, for any other line.
    """
    try:
        return _table(file.source, list(json_rows(file.text.split("\n"))), columns)
    except RowError as error:
        raise DataError(f"{file.source}: row {error.number} {error.problem}") from error


def read_json(file: DataFile, columns: Sequence[str] | None = None) -> dict[str, Table]:
    """Return a dict from split name to table for a JSON file; the only key is "all" if no split is named.

    The file can hold a list of objects, one for each row; a list of lists of cells, if `columns` names the columns; an
    object with such lists under the key `data` or under the names of splits; an object of columns, which are lists of
    equal length; or the articles of SQuAD. Raises DataError for any other content.
    """
    try:
        value = json.loads(file.text)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{file.source}: not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file.source}: JSON that can't be read: {error}") from error
    if is_squad(value):
        return {"all": squad_table(file.source, value)}
    if isinstance(value, list):
        return {"all": _table(file.source, list(enumerate(value, start=1)), columns)}
    if isinstance(value, Mapping) and all(isinstance(part, list) for part in value.values()) and value:
        return _tables_of_object(file.source, value, columns)
    raise DataError(f"{file.source}: holds neither a list of examples nor an object of splits or columns")


def _tables_of_object(
    source: str, value: Mapping[str, list[Any]], columns: Sequence[str] | None
) -> dict[str, Table]:
    splits = {split: key for key in value if (split := split_called(key)) is not None}
    if "train" in splits:
        return {
            split: _table(f"{source} ({key})", list(enumerate(value[key], start=1)), columns)
            for split, key in splits.items()
        }
    if list(value) == ["data"]:
        return {"all": _table(source, list(enumerate(value["data"], start=1)), columns)}
    if len({len(cells) for cells in value.values()}) > 1:
        raise DataError(
            f"{source}: the columns {', '.join(value)} are not equally long, and none is a train split"
        )
    rows = [Row(number, cells) for number, cells in enumerate(zip(*value.values(), strict=True), start=1)]
    return {"all": Table(source, tuple(value), rows)}


def _table(source: str, records: Sequence[tuple[int, Any]], columns: Sequence[str] | None) -> Table:
    names = list(
        columns or dict.fromkeys(key for _, record in records if isinstance(record, dict) for key in record)
    )
    rows = []
    for number, record in records:
        if isinstance(record, dict):
            rows.append(Row(number, tuple(record.get(name) for name in names)))
        elif isinstance(record, list) and columns is not None and len(record) == len(names):
            rows.append(Row(number, tuple(record)))
        elif isinstance(record, list):
            remedy = "name its columns with --columns text,label" if columns is None else f"not {len(names)}"
            raise DataError(f"{source}: row {number} is a list of {len(record)} cells; {remedy}")
        else:
            raise DataError(
                f"{source}: row {number} is not an object of named values: {str(record)[:40]!r}; "
                'write each row as {"column": value, …}'
            )
    return Table(source, tuple(names), rows)
