"""Entity tagging schemes: detect the scheme of a data set, and convert tags to entity spans and back."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ftool_runtime.postprocessing.tag_names import begins, outside, split_tag

OUTSIDE = "O"

_TAG = re.compile(r"^([BILUSEMW])[-_].+$", re.DOTALL)
_CLOSED = {name: tuple(letters) for name, letters in (
    ("IOBES", "BIES"), ("BMES", "BMES"), ("BMEW", "BMEW"), ("BILOU", "BILU"),
)}  # prefixes of an entity's first, middle, last and only word  # fmt: skip


class TypedSpan(NamedTuple):
    """An entity as a range of words: the index of its first word, the index past its last word, and its kind."""

    first: int
    last: int
    kind: str


def tag_problem(tag: object) -> str | None:
    """Return why a value is not a tag, as a clause that begins with "is not"; None if the value is a tag."""
    if not isinstance(tag, str):
        return f"is not a string: {tag!r}"
    if outside(tag) or _TAG.match(tag):
        return None
    return f"is not a tag of IOB, IOBES or BILOU, such as O, B-person or I-person: {tag[:40]!r}"


def detect_scheme(sentences: Iterable[Sequence[str]]) -> str:
    """Return the tagging scheme of sentences: IOB1, IOB2, IOBES, BILOU, BMES or BMEW.

    IOB1 uses B only if an entity directly follows another of the same kind; tags without any B are IOB1 too.
    """
    prefixes: set[str] = set()
    inside_begins = needless_begin = False
    for tags in sentences:
        for before, tag in zip([OUTSIDE, *tags], tags, strict=False):
            if outside(tag):
                continue
            (_, before_kind), (prefix, kind) = split_tag(before), split_tag(tag)
            prefixes.add(prefix)
            inside_begins |= prefix == "I" and begins(before, tag)
            needless_begin |= prefix == "B" and before_kind != kind
    for name, letters in _CLOSED.items():
        if prefixes & (set(letters) - set("BI")) and prefixes <= {*letters, "B", "I"}:
            return name
    if prefixes - set("BI"):
        return "IOBES"  # a mixture of schemes; `spans_of_tags` understands every prefix
    return "IOB1" if inside_begins and not needless_begin else "IOB2"


def spans_of_tags(tags: Sequence[str]) -> list[TypedSpan]:
    """Return the entities in a sentence's tags, of any scheme, by the rules of the conlleval script."""
    spans: list[TypedSpan] = []
    before = OUTSIDE
    for position, tag in enumerate(tags):
        if begins(before, tag):
            spans.append(TypedSpan(position, position + 1, split_tag(tag)[1]))
        elif not outside(tag):
            spans[-1] = spans[-1]._replace(last=position + 1)
        before = tag
    return spans


def tags_of_spans(spans: Iterable[TypedSpan], words: int, scheme: str = "IOB2") -> list[str]:
    """Return one tag in `scheme` for each of `words` words; the entities are in order and do not overlap."""
    tags = [OUTSIDE] * words
    before = TypedSpan(-1, -1, "")
    for span in spans:
        for position in range(span.first, span.last):
            tags[position] = f"{_prefix(span, position, before, scheme)}-{span.kind}"
        before = span
    return tags


def count_repaired(tags: Sequence[str], scheme: str) -> int:
    """Return how many tags break the rules of `scheme`: they differ from the tags that their entities should have."""
    right = tags_of_spans(spans_of_tags(tags), len(tags), scheme)
    return sum(split_tag(tag) != split_tag(other) for tag, other in zip(tags, right, strict=True))


def _prefix(span: TypedSpan, position: int, before: TypedSpan, scheme: str) -> str:
    first, last = position == span.first, position == span.last - 1
    if scheme in _CLOSED:
        begin, inside, end, only = _CLOSED[scheme]
        return only if first and last else begin if first else end if last else inside
    if scheme == "IOB1":
        touches = before.last == span.first and before.kind == span.kind
        return "B" if first and touches else "I"
    return "B" if first else "I"
