"""Texts with tagged entities from their settings: read, checked, brought to IOB2 and split."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ftool.data.columns import TEXT_COLUMNS, find_column
from ftool.data.examples import Examples, checked_texts
from ftool.data.label_set import refuse_unknown
from ftool.data.overlaps import shared_texts
from ftool.data.rows.character_spans import SpanReport, read_spans
from ftool.data.rows.labels import read_label_names
from ftool.data.rows.tag_schemes import OUTSIDE, count_repaired, detect_scheme, spans_of_tags, tags_of_spans
from ftool.data.rows.word_tags import BadRowError, read_words
from ftool.data.sources.find import find_tables, only_table, read_data
from ftool.data.splitting import cut_missing_splits, cut_off
from ftool.data.table import Table
from ftool.data.tagged_text import TaggedData, TaggedSplit, TaggedText
from ftool.data.types import DataError
from ftool.recipe.data_settings import DataSettings
from ftool_runtime.postprocessing.tag_names import outside, split_tag

_log = logging.getLogger(__name__)

TOKEN_COLUMNS = ("tokens", "words", "token", "word", "form")
TAG_COLUMNS = ("ner_tags", "tags", "ner", "labels", "tag", "label", "bio", "iob")
SPAN_COLUMNS = ("entities", "spans", "labels", "label", "annotations", "ner", "tags")
SPANS = "spans"


def load_tagged_data(settings: DataSettings) -> TaggedData:
    """The data that `settings` describes, for token-classification, its tags in IOB2.

    A validation or test split that the data lacks is cut off its training rows. Raises DataError naming the file,
    row or column for what can't be used: tags that do not match their words, entities that overlap or stand outside
    their text, kinds of entity that training lacks.
    """
    tables = find_tables(settings)
    warnings: list[str] = []
    raw = {name: _read(table, settings, warnings) for name, table in tables.items()}
    scheme = _scheme(tables["train"], settings, raw["train"])
    splits = {name: _in_iob2(split, scheme, warnings) for name, split in raw.items()}
    kinds = _kinds(splits)
    warnings += shared_texts({name: _by_kind(split) for name, split in splits.items()})
    notes = [
        _note(tables["train"], settings, scheme),
        *cut_missing_splits(splits, settings, _cut, "stratified by kind of entity"),
    ]
    for note in notes:
        _log.info("%s", note)
    for warning in warnings:
        _log.warning("%s", warning)
    label_names = (OUTSIDE, *(f"{prefix}-{kind}" for kind in kinds for prefix in "BI"))
    return TaggedData(
        train=splits["train"],
        validation=splits["validation"],
        test=splits["test"],
        label_names=label_names,
        scheme=scheme,
        sha256=tagged_fingerprint(splits["train"].examples, label_names),
        notes=tuple(notes),
        warnings=tuple(warnings),
    )


def load_tagged_split(settings: DataSettings, label_names: Sequence[str], split: str = "test") -> TaggedSplit:
    """The examples of `split`, or of the only split there is: for a model that has its labels already.

    Raises DataError as `load_tagged_data` does, and for a kind of entity that the model does not know.
    """
    warnings: list[str] = []
    table = only_table(read_data(settings), split, settings.path)
    raw = _read(table, settings, warnings)
    examples = _in_iob2(raw, _scheme(table, settings, raw), warnings)
    for warning in warnings:
        _log.warning("%s", warning)
    refuse_unknown(_by_kind(examples), kinds_of(label_names), "the model does not know")
    return examples


def kinds_of(label_names: Sequence[str]) -> tuple[str, ...]:
    """The kinds of entity that tags speak of, each once, in their order."""
    return tuple(dict.fromkeys(split_tag(name)[1] for name in label_names if not outside(name)))


def tagged_fingerprint(examples: Sequence[TaggedText], label_names: Sequence[str]) -> str:
    """The sha256, in hexadecimal, of the label names and then each text with its words and tags, as lines of JSON.

    The file's format, its scheme of tags and its name do not count.
    """
    digest = hashlib.sha256()
    for line in (list(label_names), *([one.text, one.words, one.tags] for one in examples)):
        digest.update(json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
    return digest.hexdigest()


def _read(table: Table, settings: DataSettings, warnings: list[str]) -> TaggedSplit:
    """A table's texts with the tags as they stand there."""
    if not table.rows:
        raise DataError(f"{table.source}: holds no examples")
    words = word_column(table, settings)
    if words is None:
        return _read_spans(table, settings, warnings)
    tags = find_column(table, settings.label, TAG_COLUMNS, "tags", "--label-column")
    names = _names(table, settings, tags)
    texts = _text_beside(table, words)
    examples = []
    for row in table.rows:
        text = None if texts is None else row.cells[texts]
        try:
            examples.append(read_words(row.cells[words], row.cells[tags], text, names, row.number))
        except BadRowError as error:
            raise DataError(f"{table.source}: row {row.number} {error}") from error
    kept = [position for position, one in enumerate(examples) if one.text.strip()]
    if blank := len(examples) - len(kept):
        warnings.append(f"{table.source}: {blank} sentences of nothing but spaces were left out")
    if not kept:
        raise DataError(f"{table.source}: holds no sentence with a word that can be seen")
    return TaggedSplit(examples, table.source, table).take(kept)


def _read_spans(table: Table, settings: DataSettings, warnings: list[str]) -> TaggedSplit:
    text, spans = _span_columns(table, settings)
    texts = checked_texts(
        table.source, [row.number for row in table.rows], [row.cells[text] for row in table.rows]
    )
    report = SpanReport()
    examples = []
    for row, value in zip(table.rows, texts, strict=True):
        try:
            examples.append(read_spans(value, row.cells[spans], row.number, report))
        except BadRowError as error:
            raise DataError(f"{table.source}: row {row.number} {error}") from error
    warnings += report.warnings(table.source)
    return TaggedSplit(examples, table.source, table)


def word_column(table: Table, settings: DataSettings) -> int | None:
    """Where the column of words stands: the one that the settings name, or the usual; None for texts with spans."""
    if settings.text is not None:
        named = find_column(table, settings.text, (), "words", "--text-column")
        is_list = isinstance(table.rows[0].cells[named], list | tuple)
        return named if is_list or settings.text.lower() in TOKEN_COLUMNS else None
    lowered = [column.lower() for column in table.columns]
    return next((lowered.index(name) for name in TOKEN_COLUMNS if name in lowered), None)


def _text_beside(table: Table, words: int) -> int | None:
    """Where the text that the words were cut from stands, if it is there."""
    lowered = [column.lower() for column in table.columns]
    found = next((lowered.index(name) for name in ("text", "sentence") if name in lowered), None)
    return None if found == words else found


def _span_columns(table: Table, settings: DataSettings) -> tuple[int, int]:
    return (
        find_column(table, settings.text, TEXT_COLUMNS, "texts or lists of words", "--text-column"),
        find_column(table, settings.label, SPAN_COLUMNS, "entities", "--label-column"),
    )


def _names(table: Table, settings: DataSettings, tags: int) -> Sequence[str] | None:
    if settings.label_names is not None:
        return read_label_names(settings.label_names)
    return table.class_names.get(table.columns[tags])


def _scheme(table: Table, settings: DataSettings, raw: TaggedSplit) -> str:
    if word_column(table, settings) is None:
        return SPANS
    return detect_scheme(example.tags for example in raw.examples)


def _in_iob2(split: TaggedSplit, scheme: str, warnings: list[str]) -> TaggedSplit:
    if scheme == SPANS:
        return split
    odd = [(one, count) for one in split.examples if (count := count_repaired(one.tags, scheme))]
    if odd:
        warnings.append(
            f"{split.source}: {sum(count for _, count in odd)} tags in {len(odd)} sentences are not as {scheme} has "
            f"them (first: row {odd[0][0].row}); they were read as conlleval reads them"
        )
    examples = [
        replace(one, tags=tuple(tags_of_spans(spans_of_tags(one.tags), len(one.tags))))
        for one in split.examples
    ]
    return replace(split, examples=examples)


def _kinds(splits: Mapping[str, TaggedSplit]) -> list[str]:
    train = _by_kind(splits["train"])
    kinds = {kind for found in train.labels for kind in found}
    if not kinds:
        raise DataError(f"{train.source}: the training examples have no entity, only the tag O")
    for split in splits.values():
        refuse_unknown(_by_kind(split), kinds, f"no training example has ({train.source})")
    return sorted(kinds)


def _by_kind(split: TaggedSplit) -> Examples:
    """A split as texts labelled with their kinds of entity, by which it is cut and compared."""
    return Examples(
        split.source,
        [one.text for one in split.examples],
        [kinds_of(one.tags) for one in split.examples],
        [one.row for one in split.examples],
    )


def _cut(train: TaggedSplit, fraction: float, seed: int, name: str) -> tuple[TaggedSplit, TaggedSplit]:
    """`train` without a share of about `fraction`, and that share."""
    numbered = replace(_by_kind(train), rows=list(range(len(train))))
    kept, cut = (train.take(part.rows) for part in cut_off(numbered, fraction, seed, name))
    return kept, cut


def _note(table: Table, settings: DataSettings, scheme: str) -> str:
    words = word_column(table, settings)
    if words is None:
        text, spans = (table.columns[column] for column in _span_columns(table, settings))
        return f"{table.source}: texts from the column {text!r}, entities by character from {spans!r}"
    tags = table.columns[find_column(table, settings.label, TAG_COLUMNS, "tags", "--label-column")]
    return (
        f"{table.source}: words from the column {table.columns[words]!r}, tags from {tags!r}, in {scheme}"
        + ("" if scheme == "IOB2" else ", read as IOB2")
    )
