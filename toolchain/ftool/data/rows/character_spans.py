"""Read a text with entities that are marked by character offsets.

Each entity is `{"start", "end", "label"}` or `[start, end, label]`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from ftool.data.cell_literals import BadLiteralError, read_literal
from ftool.data.rows.tag_schemes import TypedSpan, tags_of_spans
from ftool.data.rows.tagged_text import BadRowError, TaggedText
from ftool.data.table import Cell
from ftool_runtime.text.words import CharRange, split_words

_STARTS = ("start", "start_offset", "begin", "start_char")
_ENDS = ("end", "end_offset", "stop", "end_char")
_KINDS = ("label", "type", "entity", "entity_group", "entity_type", "tag", "class", "category", "labels")
_SHOWN = 40


class _EntityRange(NamedTuple):
    """An entity: the offset of the first character, the offset after the last character, and the kind of entity."""

    start: int
    end: int
    kind: str


@dataclass
class SpanReport:
    """Counts of entities that do not begin and end at word boundaries, and of entities that are listed twice.

    The runtime finds only entities of whole words, so such an entity is widened to whole words or dropped. Of an entity
    that is listed twice, one is read.
    """

    widened: int = 0
    dropped: int = 0
    repeated: int = 0
    first_widened: str = ""
    first_dropped: str = ""
    first_repeated: str = ""

    def warnings(self, source: str) -> list[str]:
        """Return one warning for each kind of entity that was counted. `source` names the data in the warnings."""
        lines = []
        if self.repeated:
            lines.append(
                f"{source}: {self.repeated} entities are listed twice and were read once (first: {self.first_repeated})"
            )
        if self.widened:
            lines.append(
                f"{source}: {self.widened} entities begin or end inside a word and were widened to it "
                f"(first: {self.first_widened})"
            )
        if self.dropped:
            lines.append(
                f"{source}: {self.dropped} entities share a word with another or contain no word, and were left out "
                f"(first: {self.first_dropped})"
            )
        return lines


def read_spans(text: str, cell: Cell, row: int, report: SpanReport) -> TaggedText:
    """Return the text with the character ranges of its words and an IOB2 tag for each word.

    The text is split into words by the runtime's `split_words`. `cell` is the list of entities, or this list as text.
    An entity that does not begin and end at word boundaries is widened to whole words or dropped, and counted in
    `report`. Raises BadRowError
    if an offset is outside the text, if entities overlap, or if a value is not an entity.
    """
    try:
        cell = read_literal(cell)
    except BadLiteralError as error:
        raise BadRowError(f"has a list of entities that {error}: {str(cell)[:_SHOWN]!r}") from error
    if not isinstance(cell, list | tuple):
        raise BadRowError(f"has no list of entities: {str(cell)[:_SHOWN]!r}")
    found = sorted(_entity_of(entity, text) for entity in cell)
    entities = list(dict.fromkeys(found))
    if len(entities) < len(found):
        report.repeated += len(found) - len(entities)
        twice = next(first for first, second in pairwise(found) if first == second)
        report.first_repeated = report.first_repeated or f"row {row}, {_described(text, twice)}"
    for first, second in pairwise(entities):
        if second.start < first.end:
            raise BadRowError(
                f"has entities that overlap, {_described(text, first)} and {_described(text, second)}; "
                "a character can belong to only one entity"
            )
    words = split_words(text)
    spans: list[TypedSpan] = []
    for entity in entities:
        span = _covering_words(entity, words, after=spans[-1].last if spans else 0)
        _count_change(report, span, entity, words, f"row {row}, {_described(text, entity)}")
        if span is not None:
            spans.append(span)
    return TaggedText(text, tuple(words), tuple(tags_of_spans(spans, len(words))), row=row)


def _entity_of(value: Any, text: str) -> _EntityRange:
    if isinstance(value, Mapping):
        start, end, kind = (_first(value, names) for names in (_STARTS, _ENDS, _KINDS))
    elif isinstance(value, list | tuple) and len(value) == 3:
        start, end, kind = value
    else:
        raise BadRowError(f'has an entity that is not {{"start", "end", "label"}}: {str(value)[:_SHOWN]!r}')
    if not (_is_index(start) and _is_index(end) and 0 <= start < end <= len(text)):
        raise BadRowError(
            f"has an entity from {start!r} to {end!r} in a text of {len(text)} characters; offsets count characters "
            "from 0, the end being the character past the last"
        )
    if isinstance(kind, list) and len(kind) == 1:  # as Label Studio writes it
        kind = kind[0]
    if not isinstance(kind, str) or not kind.strip():
        raise BadRowError(f"has an entity without a label at {start} to {end}")
    stated_text = value.get("text") if isinstance(value, Mapping) else None
    if isinstance(stated_text, str) and stated_text != text[start:end]:
        raise BadRowError(
            f"has an entity {stated_text[:_SHOWN]!r} at {start} to {end}, but its text there is "
            f"{text[start:end][:_SHOWN]!r}; offsets count characters, not bytes"
        )
    return _EntityRange(int(start), int(end), kind.strip())


def _first(value: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((value[name] for name in names if name in value), None)


def _is_index(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _covering_words(entity: _EntityRange, words: Sequence[CharRange], *, after: int) -> TypedSpan | None:
    """Return the range of words that the entity touches; None if there is no such word.

    Words before the index `after` belong to earlier entities and are not considered.
    """
    touched = [i for i in range(after, len(words)) if words[i][0] < entity.end and words[i][1] > entity.start]
    return TypedSpan(touched[0], touched[-1] + 1, entity.kind) if touched else None


def _count_change(
    report: SpanReport, span: TypedSpan | None, entity: _EntityRange, words: Sequence[CharRange], where: str
) -> None:
    if span is None:
        report.dropped += 1
        report.first_dropped = report.first_dropped or where
    elif words[span.first][0] < entity.start or words[span.last - 1][1] > entity.end:
        report.widened += 1
        report.first_widened = report.first_widened or where


def _described(text: str, entity: _EntityRange) -> str:
    return f"{text[entity.start : entity.end][:_SHOWN]!r} ({entity.kind}, {entity.start} to {entity.end})"
