"""Load a data set of any task: read and check the rows, cut off missing splits, and compute the fingerprint."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ftool.data.cells import is_missing, listed_rows
from ftool.data.dataset import Dataset, E, Split, fingerprint
from ftool.data.label_policy import ModelFacts, fold_look_alikes, labels_missing, look_alikes
from ftool.data.missing_words import doubtful_texts
from ftool.data.rows.base import RowReader, first_of
from ftool.data.sources.find import find_tables, only_table, read_data
from ftool.data.sources.hub import is_hub_id
from ftool.data.sources.memory import tables_in_memory
from ftool.data.splits import SPLITS, contradictions, cut_missing_splits, shared_texts
from ftool.data.table import Table
from ftool.data.two_columns import nameless_cells
from ftool.data.unlabelled_splits import refuse_unlabelled, without_unlabelled
from ftool.errors import DataError
from ftool.recipe.data_settings import DataSettings

_log = logging.getLogger(__name__)


def load_dataset(
    kind: type[RowReader[E]], settings: DataSettings, model: ModelFacts | None = None, *, quiet: bool = False
) -> Dataset[E]:
    """Return the data set that `settings` describes, read by a reader of class `kind`.

    If the data has no validation or test split, one is cut off the training split. `model` is given if the data is for
    a model that is already trained: rows are then read as inputs of this model, and the labels are the labels of the
    model. `quiet` keeps notes and warnings out of the log, except a warning about labels of the model that no example
    has: for a caller that reports them in another way, or that reads data which was reported before. Raises DataError,
    which names the file, row or column, if a file can't be read, if a text is empty, or if a label is unknown: the
    model does not have this label or, without `model`, no training example has it.
    """
    tables = without_unlabelled(kind, find_tables(settings), settings)
    return _dataset(kind, tables, settings, model, quiet=quiet)


def input_columns(kind: type[RowReader[Any]], settings: DataSettings) -> Mapping[str, str]:
    """Return the column of the training data for each field of a model's input; empty if the data can't be read.

    Data on the hub is not read: only the settings then name columns.
    """
    if is_hub_id(settings.path) and not Path(settings.path).exists():
        return {} if settings.text is None else {"text": settings.text}
    try:
        tables = without_unlabelled(kind, find_tables(settings), settings)
        return kind(tables, settings).input_columns()
    except DataError:
        return {}


def load_rows(
    kind: type[RowReader[E]], rows: Any, model: ModelFacts | None = None, **settings: Any
) -> Dataset[E]:
    """Return the data set of rows in memory, read by a reader of class `kind`.

    Args:
        kind: the class of the reader.
        rows: a DataFrame, a `datasets.Dataset` or `DatasetDict`, a `pyarrow.Table`, an iterable of dicts, or a dict
            from split name to one of these.
        model: the trained model that the data is for, as in `load_dataset`.
        settings: fields of DataSettings, such as `text="body"`.

    Raises DataError for the same reasons as `load_dataset`.
    """
    tables = tables_in_memory(rows)
    if "all" in tables:
        tables["train"] = tables.pop("all")
    if "train" not in tables:
        raise DataError(f"the rows have no train split, only {', '.join(tables)}")
    given = DataSettings(path=tables["train"].source, **settings)
    return _dataset(kind, without_unlabelled(kind, tables, given), given, model)


def load_split(
    kind: type[RowReader[E]], settings: DataSettings, split: str = "test", model: ModelFacts | None = None
) -> Split[E]:
    """Return the split named `split` of the data in `settings.path`, or the data's only split if there is just one.

    No missing split is cut off. `model` is given if the data is for a model that is already trained. Raises DataError
    for the same reasons as `load_dataset`, and if the data has several splits but none named `split`.
    """
    table = only_table(read_data(settings), split, settings.path)
    refuse_unlabelled(kind, table, settings, () if model is None else model.labels)
    reader, splits = _read(kind, {split: table}, settings, model)
    if model is not None:
        reader.warnings += labels_missing(splits.values(), reader.known_classes(model.labels), table.source)
    _log_all((), reader.warnings)
    return reader.set_aside(splits[split])


def split_for_model(
    kind: type[RowReader[E]],
    own: DataSettings,
    other: DataSettings | None,
    split: str,
    model: ModelFacts | None = None,
) -> Split[E]:
    """Return the split named `split` of the data set `other`; if `other` is None, of the data set `own`.

    `own` is the data set that the model was trained on, and is split exactly as in training; training has reported its
    notes and warnings, so they are not logged again. Raises DataError for the
    same reasons as `load_dataset`.
    """
    if other is not None:
        return load_split(kind, other, split, model)
    return load_dataset(kind, own, model, quiet=True).split(split)


def _dataset(
    kind: type[RowReader[E]],
    tables: dict[str, Table],
    settings: DataSettings,
    model: ModelFacts | None,
    *,
    quiet: bool = False,
) -> Dataset[E]:
    reader, splits = _read(kind, tables, settings, model)
    labels = reader.labels(splits) if model is None else tuple(model.labels)
    missing = (
        [] if model is None else labels_missing(splits.values(), reader.known_classes(labels), settings.path)
    )
    warnings = [*reader.warnings, *missing, *shared_texts(splits)]
    of_tables = [note for table in reader.tables.values() for note in table.notes]
    notes = [
        reader.note(),
        *of_tables,
        *cut_missing_splits(splits, settings, reader.groups, reader.kept_together),
    ]
    splits = {name: reader.set_aside(splits[name]) for name in dict.fromkeys((*SPLITS, *splits))}
    for one in splits.values():
        _refuse_empty(one.source, len(one))
    notes += _outside_note(splits, settings)
    _log_all([] if quiet else notes, missing if quiet else warnings)
    return Dataset(
        splits=splits,
        labels=labels,
        facts=reader.facts(splits["train"]),
        sha256=fingerprint(splits["train"].examples, labels if reader.labelled else None),
        notes=tuple(notes),
        warnings=tuple(warnings),
    )


def _read(
    kind: type[RowReader[E]],
    tables: Mapping[str, Table],
    settings: DataSettings,
    model: ModelFacts | None,
) -> tuple[RowReader[E], dict[str, Split[E]]]:
    tables = {name: _without_headers(_without_empty_rows(table)) for name, table in tables.items()}
    for table in tables.values():
        _refuse_empty(table.source, len(table.rows))
    reader = kind(tables, settings, model)
    reader.warnings += [warning for table in reader.tables.values() for warning in table.warnings]
    reader.warnings += [warning for table in tables.values() for warning in nameless_cells(table)]
    splits = {name: reader.read(table) for name, table in reader.tables.items()}
    if settings.fold_labels:
        known = None if model is None else reader.known_classes(model.labels)
        splits = fold_look_alikes(splits, first_of(splits), known)
    splits = reader.finish(splits)
    reader.warnings += doubtful_texts(splits)
    if "train" in splits:
        reader.warnings += contradictions(splits["train"])
    if model is None:
        reader.warnings += look_alikes(splits.values(), settings.path)
    for one in splits.values():
        _refuse_empty(one.source, len(one))
    return reader, splits


def _outside_note(splits: Mapping[str, Split[E]], settings: DataSettings) -> list[str]:
    """Return a list with a note that counts the examples which no label fits; empty if there are none."""
    counts = {name: len(split.outside) for name, split in splits.items() if split.outside}
    if not counts:
        return []
    listed = ", ".join(f"{count} {name}" for name, count in counts.items())
    return [
        f"none of the labels ({settings.none_label!r}): {listed}; set aside to fit and to measure a threshold"
    ]


def _without_empty_rows(table: Table) -> Table:
    """Return the table without the rows whose cells are all empty, and with a warning that counts these rows."""
    kept = [row for row in table.rows if not all(map(is_missing, row.cells))]
    empty = len(table.rows) - len(kept)
    if not empty:
        return table
    skipped = f"{empty} empty row{'s' if empty > 1 else ''} {'were' if empty > 1 else 'was'} skipped"
    return replace(table, rows=kept, warnings=(*table.warnings, f"{table.source}: {skipped}"))


def _without_headers(table: Table) -> Table:
    """Return the table without the rows that repeat the names of the columns, and with a warning that lists them."""
    if len(table.columns) < 2:
        return table
    repeated = [row.number for row in table.rows if row.cells == table.columns]
    if not repeated:
        return table
    kept = [row for row in table.rows if row.cells != table.columns]
    skipped = f"{listed_rows(repeated)} repeat{'' if repeated[1:] else 's'} the header, and"
    warning = f"{table.source}: {skipped} {'were' if repeated[1:] else 'was'} skipped"
    return replace(table, rows=kept, warnings=(*table.warnings, warning))


def _refuse_empty(source: str, count: int) -> None:
    if not count:
        raise DataError(f"{source}: holds no examples")


def _log_all(notes: Iterable[str], warnings: Iterable[str]) -> None:
    for note in notes:
        _log.info("%s", note)
    for warning in warnings:
        _log.warning("%s", warning)
