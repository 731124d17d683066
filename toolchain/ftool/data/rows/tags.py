"""Row reader for texts with entities.

A source marks entities by a tag for each word, or by character offsets; both are converted to IOB2 tags.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ftool.data.cell_literals import BadLiteralError, read_literal
from ftool.data.cells import BadRows, column_texts
from ftool.data.columns import (
    ENTITIES,
    TAGS,
    TEXT_OF_WORDS,
    TEXT_WITH_ENTITIES,
    WORDS,
    find_column,
    named_column,
    optional_column,
)
from ftool.data.dataset import Split
from ftool.data.label_policy import refuse_unknown
from ftool.data.rows.base import RowReader, first_of
from ftool.data.rows.character_spans import SpanReport, read_spans
from ftool.data.rows.label_names import names_for
from ftool.data.rows.tag_schemes import (
    OUTSIDE,
    count_repaired,
    detect_scheme,
    spans_of_tags,
    tag_problem,
    tags_of_spans,
)
from ftool.data.rows.tagged_text import BadRowError, TaggedText, kinds_of
from ftool.data.rows.word_rows import joined_sentences
from ftool.data.rows.word_tags import read_words
from ftool.data.table import Table
from ftool.errors import DataError

SPANS = "spans"  # the name in `facts` for entities given by character offsets


class TagReader(RowReader[TaggedText]):
    """Reads texts with entities.

    The fact `scheme` is the tagging scheme of the training data, or "spans" if character offsets mark the entities.
    """

    labelled = True
    answers = ((TAGS, "label"), (ENTITIES, "label"))
    kept_together = "stratified by kind of entity"
    _scheme = ""

    def read(self, table: Table) -> Split[TaggedText]:
        """Return the texts of a table, each with a tag for every word.

        The tags are those of the source, in its tagging scheme; if character offsets mark the entities, the tags are
        IOB2.
        """
        words = self._word_column(table)
        return self._read_spans(table) if words is None else self._read_words(table, words)

    def note(self) -> str:
        """Return a line that names the columns from which texts and entities are read.

        If the source has a tag for each word, the line also names the tagging scheme.
        """
        table = self.first
        words = self._word_column(table)
        if words is None:
            text, spans = self._span_columns(table)
            return f"{table.source}: texts from the column {text!r}, entities by character from {spans!r}"
        tags = find_column(table, TAGS, self.settings.label)
        read_as = "" if self._scheme == "IOB2" else ", read as IOB2"
        return (
            f"{table.source}: words from the column {words!r}, tags from {tags!r}, in {self._scheme}{read_as}"
        )

    def finish(self, splits: dict[str, Split[TaggedText]]) -> dict[str, Split[TaggedText]]:
        """Return the splits with all tags converted to IOB2.

        The tags of every split are read in the tagging scheme of the training data.
        """
        self._scheme = SPANS
        if self._word_column(self.first) is not None:
            self._scheme = detect_scheme(one.tags for one in first_of(splits).examples)
        return {name: self._in_iob2(split) for name, split in splits.items()}

    def labels(self, splits: Mapping[str, Split[TaggedText]]) -> tuple[str, ...]:
        """Return the labels that a model learns: O, then the tags B and I of each kind of entity, sorted by kind.

        Raises DataError if the training examples have no entities, or if another split has a kind of entity that no
        training example has.
        """
        train = splits["train"]
        kinds = {kind for one in train.examples for kind in one.classes}
        if not kinds:
            raise DataError(f"{train.source}: the training examples have no entity, only the tag O")
        for split in splits.values():
            refuse_unknown(split, kinds, f"no training example has ({train.source})")
        return (OUTSIDE, *(f"{prefix}-{kind}" for kind in sorted(kinds) for prefix in "BI"))

    def known_classes(self, labels: Sequence[str]) -> Sequence[str]:
        """Return the kinds of entity that occur in `labels`, the IOB2 tags that a model predicts."""
        return kinds_of(labels)

    def facts(self, train: Split[TaggedText]) -> Mapping[str, Any]:  # noqa: ARG002 (of readers that need it)
        """Return the fact `scheme`: the tagging scheme of the training data.

        The scheme is "spans" if character offsets mark the entities.
        """
        return {"scheme": self._scheme}

    def _read_words(self, table: Table, words: str) -> Split[TaggedText]:
        tags = find_column(table, TAGS, self.settings.label)
        joined = joined_sentences(table, words, tags)
        self.warnings += joined.warnings[len(table.warnings) :]
        table = joined
        names = names_for(self.settings.label_names, table, tags)
        text_column = optional_column(table, TEXT_OF_WORDS, taken=(words,))
        texts = [None] * len(table.rows) if text_column is None else table.cells(text_column)
        examples, bad = [], BadRows()
        cells = zip(table.numbers, table.cells(words), table.cells(tags), texts, strict=True)
        for number, tokens, tag_cell, text in cells:
            try:
                examples.append(read_words(tokens, tag_cell, text, names, number))
            except BadRowError as error:
                bad.add(number, DataError(f"{table.source}: row {number} {error}"))
        bad.refuse()
        kept = [position for position, one in enumerate(examples) if one.text.strip()]
        if blank := len(examples) - len(kept):
            self.warnings.append(f"{table.source}: {blank} sentences of only white space were left out")
        if not kept:
            raise DataError(f"{table.source}: has no sentence with visible text")
        return Split(examples, table.source, table).take(kept)

    def _read_spans(self, table: Table) -> Split[TaggedText]:
        text, spans = self._span_columns(table)
        texts = column_texts(table, text)
        report, bad = SpanReport(), BadRows()
        examples = []
        for number, value, cell in zip(table.numbers, texts, table.cells(spans), strict=True):
            try:
                examples.append(read_spans(value, cell, number, report))
            except BadRowError as error:
                bad.add(number, DataError(f"{table.source}: row {number} {error}"))
        bad.refuse()
        self.warnings += report.warnings(table.source)
        return Split(examples, table.source, table)

    def _word_column(self, table: Table) -> str | None:
        """Return the name of the column of words: the one in the settings, or else one with a usual name.

        Returns None if the table has no such column, or none of a tag for each word: its entities are then marked by
        character offsets. If a text beside a list of tags is not cut into words, its words are separated by spaces.
        """
        label = self.settings.label
        if self.settings.text is not None:
            named = named_column(table, self.settings.text)
            is_list = isinstance(table.cells(named)[0], list | tuple)
            if is_list or named.lower() in WORDS.usual:
                return named
            return named if _holds_tags(table, optional_column(table, TAGS, label, (named,))) else None
        words = optional_column(table, WORDS)
        if words is not None:
            tags = optional_column(table, TAGS, label, (words,))
            spans = optional_column(table, ENTITIES, label, (words,))
            has_spans = _holds_mappings(table, words) or (tags is None and spans is not None)
            return None if has_spans or _holds_spans(table, tags) else words
        text = optional_column(table, TEXT_WITH_ENTITIES)
        if text is None or not _holds_tags(table, optional_column(table, TAGS, label, (text,))):
            return None
        return text

    def _span_columns(self, table: Table) -> tuple[str, str]:
        return (
            find_column(table, TEXT_WITH_ENTITIES, self.settings.text),
            find_column(table, ENTITIES, self.settings.label),
        )

    def _in_iob2(self, split: Split[TaggedText]) -> Split[TaggedText]:
        scheme = self._scheme
        if scheme == SPANS:
            return split
        irregular = [(one, count) for one in split.examples if (count := count_repaired(one.tags, scheme))]
        if irregular:
            self.warnings.append(
                f"{split.source}: {sum(count for _, count in irregular)} tags in {len(irregular)} sentences break "
                f"the rules of {scheme} (first: row {irregular[0][0].row}); they were read by the rules of conlleval"
            )
        examples = [
            replace(one, tags=tuple(tags_of_spans(spans_of_tags(one.tags), len(one.tags))))
            for one in split.examples
        ]
        return replace(split, examples=examples)


def _first_filled(table: Table, column: str | None) -> Any:
    """Return the first cell of a column that is not empty, as a list if it holds one as text; else None."""
    for cell in () if column is None else table.cells(column):
        try:
            value = read_literal(cell)
        except BadLiteralError:
            value = cell
        if value is not None and len(str(value)) and value != []:
            return value
    return None


def _holds_mappings(table: Table, column: str | None) -> bool:
    cell = _first_filled(table, column)
    return isinstance(cell, list | tuple) and isinstance(cell[0], Mapping)


def _holds_spans(table: Table, column: str | None) -> bool:
    cell = _first_filled(table, column)
    return isinstance(cell, list | tuple) and isinstance(cell[0], Mapping | list | tuple)


def _holds_tags(table: Table, column: str | None) -> bool:
    """Whether the first filled cell of a column is a list of several entity tags, or a text of several."""
    cell = _first_filled(table, column)
    parts = cell.split() if isinstance(cell, str) else cell
    return (
        isinstance(parts, list | tuple) and bool(parts) and all(tag_problem(part) is None for part in parts)
    )
