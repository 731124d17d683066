"""Read Parquet files as tables."""

import io
import json
from typing import Any

from ftool.data.sources.files import DataFile
from ftool.data.table import Row, Table
from ftool.errors import DataError


def read_parquet(file: DataFile) -> Table:
    """Return a Parquet file as a table.

    `Table.class_names` has the class names that the `datasets` library stores in the schema of the file. Raises
    DataError if the file is missing, empty or not Parquet.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(io.BytesIO(file.content))
    except pyarrow.ArrowException as error:
        raise DataError(f"{file.source}: not a Parquet file: {str(error).splitlines()[0]}") from error
    metadata = (table.schema.metadata or {}).get(b"huggingface", b"{}")
    features = json.loads(metadata).get("info", {}).get("features", {})
    columns = [column.to_pylist() for column in table.columns]
    rows = [Row(number, cells) for number, cells in enumerate(zip(*columns, strict=True), start=1)]
    names = {name: named for name, feature in features.items() if (named := _class_names(feature))}
    return Table(file.source, tuple(table.column_names), rows, names)


def _class_names(feature: Any) -> tuple[str, ...] | None:
    """Return the class names of a feature in the JSON form of the `datasets` library.

    Returns None if the feature is neither a ClassLabel nor a list of ClassLabels.
    """
    if isinstance(feature, dict):
        names = feature.get("names")
        return tuple(names) if isinstance(names, list) else _class_names(feature.get("feature"))
    return None
