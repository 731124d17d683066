"""A data set from its settings: read, checked, split, and its labels numbered."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ftool.recipe import DataSettings

from .columns import label_column, text_column
from .cutting import cut_missing_splits, cut_off
from .examples import Examples, checked_texts
from .fingerprint import fingerprint
from .label_set import label_set, numbered, refuse_unknown
from .labels import LabelReader, label_reader
from .overlaps import contradictions, shared_texts
from .sources import find_tables, only_table, read_data
from .table import Table
from .types import ClassificationData, DataError, Split

_log = logging.getLogger(__name__)


def load_dataset(settings: DataSettings, task: str = "text-classification") -> ClassificationData:
    """The data that `settings` describes, for a task.

    A validation or test split that the data lacks is cut off its training rows. Raises DataError naming the
    file, row or column for what can't be used: unreadable files, empty texts, labels that training lacks.
    """
    if task != "text-classification":
        raise DataError(f"labelled texts are for text-classification, not for the task {task!r}")
    tables = find_tables(settings)
    reader = _reader(settings, tables)
    splits = {name: _examples(table, settings, reader) for name, table in tables.items()}
    label_names = label_set(splits, reader.names)
    warnings = _unused_names(reader, label_names) + shared_texts(splits) + contradictions(splits["train"])
    notes = [
        _columns_note(tables["train"], settings),
        *cut_missing_splits(splits, settings, cut_off, "stratified by label"),
    ]
    for note in notes:
        _log.info("%s", note)
    for warning in warnings:
        _log.warning("%s", warning)
    finished = {
        name: numbered(examples, label_names, multi_label=reader.multi_label)
        for name, examples in splits.items()
    }
    return ClassificationData(
        train=finished["train"],
        validation=finished["validation"],
        test=finished["test"],
        label_names=label_names,
        multi_label=reader.multi_label,
        sha256=fingerprint(splits["train"], label_names),
        notes=tuple(notes),
        warnings=tuple(warnings),
    )


def load_split(
    settings: DataSettings, label_names: Sequence[str], *, multi_label: bool, split: str = "test"
) -> Split:
    """Labelled examples for a model that has its labels already: those of `split`, or of the only one.

    Raises DataError as `load_dataset` does, and for a label that the model does not know.
    """
    table = only_table(read_data(settings), split, settings.path)
    reader = _reader(replace(settings, multi_label=multi_label), {split: table})
    examples = _examples(table, settings, reader)
    refuse_unknown(examples, label_names, "the model does not know")
    return numbered(examples, label_names, multi_label=multi_label)


def load_texts(settings: DataSettings, split: str = "test") -> list[str]:
    """The texts alone of a data set, which needs no labels."""
    table = only_table(read_data(settings), split, settings.path)
    column = text_column(table, settings.text)
    return checked_texts(
        table.source, [row.number for row in table.rows], [row.cells[column] for row in table.rows]
    )


def _reader(settings: DataSettings, tables: Mapping[str, Table]) -> LabelReader:
    columns = {name: label_column(table, settings.label) for name, table in tables.items()}
    first = next(iter(tables))
    cells = (row.cells[columns[name]] for name, table in tables.items() for row in table.rows)
    return label_reader(settings, cells, tables[first].class_names, tables[first].columns[columns[first]])


def _examples(table: Table, settings: DataSettings, reader: LabelReader) -> Examples:
    texts, labels = text_column(table, settings.text), label_column(table, settings.label)
    if not table.rows:
        raise DataError(f"{table.source}: holds no examples")
    numbers = [row.number for row in table.rows]
    return Examples(
        table.source,
        checked_texts(table.source, numbers, [row.cells[texts] for row in table.rows]),
        [reader.read(row.cells[labels], table.source, row.number) for row in table.rows],
        numbers,
        table,
    )


def _columns_note(table: Table, settings: DataSettings) -> str:
    texts = table.columns[text_column(table, settings.text)]
    labels = table.columns[label_column(table, settings.label)]
    return f"{table.source}: texts from the column {texts!r}, labels from {labels!r}"


def _unused_names(reader: LabelReader, label_names: Sequence[str]) -> list[str]:
    unused = [name for name in reader.names or () if name not in label_names]
    return (
        [f"no training example has the label {', '.join(unused)}; the model won't know it"] if unused else []
    )
