"""Read the tables of a data set, one table per split.

A data set is a file, a folder, a data set that ships with ftool, or a data set on the hub.
"""

import importlib.resources
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ftool.data.sources.conll import CONLL_SUFFIXES, is_conll, read_conll
from ftool.data.sources.dates import date_tables
from ftool.data.sources.delimited import read_csv, read_tsv
from ftool.data.sources.files import DataFile, data_file
from ftool.data.sources.hub import is_hub_id, read_hub, read_saved
from ftool.data.sources.json_files import read_json, read_jsonl
from ftool.data.sources.parquet import read_parquet
from ftool.data.sources.plain_text import read_aligned, read_plain_text
from ftool.data.splits import is_shard, split_called
from ftool.data.table import Table
from ftool.errors import DataError
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.paths import BUILTIN, looks_like_path

SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet", ".txt", *CONLL_SUFFIXES)
_SAVED_BY_DATASETS = ("dataset_dict.json", "state.json")  # of a DatasetDict, and of a single Dataset
GENERATED = {"dates": date_tables}  # shipped data that is generated: builtin:NAME, or builtin:NAME:SIZE


def find_tables(settings: DataSettings) -> dict[str, Table]:
    """Return a dict from split name to table: the split "train", and any other splits that the data has.

    Data without named splits is all in "train". Separate validation and test files of the settings are included. Raises
    DataError if there is no data, or no training split.
    """
    tables = read_data(settings)
    if "all" in tables:
        tables["train"] = tables.pop("all")
    for split, path in (("validation", settings.validation), ("test", settings.test)):
        if path is not None:
            tables[split] = only_table(read_tables(path, settings.columns, settings.seed), split, path)
    if "train" not in tables:
        raise DataError(
            f"{settings.path}: has no train split, only {', '.join(tables) or 'splits of other names'}"
        )
    return tables


def read_data(settings: DataSettings) -> dict[str, Table]:
    """Return a dict from split name to table for `settings.path`, without the separate validation and test files.

    If the splits are not named, the only key is "all".
    """
    if settings.target_file is not None:
        source, target = Path(settings.path).expanduser(), Path(settings.target_file).expanduser()
        return {"all": read_aligned(source, target)}
    return read_tables(settings.path, settings.columns, settings.seed)


def read_tables(path: str, columns: Sequence[str] | None, seed: int) -> dict[str, Table]:
    """Return a dict from split name to table for the data set `path`; the only key is "all" if no split is named.

    `path` is a file, a folder, a hub id or `builtin:NAME`. `columns` names the columns of a file without a header;
    `seed` is used only for generated data. Raises DataError if there is no such data set.
    """
    if path.startswith(BUILTIN):
        name, _, size = path.removeprefix(BUILTIN).partition(":")
        if name in GENERATED:
            return GENERATED[name](size, seed)
        return _read_folder(_builtin_folder(path.removeprefix(BUILTIN)), columns)
    local = Path(path).expanduser()
    if local.is_dir():
        return _read_folder(local, columns)
    if local.exists() or looks_like_path(path):
        return read_file(local, columns)
    if is_hub_id(path):
        return read_hub(path)
    raise DataError(
        f"{path}: no such file or folder, and not a hub id (owner/name) or a shipped data set (builtin:intents)"
    )


def only_table(tables: dict[str, Table], split: str, path: str) -> Table:
    """Return the table of the split `split`, or the only table if there is just one.

    Raises DataError, in which `path` names the data, if there are several tables but none of this split.
    """
    if split in tables:
        return tables[split]
    if len(tables) == 1:
        return next(iter(tables.values()))
    raise DataError(f"{path}: has no {split} split, only {', '.join(tables)}")


def read_file(path: Path, columns: Sequence[str] | None) -> dict[str, Table]:
    """Return a dict from split name to table for one file; the only key is "all" if no split is named.

    The suffix decides how the file is read; a TSV or TXT file can also be in CoNLL format. Raises DataError for an
    unknown suffix.
    """
    file = data_file(path)
    tables = _parsed(file, columns)
    first = next(iter(tables))
    warnings = (*tables[first].warnings, *file.warnings)
    return {**tables, first: replace(tables[first], warnings=warnings)}


def _parsed(file: DataFile, columns: Sequence[str] | None) -> dict[str, Table]:
    match file.suffix:
        case ".tsv" | ".txt" if is_conll(file):
            return {"all": read_conll(file, columns)}
        case suffix if suffix in CONLL_SUFFIXES:
            return {"all": read_conll(file, columns)}
        case ".csv":
            return {"all": read_csv(file, columns)}
        case ".tsv":
            return {"all": read_tsv(file, columns)}
        case ".jsonl" | ".ndjson":
            return read_jsonl(file, columns)
        case ".json":
            return read_json(file, columns)
        case ".parquet":
            return {"all": read_parquet(file)}
        case ".txt":
            return {"all": read_tsv(file, columns) if columns else read_plain_text(file)}
        case suffix:
            known = ", ".join(SUFFIXES)
            raise DataError(
                f"{file.source}: unknown kind of file ({suffix or 'no suffix'}); known are {known}, "
                "each also .gz, .bz2 and .xz"
            )


def _read_folder(folder: Path, columns: Sequence[str] | None) -> dict[str, Table]:
    if any((folder / name).is_file() for name in _SAVED_BY_DATASETS):
        return read_saved(folder)
    files = _data_files(folder) or _data_files(folder / "data")  # the hub's layout has a `data` folder
    by_split: dict[str, list[Path]] = {}
    for path in files:
        if split := split_called(data_file(path).stem):
            by_split.setdefault(split, []).append(path)
    if "train" not in by_split and "test" not in by_split:
        names = ", ".join(path.name for path in files[:8]) or "no data file"
        raise DataError(
            f"{folder}: has no train, validation or test file, such as train.csv; it holds {names}"
        )
    return {split: _read_shards(paths, columns) for split, paths in by_split.items()}


def _data_files(folder: Path) -> list[Path]:
    paths = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in paths if path.is_file() and data_file(path).suffix in SUFFIXES)


def _read_shards(paths: list[Path], columns: Sequence[str] | None) -> Table:
    if len(paths) > 1 and not all(is_shard(data_file(path).stem) for path in paths):
        names = " and ".join(path.name for path in paths)
        raise DataError(f"{paths[0].parent}: several files for the same split, {names}; keep one")
    tables = [only_table(read_file(path, columns), "all", str(path)) for path in paths]
    if any(table.columns != tables[0].columns for table in tables):
        raise DataError(
            f"{paths[0].parent}: the shards {', '.join(path.name for path in paths)} differ in columns"
        )
    return replace(tables[0], rows=[row for table in tables for row in table.rows])


def _builtin_folder(name: str) -> Path:
    root = Path(str(importlib.resources.files("ftool") / "builtin"))
    names = sorted(folder.name for folder in root.iterdir() if (folder / "train.csv").is_file())
    if name not in names:
        names = sorted([*names, *GENERATED])
        raise DataError(f"builtin:{name}: no such data set ships with ftool; there are {', '.join(names)}")
    return root / name
