"""Read files of columns as tables (Parquet, Feather, and Arrow, as files and as streams), and write Parquet."""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from ftool.data.sources.files import DataFile, data_file
from ftool.data.table import Row, Table
from ftool.errors import DataError

ARROW_SUFFIXES = (".arrow", ".feather")
_BATCH: Final = 10_000  # rows of a Parquet file in memory at once


def read_parquet(file: DataFile) -> Table:
    """Return a Parquet file as a table.

    `Table.class_names` has the class names that the `datasets` library stores in the schema of the file. Raises
    DataError if the file is missing, empty or not Parquet.
    """
    import pyarrow
    import pyarrow.parquet

    content = file.content
    with _damage_named(file.source, "a Parquet file"):
        return arrow_table(file.source, pyarrow.parquet.read_table(io.BytesIO(content)))


def parquet_batches(path: Path) -> Iterator[Table]:
    """Yield the rows of a Parquet file as tables, which are read as they are consumed; numbers of rows go on.

    Raises DataError if the file is missing, empty or not Parquet.
    """
    import pyarrow

    first = 0
    with _opened_parquet(path) as file:
        if file is None:
            yield read_parquet(data_file(path))
            return
        with _damage_named(str(path), "a Parquet file"):
            for batch in file.iter_batches(_BATCH):
                table = arrow_table(str(path), pyarrow.Table.from_batches([batch]))
                yield replace(table, rows=[Row(row.number + first, row.cells) for row in table.rows])
                first += len(table.rows)


def parquet_columns(path: Path) -> dict[str, str]:
    """Return the type of each column of a Parquet file, such as "string", by name; raises what `parquet_batches` does.

    The types of a compressed file are unknown, and "".
    """
    with _opened_parquet(path) as file:
        if file is None:
            return dict.fromkeys(read_parquet(data_file(path)).columns, "")
        return {field.name: str(field.type) for field in file.schema_arrow}


@contextmanager
def _opened_parquet(path: Path) -> Iterator[Any]:
    """Yield an open file; None for one that only `read_parquet` can read, or can say why not."""
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError, ValueError):
        yield None
        return
    with file:
        yield file


def read_arrow(file: DataFile) -> Table:
    """Return a Feather file or an Arrow file or stream, such as one of the `datasets` library's cache, as a table.

    `Table.class_names` is that of `read_parquet`. Raises DataError if the file is missing, empty or none of these.
    """
    import pyarrow
    import pyarrow.feather

    content = file.content
    with _damage_named(file.source, "an Arrow file"):
        try:
            table = pyarrow.feather.read_table(io.BytesIO(content))
        except pyarrow.ArrowException:
            table = pyarrow.ipc.open_stream(io.BytesIO(content)).read_all()
        return arrow_table(file.source, table)


@contextmanager
def _damage_named(source: str, kind: str) -> Iterator[None]:
    """Within the block, raise DataError, which names `source`, for what is raised for a damaged file of columns.

    This may be other than pyarrow's own errors: dates beyond Python's, texts that are not UTF-8, a schema of the
    `datasets` library that is not JSON.
    """
    try:
        yield
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise DataError(f"{source}: not {kind}, or damaged: {reason}; write the file again") from error


def arrow_table(source: str, table: Any) -> Table:
    """Return a `pyarrow.Table` as a table; `source` is the name of its file in messages."""
    metadata = (table.schema.metadata or {}).get(b"huggingface", b"{}")
    features = json.loads(metadata).get("info", {}).get("features", {})
    columns = [column.to_pylist() for column in table.columns]
    rows = [Row(number, cells) for number, cells in enumerate(zip(*columns, strict=True), start=1)]
    return Table(source, tuple(table.column_names), rows, class_names(features))


def class_names(features: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the class names of each column of class numbers.

    `features` describe the columns in the JSON form of the `datasets` library.
    """
    return {name: named for name, feature in features.items() if (named := _names_in(feature))}


def _names_in(feature: Any) -> tuple[str, ...] | None:
    """Return the class names of a feature; None if the feature is neither a ClassLabel nor a list of ClassLabels."""
    if isinstance(feature, list):  # the form of lists in old versions of the library
        return _names_in(feature[0]) if len(feature) == 1 else None
    if isinstance(feature, dict):
        names = feature.get("names")
        return tuple(names) if isinstance(names, list | tuple) else _names_in(feature.get("feature"))
    return None


def parquet_bytes(source: str, columns: Mapping[str, Sequence[Any]]) -> bytes:
    """Return columns of equally many cells as the content of a Parquet file.

    Raises DataError, which names `source` and the column, if the cells of a column are not of one kind.
    """
    import pyarrow
    import pyarrow.parquet

    arrays = {}
    for name, cells in columns.items():
        try:
            arrays[name] = pyarrow.array(cells)
        except (pyarrow.ArrowException, OverflowError) as error:
            kinds = ", ".join(sorted({type(cell).__name__ for cell in cells if cell is not None}))
            raise DataError(
                f"{source}: the column {name!r} can't be saved, because it holds {kinds}: give its cells one type, or "
                f"drop it ({str(error).splitlines()[0]})"
            ) from error
    content = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(arrays), content)
    return content.getvalue()
