"""Read rows that a Python program holds as tables: a DataFrame, a `datasets.Dataset`, a list of dicts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ftool.data.sources.arrow_files import arrow_table, parquet_bytes
from ftool.data.sources.hub import dataset_table, dataset_tables
from ftool.data.sources.json_files import records_table
from ftool.data.split_column import divided
from ftool.data.splits import split_called, with_left_out_warning
from ftool.data.table import Cell, Row, Table
from ftool.errors import DataError
from ftool.recipe.data_settings import DataSettings
from ftool_runtime.atomic import replacing_binary


@dataclass(frozen=True, kw_only=True)
class RowsInMemory(DataSettings):
    """Settings of data that is not in a file but in `tables`, by split; `path` names it in messages."""

    tables: Mapping[str, Table] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, rows: Any, settings: DataSettings | None = None) -> "RowsInMemory":
        """Return `rows` as data that is read as `settings` say, or, if None, as usual; see `tables_in_memory`.

        Raises DataError if `rows` can't be read.
        """
        tables = tables_in_memory(rows)
        elsewhere = ("path", "validation", "test", "target_file", "columns")
        names = [one.name for one in fields(DataSettings) if one.name not in elsewhere]
        kept = {} if settings is None else {name: getattr(settings, name) for name in names}
        return cls(path=next(iter(tables.values())).source, tables=tables, **kept)


def tables_in_memory(rows: Any) -> dict[str, Table]:
    """Return a dict from split name to table for rows in memory; the only key is "all" if no split is named.

    Args:
        rows: a pandas or polars DataFrame, a `pyarrow.Table`, a `datasets.Dataset`, an iterable of dicts with a value
            for each column, or a dict from split name to one of these, such as a `datasets.DatasetDict`.

    `RowsInMemory` are returned as they are. Row numbers are positions, counted from 1. Raises DataError for anything
    else.
    """
    if isinstance(rows, RowsInMemory):
        return dict(rows.tables)
    kind = _kind(rows)
    if kind == "datasets.DatasetDict":
        return divided(dataset_tables("DatasetDict", rows))
    if isinstance(rows, Mapping):
        splits = {split_called(str(name)): name for name in rows}
        if "train" not in splits and "test" not in splits:
            raise DataError(
                f"the rows are a dict of {', '.join(map(repr, list(rows)[:8])) or 'nothing'}; give a list of dicts, a "
                "DataFrame, or a dict from split names (train, validation, test) to these"
            )
        tables = {split: _table(f"{name} rows", rows[name]) for split, name in splits.items() if split}
        return with_left_out_warning(
            tables, "rows", (str(name) for name in rows if split_called(str(name)) is None)
        )
    return divided({"all": _table(type(rows).__name__, rows)})


def save_rows(rows: Any, folder: Path, *, replace: bool = False) -> DataSettings:
    """Write rows in memory to `folder`, a Parquet file for each split, and return settings whose `path` is `folder`.

    A recipe with these settings can be trained, exported and evaluated later, by other processes too. Numbers of
    classes are written as the names of these classes. If `folder` already holds the same files, they stay.

    Raises DataError if `rows` can't be read or has no training rows, if a column mixes kinds of values, or if `folder`
    holds other files and `replace` is false.
    """
    tables = tables_in_memory(rows)
    if not {"all", "train"} & tables.keys():
        raise DataError(f"the rows have no train split, only {', '.join(tables)}")
    files = {
        f"{'train' if split == 'all' else split}.parquet": _parquet(one) for split, one in tables.items()
    }
    present = {path.name: path for path in folder.iterdir()} if folder.is_dir() else {}
    same = present.keys() == files.keys() and all(
        path.read_bytes() == files[name] for name, path in present.items()
    )
    if present and not same:
        if not replace or not all(name.endswith(".parquet") for name in present):
            raise DataError(
                f"{folder}: already holds other files; choose another folder, remove it, or pass replace=True"
            )
        for path in present.values():
            path.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        with replacing_binary(folder / name) as file:
            file.write(content)
    return DataSettings(path=str(folder))


def _parquet(table: Table) -> bytes:
    """Return a table as the content of a Parquet file. Raises DataError, which names the column that is mixed."""
    columns = {
        name: [_named(cell, table.class_names.get(name)) for cell in table.cells(name)]
        for name in table.columns
    }
    return parquet_bytes(table.source, columns)


def _named(cell: Cell, names: tuple[str, ...] | None) -> Cell:
    if names is None:
        return cell
    if isinstance(cell, list | tuple):
        return [_named(one, names) for one in cell]
    return names[cell] if isinstance(cell, int) and 0 <= cell < len(names) else cell


def _kind(rows: Any) -> str:
    """Return the name of an object's class with the library that defines it, such as "pandas.DataFrame"."""
    return f"{type(rows).__module__.partition('.')[0]}.{type(rows).__name__}"


def _table(source: str, rows: Any) -> Table:
    match _kind(rows):
        case "datasets.Dataset":
            return dataset_table(source, rows)
        case "pyarrow.Table":
            return arrow_table(source, rows)
        case "pandas.DataFrame":
            columns = [rows.iloc[:, place].astype(object).tolist() for place in range(rows.shape[1])]
            return _of_columns(source, [str(name) for name in rows.columns], columns)
        case "polars.DataFrame":
            return arrow_table(source, rows.to_arrow())
    if isinstance(rows, str | bytes | Mapping) or not isinstance(rows, Iterable):
        raise DataError(
            f"can't read rows from {type(rows).__name__}; give a DataFrame, a datasets.Dataset or a list of dicts, or "
            "name a file in data.path"
        )
    records = [(number, _plain(record)) for number, record in enumerate(rows, start=1)]
    return records_table(source, records, None)


def _of_columns(source: str, names: list[str], columns: list[list[Cell]]) -> Table:
    cells = zip(*([_plain(cell) for cell in column] for column in columns), strict=True)
    return Table(source, tuple(names), [Row(number, row) for number, row in enumerate(cells, start=1)])


def _plain(cell: Any) -> Any:
    """Return a value of numpy or pandas as one of Python, and a missing value (NaN, NA, NaT) as None."""
    if isinstance(cell, Mapping):
        return {str(name): _plain(value) for name, value in cell.items()}
    if isinstance(cell, list | tuple):
        return [_plain(one) for one in cell]
    if hasattr(cell, "tolist"):
        return _plain(cell.tolist())
    is_missing = type(cell).__name__ in ("NAType", "NaTType") or (isinstance(cell, float) and cell != cell)
    return None if is_missing else cell
