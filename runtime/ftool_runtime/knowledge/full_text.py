"""Rank passages by words, with BM25 over the full-text index."""

import math
import sqlite3
from collections.abc import Iterable, Mapping

from ftool_runtime.knowledge.errors import checked, damaged
from ftool_runtime.knowledge.terms import folded, query_terms

_MOST_TERMS = 64  # the largest number of words searched; of a longer question, only the rarest words
# With more passages than this, a search for common words takes tens of milliseconds and adds only the lowest ranks.
_MOST_PASSAGES_FOR_COMMON_TERMS = 20_000


def rank_by_words(connection: sqlite3.Connection, question: str, depth: int) -> list[tuple[int, float]]:
    """Return the passages that contain words of the question, best first.

    Args:
        connection: a connection to a knowledge base.
        question: any text.
        depth: the maximum number of passages.

    Returns:
        Pairs of a passage's id and its score; empty if no passage contains any of the words. The score is SQLite's
        BM25, as a share of the weights of all words of the question: about 1 if the passage contains each word once,
        and near 0 if it contains only the common ones.

    Raises sqlite3.DatabaseError if the file is damaged.
    """
    counts = {term: _count(connection, term) for term in query_terms(question)}
    (passages,) = connection.execute("SELECT count(*) FROM passages").fetchone()
    if any(count > passages for count in counts.values()):
        raise damaged("its index of words names more passages than there are")
    distinctive, terms = _distinctive(counts, passages), _rarest(counts, counts)
    found = _ranked(connection, distinctive, depth)
    if len(found) < depth and distinctive != terms and passages <= _MOST_PASSAGES_FOR_COMMON_TERMS:
        ranked = {passage for passage, _ in found}
        found += [row for row in _ranked(connection, terms, depth) if row[0] not in ranked]
    weight = sum(_weight(count, passages) for count in counts.values())
    return [(passage, score / weight) for passage, score in found[:depth]]


def _weight(count: int, passages: int) -> float:
    """Return the weight that SQLite's BM25 gives a term that `count` of all `passages` contain."""
    return max(math.log((passages - count + 0.5) / (count + 0.5)), 1e-6)


def _ranked(connection: sqlite3.Connection, terms: list[str], depth: int) -> list[tuple[int, float]]:
    if not terms:
        return []
    found = connection.execute(
        "SELECT rowid, bm25(full_text) AS score FROM full_text WHERE full_text MATCH ? ORDER BY score, rowid LIMIT ?",
        (" OR ".join(terms), depth),
    )
    return [(passage, -score) for passage, score in checked(found, int, float)]


def _distinctive(counts: Mapping[str, int], passages: int) -> list[str]:
    """Return a question's rare terms, which are terms that fewer than half of the passages contain.

    If no passage contains a rare term, all terms are returned. A common term, in at least half of the passages, has a
    weight of only 1e-6 in SQLite's BM25. Such a term does not change the ranking, but a search for the term must score
    every passage that contains it. `rank_by_words` searches for such common terms only in small
    knowledge bases, and only if the rare terms find too few passages.

    Args:
        counts: for each term of the question, the number of passages that contain it.
        passages: the number of all passages.
    """
    rare = [term for term, count in counts.items() if 2 * count < passages]
    found = any(counts[term] for term in rare)
    return _rarest(rare if found else counts, counts)


def _rarest(terms: Iterable[str], counts: Mapping[str, int]) -> list[str]:
    return sorted(terms, key=lambda term: (counts[term] == 0, counts[term]))[:_MOST_TERMS]


def _count(connection: sqlite3.Connection, term: str) -> int:
    rows = connection.execute("SELECT doc FROM term_counts WHERE term = ?", (folded(term),))
    return next((count for (count,) in checked(rows, int)), 0)
