"""Entity tagging schemes: detect the scheme of a data set, and convert tags to entity spans and back."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ftool_runtime.postprocessing.tag_names import begins, outside, split_tag

OUTSIDE = "O"
DOCUMENT_MARK = "-DOCSTART-"  # in place of a word, where a document of CoNLL data starts

_TAG = re.compile(r"^([BILUSEMW])[-_].+$", re.DOTALL)
_CLOSED = {name: tuple(letters) for name, letters in (
    ("IOBES", "BIES"), ("BMES", "BMES"), ("BMEW", "BMEW"), ("BILOU", "BILU"),
)}  # prefixes of an entity's first, middle, last and only word  # fmt: skip


class TypedSpan(NamedTuple):
    """An entity: the index of the first word, the index after the last word, and the kind of entity."""

    first: int
    last: int
    kind: str


def tag_problem(tag: object) -> str | None:
    """Return why a value is not an entity tag, as a clause that begins with "is not"; None if the value is a tag."""
    if not isinstance(tag, str):
        return f"is not a string: {tag!r}"
    if outside(tag) or _TAG.match(tag):
        return None
    return f"is not a tag of IOB, IOBES or BILOU, such as O, B-person or I-person: {tag[:40]!r}"


def detect_scheme(sentences: Iterable[Sequence[str]]) -> str:
    """Return the tagging scheme of sentences, each a list of tags: IOB1, IOB2, IOBES, BILOU, BMES or BMEW.

    IOB1 uses the prefix B only for an entity that directly follows another entity of the same kind; tags with the
    prefix I but without any B are IOB1 too.
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
    """Return the entities of a sentence, in order, from the tags of its words.

    The tags may be of any tagging scheme, and are read by the rules of the conlleval script.
    """
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
    """Return the tags of a sentence of `words` words in the tagging scheme `scheme`, one tag per word.

    `spans` holds the entities of the sentence, which must be in order and must not overlap.
    """
    tags = [OUTSIDE] * words
    before = TypedSpan(-1, -1, "")
    for span in spans:
        for position in range(span.first, span.last):
            tags[position] = f"{_prefix(span, position, before, scheme)}-{span.kind}"
        before = span
    return tags


def count_repaired(tags: Sequence[str], scheme: str) -> int:
    """Return how many tags of a sentence break the rules of the tagging scheme `scheme`.

    A tag breaks the rules if it differs from the tag that `tags_of_spans` makes from the same entities.
    """
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
