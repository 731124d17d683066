"""A data set from its settings: read, checked, split, and its labels numbered."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ftool.data.columns import label_column, text_column, text_columns
from ftool.data.examples import Examples, checked_texts
from ftool.data.fingerprint import fingerprint
from ftool.data.label_set import label_set, numbered, refuse_unknown
from ftool.data.overlaps import contradictions, shared_texts
from ftool.data.rows.labels import LabelReader, label_reader
from ftool.data.rows.numbers import is_regression, numbers_of, refuse_constant
from ftool.data.sources.find import find_tables, only_table, read_data
from ftool.data.splitting import cut_missing_splits, cut_off
from ftool.data.table import Table
from ftool.data.types import ClassificationData, DataError, Split
from ftool.recipe.data_settings import DataSettings

_log = logging.getLogger(__name__)


def load_dataset(settings: DataSettings, task: str = "text-classification") -> ClassificationData:
    """The data that `settings` describes, for a task.

    A validation or test split that the data lacks is cut off its training rows. Raises DataError naming the
    file, row or column for what can't be used: unreadable files, empty texts, labels that training lacks.
    """
    if task != "text-classification":
        raise DataError(f"labelled texts are for text-classification, not for the task {task!r}")
    tables = find_tables(settings)
    regression = is_regression(settings, tables)
    reader = None if regression else _reader(settings, tables)
    splits = {name: _examples(table, settings, reader) for name, table in tables.items()}
    _refuse_half_pairs(splits)
    label_names = () if reader is None else label_set(splits, reader.names)
    warnings = _warnings(reader, label_names, splits)
    notes = [
        _columns_note(tables["train"], settings, regression=regression),
        *cut_missing_splits(
            splits, settings, cut_off, "each text on one side" if regression else "stratified by label"
        ),
    ]
    for note in notes:
        _log.info("%s", note)
    for warning in warnings:
        _log.warning("%s", warning)
    multi_label = reader is not None and reader.multi_label
    finished = {
        name: _finished(examples, label_names, multi_label=multi_label) for name, examples in splits.items()
    }
    if regression:
        refuse_constant(finished["train"].source, finished["train"].scores)
    return ClassificationData(
        train=finished["train"],
        validation=finished["validation"],
        test=finished["test"],
        label_names=label_names,
        multi_label=multi_label,
        sha256=fingerprint(splits["train"], label_names),
        regression=regression,
        notes=tuple(notes),
        warnings=tuple(warnings),
    )


def load_split(
    settings: DataSettings,
    label_names: Sequence[str],
    *,
    multi_label: bool,
    regression: bool = False,
    pairs: bool = False,
    split: str = "test",
) -> Split:
    """Labelled examples for a model that is trained already: those of `split`, or of the only one.

    Raises DataError as `load_dataset` does, and for a label that the model does not know, or a text without the second
    one that it takes.
    """
    table = only_table(read_data(settings), split, settings.path)
    if not pairs and settings.text_pair is None and settings.text is None:
        settings = replace(
            settings, text=table.columns[text_columns(table, None, None)[0]]
        )  # of two the first
    reader = None if regression else _reader(replace(settings, multi_label=multi_label), {split: table})
    examples = _examples(table, settings, reader)
    if pairs and examples.pairs is None:
        raise DataError(
            f"{table.source}: the model takes two texts; name the column of the second with --set data.text_pair=NAME"
        )
    if reader is not None:
        refuse_unknown(examples, label_names, "the model does not know")
    return _finished(examples, label_names, multi_label=multi_label)


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


def _examples(table: Table, settings: DataSettings, reader: LabelReader | None) -> Examples:
    texts, pairs = text_columns(table, settings.text, settings.text_pair)
    labels = label_column(table, settings.label)
    if not table.rows:
        raise DataError(f"{table.source}: holds no examples")
    numbers = [row.number for row in table.rows]
    return Examples(
        table.source,
        checked_texts(table.source, numbers, [row.cells[texts] for row in table.rows]),
        [
            () if reader is None else reader.read(row.cells[labels], table.source, row.number)
            for row in table.rows
        ],
        numbers,
        table,
        None
        if pairs is None
        else checked_texts(table.source, numbers, [row.cells[pairs] for row in table.rows], "second text"),
        numbers_of(table, table.columns[labels]) if reader is None else None,
    )


def _finished(examples: Examples, label_names: Sequence[str], *, multi_label: bool) -> Split:
    if examples.scores is None:
        return numbered(examples, label_names, multi_label=multi_label)
    return Split(
        examples.texts, examples.scores, examples.rows, examples.source, examples.table, examples.pairs
    )


def _refuse_half_pairs(splits: Mapping[str, Examples]) -> None:
    for examples in splits.values():
        if (examples.pairs is None) != (splits["train"].pairs is None):
            raise DataError(
                f"{examples.source}: has {'one text' if examples.pairs is None else 'two texts'} a row, unlike "
                f"{splits['train'].source}; name the columns with --text-column and --set data.text_pair=NAME"
            )


def _columns_note(table: Table, settings: DataSettings, *, regression: bool) -> str:
    first, second = text_columns(table, settings.text, settings.text_pair)
    pair = "" if second is None else f" and {table.columns[second]!r}"
    texts, labels = table.columns[first], table.columns[label_column(table, settings.label)]
    what = "numbers to meet (data.regression)" if regression else "labels"
    plural = "" if second is None else "s"
    return f"{table.source}: texts from the column{plural} {texts!r}{pair}, {what} from {labels!r}"


def _warnings(
    reader: LabelReader | None, label_names: Sequence[str], splits: Mapping[str, Examples]
) -> list[str]:
    if reader is None:
        return shared_texts(splits)
    return _unused_names(reader, label_names) + shared_texts(splits) + contradictions(splits["train"])


def _unused_names(reader: LabelReader, label_names: Sequence[str]) -> list[str]:
    unused = [name for name in reader.names or () if name not in label_names]
    return (
        [f"no training example has the label {', '.join(unused)}; the model won't know it"] if unused else []
    )
