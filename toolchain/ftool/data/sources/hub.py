"""Read data sets on the Hugging Face hub, and folders that were saved by the `datasets` library, as tables."""

import re
from pathlib import Path
from typing import Any

from ftool.data.sources.arrow_files import class_names
from ftool.data.splits import split_called, with_left_out_warning
from ftool.data.table import Row, Table
from ftool.errors import DataError

_HUB_ID = re.compile(r"^(?P<name>[\w.-]+/[\w.-]+)(:(?P<subset>[\w.-]+))?$")


def is_hub_id(value: str) -> bool:
    """Whether a value has the form of the id of a hub data set: `owner/name` or `owner/name:subset`.

    A name without an owner does not count, so that a misspelt file name does not cause a request to the hub.
    """
    return _HUB_ID.match(value) is not None


def read_hub(hub_id: str) -> dict[str, Table]:
    """Return a dict from split name to table for a hub data set, `owner/name` or `owner/name:subset`.

    Raises DataError if the hub can't be reached, or has no such
    data set or subset.
    """
    import datasets

    from ftool_export.checkpoints.places import go_offline_if_unreachable

    match = _HUB_ID.match(hub_id)
    name, subset = (match["name"], match["subset"]) if match else (hub_id, None)
    if go_offline_if_unreachable(name, "dataset"):
        datasets.config.HF_HUB_OFFLINE = True  # read when datasets is imported
    try:
        loaded = datasets.load_dataset(name, subset)
    except FileNotFoundError as error:  # datasets.DatasetNotFoundError is one
        raise DataError(
            f"{hub_id}: neither a local path nor a data set on the hub ({_first_line(error)})"
        ) from error
    except (ConnectionError, OSError) as error:
        raise DataError(
            f"{hub_id}: no local file or folder, and the hub can't be reached ({_first_line(error)})"
        ) from error
    except (ValueError, RuntimeError) as error:  # an unknown subset, or a data set that needs its own script
        raise DataError(f"{hub_id}: can't be loaded: {_first_line(error)}") from error
    return dataset_tables(hub_id, loaded)


def read_saved(folder: Path) -> dict[str, Table]:
    """Return a dict from split name to table for a folder that was saved by `save_to_disk`.

    The only key is "all" if a single `Dataset` was saved. Raises DataError if the folder is damaged.
    """
    import datasets

    try:
        loaded = datasets.load_from_disk(str(folder))
    except Exception as error:  # datasets does not document what it raises for damaged files
        raise DataError(
            f"{folder}: can't be loaded, or damaged: {_first_line(error)}; save it again"
        ) from error
    if isinstance(loaded, datasets.Dataset):
        return {"all": dataset_table(str(folder), loaded)}
    return dataset_tables(str(folder), loaded)


def dataset_tables(source: str, loaded: Any) -> dict[str, Table]:
    """Return a dict from split name to table for a `datasets.DatasetDict`.

    The only key is "all" if no split is named.
    """
    tables = {
        split: dataset_table(f"{source} ({name})", dataset)
        for name, dataset in loaded.items()
        if (split := split_called(str(name))) is not None
    }
    if not tables and len(loaded) == 1:
        name, dataset = next(iter(loaded.items()))
        return {"all": dataset_table(f"{source} ({name})", dataset)}
    return with_left_out_warning(
        tables, source, (str(name) for name in loaded if split_called(str(name)) is None)
    )


def dataset_table(source: str, dataset: Any) -> Table:
    """Return a `datasets.Dataset` as a table; `source` names it in messages."""
    columns = [dataset[name][:] for name in dataset.column_names]
    rows = [Row(number, cells) for number, cells in enumerate(zip(*columns, strict=True), start=1)]
    return Table(source, tuple(dataset.column_names), rows, class_names(dataset.features.to_dict()))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
