"""Read the tables of a data set, one table per split.

A data set is a file, a folder, a data set that ships with ftool, or a data set on the hub.
"""

import importlib.resources
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ftool.data.columns import listed_columns
from ftool.data.sources.arrow_files import ARROW_SUFFIXES, read_arrow, read_parquet
from ftool.data.sources.class_folders import read_class_folders
from ftool.data.sources.conll import CONLL_SUFFIXES, is_conll, read_conll
from ftool.data.sources.conllu import CONLLU_SUFFIXES, read_conllu
from ftool.data.sources.databases import DATABASE_SUFFIXES, read_database
from ftool.data.sources.dates import date_tables
from ftool.data.sources.delimited import read_csv, read_tsv, separator_of
from ftool.data.sources.fasttext import FASTTEXT_SUFFIXES, is_fasttext, read_fasttext
from ftool.data.sources.files import DataFile, data_file, files_below, files_in_zip
from ftool.data.sources.hub import is_hub_id, read_hub, read_saved
from ftool.data.sources.json_files import read_json, read_jsonl
from ftool.data.sources.memory import RowsInMemory
from ftool.data.sources.plain_text import read_aligned, read_plain_text
from ftool.data.sources.spreadsheets import SPREADSHEET_SUFFIXES, read_spreadsheet
from ftool.data.split_column import divided
from ftool.data.splits import is_shard, split_called, with_left_out_warning
from ftool.data.table import Row, Table
from ftool.errors import DataError
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.paths import BUILTIN, SQLITE, looks_like_path

SUFFIXES = (
    ".csv", ".psv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet", *ARROW_SUFFIXES, *SPREADSHEET_SUFFIXES, ".txt",
    *CONLL_SUFFIXES, *CONLLU_SUFFIXES,
)  # fmt: skip
_SAVED_BY_DATASETS = ("dataset_dict.json", "state.json")  # of a DatasetDict, and of a single Dataset
GENERATED = {"dates": date_tables}  # shipped data that is generated: builtin:NAME, or builtin:NAME:SIZE


def shipped_data() -> list[str]:
    """Return the names of the data sets that ship with ftool, such as "builtin:intents"."""
    return [f"{BUILTIN}{name}" for name in sorted([*GENERATED, *_builtin_folders()])]


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
    if isinstance(settings, RowsInMemory):
        return dict(settings.tables)
    if settings.target_file is not None:
        source, target = Path(settings.path).expanduser(), Path(settings.target_file).expanduser()
        return {"all": read_aligned(source, target)}
    return read_tables(settings.path, settings.columns, settings.seed)


def read_tables(path: str, columns: Sequence[str] | None, seed: int) -> dict[str, Table]:
    """Return a dict from split name to table for the data set `path`; the only key is "all" if no split is named.

    `path` is a file, a folder, a hub id or `builtin:NAME`. A column can name the split of each row. `columns` names the
    columns of a file without a header; `seed` is used only for generated data. Raises DataError if there is no such
    data set.
    """
    return divided(_stored_tables(path, columns, seed))


def _stored_tables(path: str, columns: Sequence[str] | None, seed: int) -> dict[str, Table]:
    if path.startswith(BUILTIN):
        name, _, size = path.removeprefix(BUILTIN).partition(":")
        if name in GENERATED:
            return GENERATED[name](size, seed)
        return _read_folder(_builtin_folder(path.removeprefix(BUILTIN)), columns)
    if path.startswith(SQLITE):
        return {"all": read_database(path)}
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

    The suffix decides how the file is read; a TSV or TXT file can also be in CoNLL format, and a TXT file can be a
    table with a header. A zip archive is read like a folder, or like the only data file in the archive. Raises
    DataError for an unknown suffix.
    """
    if path.suffix.lower() == ".zip":
        return _read_zip(path, columns)
    if path.suffix.lower() in DATABASE_SUFFIXES:
        return {"all": read_database(f"{SQLITE}{path}")}
    return _read(data_file(path), columns)


def _read(file: DataFile, columns: Sequence[str] | None) -> dict[str, Table]:
    tables = _parsed(file, columns)
    first = next(iter(tables))
    warnings = (*tables[first].warnings, *file.warnings)
    return {**tables, first: replace(tables[first], warnings=warnings)}


def _parsed(file: DataFile, columns: Sequence[str] | None) -> dict[str, Table]:
    match file.suffix:
        case ".tsv" | ".txt" if is_conll(file):
            return {"all": read_conll(file, columns)}
        case suffix if suffix in FASTTEXT_SUFFIXES and not columns and is_fasttext(file):
            return {"all": read_fasttext(file)}
        case suffix if suffix in CONLLU_SUFFIXES:
            return {"all": read_conllu(file)}
        case suffix if suffix in CONLL_SUFFIXES:
            return {"all": read_conll(file, columns)}
        case ".csv" | ".psv":
            return {"all": read_csv(file, columns)}
        case ".tsv":
            return {"all": read_tsv(file, columns)}
        case ".jsonl" | ".ndjson":
            return read_jsonl(file, columns)
        case ".json":
            return read_json(file, columns)
        case ".parquet":
            return {"all": read_parquet(file)}
        case suffix if suffix in ARROW_SUFFIXES:
            return {"all": read_arrow(file)}
        case suffix if suffix in SPREADSHEET_SUFFIXES:
            return read_spreadsheet(file, columns)
        case ".txt" if (mark := separator_of(file, columns)) is not None:
            return {"all": read_tsv(file, columns) if mark == "\t" else read_csv(file, columns)}
        case ".txt":
            return {"all": read_tsv(file, columns) if columns else read_plain_text(file)}
        case ".xls" | ".ods" | ".numbers" as suffix:
            raise DataError(f"{file.source}: {suffix} is not read; save the sheet as .xlsx or CSV")
        case suffix:
            known = ", ".join((*SUFFIXES, *DATABASE_SUFFIXES))
            raise DataError(
                f"{file.source}: unknown kind of file ({suffix or 'no suffix'}); known are {known}, "
                "each also .gz, .bz2, .xz and .zip"
            )


def _read_folder(folder: Path, columns: Sequence[str] | None) -> dict[str, Table]:
    if any((folder / name).is_file() for name in _SAVED_BY_DATASETS):
        return read_saved(folder)
    source = str(folder)
    if tables := _read_splits(source, files_below(folder, 0), columns):
        return tables
    files = files_below(folder, 2)
    if tables := _read_folders(source, files, columns):
        return tables
    names = ", ".join(Path(file.source).name for file in _data_files(files)[:8]) or "no data file"
    raise DataError(
        f"{folder}: has no train, validation or test file, such as train.csv, and no folder for each class; it holds "
        f"{names}"
    )


def _read_zip(path: Path, columns: Sequence[str] | None) -> dict[str, Table]:
    source, files = str(path), files_in_zip(path)
    top = [file for file in files if not file.folder]
    if tables := _read_splits(source, top, columns) or _read_folders(source, files, columns):
        return tables
    found = _data_files(files)
    tabular = [
        file for file in found if file.suffix != ".txt"
    ]  # beside which a text says something about the data
    for candidates in (tabular, found):
        if len(candidates) == 1:
            return _read(candidates[0], columns)
    names = ", ".join(file.name for file in found[:8]) or "no data file"
    raise DataError(
        f"{path}: has neither one data file nor train, validation and test files; it holds {names}"
    )


def _read_folders(source: str, files: list[DataFile], columns: Sequence[str] | None) -> dict[str, Table]:
    """Return the tables of data whose files are in folders: `data`, as on the hub, or one for each split or class.

    Returns an empty dict if the folders are none of these.
    """
    in_data = [file for file in files if file.folder == "data"]
    if tables := _read_splits(source, in_data, columns):
        return tables
    tabular = [file for file in _data_files(files) if file.suffix != ".txt"]
    by_split: dict[str, list[DataFile]] = {}
    for file in tabular:
        if split := split_called(file.folder):
            by_split.setdefault(split, []).append(file)
    if "train" in by_split or "test" in by_split:
        tables = {split: _read_shards(source, found, columns) for split, found in by_split.items()}
        others = dict.fromkeys(file.folder or file.name for file in tabular if not split_called(file.folder))
        return with_left_out_warning(tables, source, others)
    return {} if tabular else read_class_folders(source, [file for file in files if file.folder])


def _read_splits(source: str, files: list[DataFile], columns: Sequence[str] | None) -> dict[str, Table]:
    """Return the tables of files called like splits; an empty dict if there is neither a train nor a test file."""
    by_split: dict[str, list[DataFile]] = {}
    for file in _data_files(files):
        if split := split_called(file.stem):
            by_split.setdefault(split, []).append(file)
    if "train" not in by_split and "test" not in by_split:
        return {}
    tables = {split: _read_shards(source, found, columns) for split, found in by_split.items()}
    others = (
        file.name for file in _data_files(files) if not split_called(file.stem) and file.suffix != ".txt"
    )
    return with_left_out_warning(tables, source, others)


def _data_files(files: list[DataFile]) -> list[DataFile]:
    return [file for file in files if file.suffix in SUFFIXES]


def _read_shards(source: str, files: list[DataFile], columns: Sequence[str] | None) -> Table:
    names = [Path(file.source).name for file in files]
    if len(files) > 1 and not all(is_shard(file.stem) for file in files):
        raise DataError(f"{source}: several files for the same split, {' and '.join(names)}; keep one")
    tables = [only_table(_read(file, columns), "all", file.source) for file in files]
    tables = [tables[0], *(_in_order(table, tables[0].columns) for table in tables[1:])]
    for name, table in zip(names, tables, strict=True):
        if table.columns != tables[0].columns:
            raise DataError(
                f"{source}: the shards differ in columns: {names[0]} has {listed_columns(tables[0])}, and {name} has "
                f"{listed_columns(table)}"
            )
    return replace(
        tables[0],
        rows=[row for table in tables for row in table.rows],
        warnings=tuple(warning for table in tables for warning in table.warnings),
    )


def _in_order(table: Table, columns: Sequence[str]) -> Table:
    """Return the table with its columns in the order of `columns`; unchanged if it has others."""
    if sorted(table.columns) != sorted(columns) or len(set(columns)) != len(columns):
        return table
    places = [table.columns.index(name) for name in columns]
    rows = [Row(row.number, tuple(row.cells[place] for place in places)) for row in table.rows]
    return replace(table, columns=tuple(columns), rows=rows)


def _builtin_folder(name: str) -> Path:
    folders = _builtin_folders()
    if name not in folders:
        names = sorted([*folders, *GENERATED])
        raise DataError(f"builtin:{name}: no such data set ships with ftool; there are {', '.join(names)}")
    return folders[name]


def _builtin_folders() -> dict[str, Path]:
    root = Path(str(importlib.resources.files("ftool") / "builtin"))
    return {folder.name: folder for folder in root.iterdir() if (folder / "train.csv").is_file()}
