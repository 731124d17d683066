"""Read rows of words with one tag for each word.

JSON, Parquet and hub data sets have lists of words and tags in their cells, and so have the tables of CoNLL files.
"""

import re
from collections.abc import Sequence

from ftool.data.cell_literals import BadLiteralError, read_literal
from ftool.data.cells import is_unencodable
from ftool.data.rows.label_names import LabelNames, listed_numbers
from ftool.data.rows.tag_schemes import tag_problem
from ftool.data.rows.tagged_text import BadRowError, TaggedText
from ftool.data.table import Cell
from ftool_runtime.text.words import join_words

# A list that was written as text; a sentence can begin with a bracket too, but its words are separated by spaces.
_LITERAL = {"words": re.compile(r"""\[['"]"""), "tags": re.compile(r"\[")}


def read_words(tokens: Cell, tags: Cell, text: Cell, names: LabelNames | None, row: int) -> TaggedText:
    """Return the words of a row with their tags, which stay in the tagging scheme of the source.

    Args:
        tokens: a list of words, such a list as text, or a string of words separated by spaces.
        tags: one tag or tag number for each word, as a list, such a list as text, or a string of tags separated
            by spaces.
        text: the text from which the words were cut; None if the row does not have this text.
        names: the names of the tags, if `tags` holds numbers; None if there are no names.
        row: the row number.

    Raises BadRowError if a word or a tag can't be used, if there are not as many tags as words, or if the words are not
    the words of `text`.
    """
    words, found = _listed(tokens, "words"), _listed(tags, "tags")
    if len(words) != len(found):
        raise BadRowError(f"has {len(words)} words and {len(found)} tags; each word needs one")
    for position, word in enumerate(words, start=1):
        if problem := _word_problem(word):
            raise BadRowError(f"has a word, number {position}, that {problem}")
    named = tuple(_named(tag, names, word) for tag, word in zip(found, words, strict=True))
    if isinstance(text, str):
        return TaggedText(text, tuple(_places(words, text)), named, row=row)
    joined, places = join_words(words)
    return TaggedText(joined, tuple(places), named, row=row)


def _listed(cell: Cell, what: str) -> list[Cell]:
    if isinstance(cell, str) and _LITERAL[what].match(cell):
        try:
            cell = read_literal(cell)
        except BadLiteralError as error:
            raise BadRowError(f"has {what} in a text that {error}: {cell[:40]!r}") from error
    if isinstance(cell, str):
        return [part for part in cell.split(" ") if part]
    if isinstance(cell, list | tuple) and len(cell):
        return list(cell)
    raise BadRowError(f"has no {what}: {str(cell)[:40]!r} is not a list of them")


def _word_problem(word: Cell) -> str | None:
    if not isinstance(word, str):
        return f"is not a string ({str(word)[:40]!r})"
    if not word:
        return "is empty"
    if "\0" in word:
        return "holds a NUL byte"
    if is_unencodable(word):
        return "holds half a surrogate pair"
    return None


def _named(tag: Cell, names: LabelNames | None, word: str) -> str:
    if (isinstance(tag, float) and tag.is_integer()) or (isinstance(tag, str) and tag.strip().isdecimal()):
        tag = int(tag)
    if isinstance(tag, int) and not isinstance(tag, bool):
        if names is None:
            raise BadRowError(
                f"has the number {tag} as a tag; give a file of tags, one per line, with --label-names"
            )
        if tag not in names:
            raise BadRowError(
                f"has the number {tag} as a tag, but the names are numbered {listed_numbers(names)}"
            )
        tag = names[tag]
    if problem := tag_problem(tag):
        raise BadRowError(f"has a tag for {word[:40]!r} that {problem}")
    return str(tag)


def _places(words: Sequence[str], text: str) -> list[tuple[int, int]]:
    """Return (start, end) of each word, as character offsets in the text.

    Raises BadRowError if there is anything but white space between two words, or before the first word.
    """
    places, end = [], 0
    for position, word in enumerate(words, start=1):
        start = text.find(word, end)
        if start < 0 or text[end:start].strip():
            raise BadRowError(
                f"has a text that its words were not cut from: word {position}, {word[:40]!r}, does not follow "
                f"{text[max(end - 20, 0) : end]!r}; correct it, or leave the text out"
            )
        end = start + len(word)
        places.append((start, end))
    return places
