"""Rank passages by words: BM25 over the full-text index."""

import sqlite3
from collections.abc import Iterable, Mapping

from ftool_runtime.knowledge.terms import folded, query_terms

_MOST_TERMS = 64  # of a longer question, only its rarest words are searched
# In more passages than this, searching common words costs tens of milliseconds and adds only the lowest ranks.
_MOST_PASSAGES_FOR_COMMON_TERMS = 20_000


def rank_by_words(connection: sqlite3.Connection, question: str, depth: int) -> list[tuple[int, float]]:
    """The passages that contain words of the question, best first.

    Args:
        connection: to a knowledge base.
        question: any text.
        depth: the maximum number of passages.

    Returns:
        Ids with SQLite's BM25 scores, negated so that higher is better; empty if no word is found.
    """
    counts = {term: _count(connection, term) for term in query_terms(question)}
    (passages,) = connection.execute("SELECT count(*) FROM passages").fetchone()
    distinctive, terms = _distinctive(counts, passages), _rarest(counts, counts)
    found = _ranked(connection, distinctive, depth)
    if len(found) < depth and distinctive != terms and passages <= _MOST_PASSAGES_FOR_COMMON_TERMS:
        ranked = {passage for passage, _ in found}
        found += [row for row in _ranked(connection, terms, depth) if row[0] not in ranked]
    return found[:depth]


def _ranked(connection: sqlite3.Connection, terms: list[str], depth: int) -> list[tuple[int, float]]:
    if not terms:
        return []
    found = connection.execute(
        "SELECT rowid, bm25(full_text) AS score FROM full_text WHERE full_text MATCH ? ORDER BY score, rowid LIMIT ?",
        (" OR ".join(terms), depth),
    )
    return [(passage, -score) for passage, score in found]


def _distinctive(counts: Mapping[str, int], passages: int) -> list[str]:
    """The terms found in fewer than half of the passages; all terms if no passage contains one of those.

    SQLite's BM25 weighs a term found in half of the passages at 1e-6: it does not change the ranking, but searching
    for it scores all those passages. Small bases search for it only if the other terms find too few passages.
    """
    rare = [term for term, count in counts.items() if 2 * count < passages]
    found = any(counts[term] for term in rare)
    return _rarest(rare if found else counts, counts)


def _rarest(terms: Iterable[str], counts: Mapping[str, int]) -> list[str]:
    return sorted(terms, key=lambda term: (counts[term] == 0, counts[term]))[:_MOST_TERMS]


def _count(connection: sqlite3.Connection, term: str) -> int:
    row = connection.execute("SELECT doc FROM term_counts WHERE term = ?", (folded(term),)).fetchone()
    return int(row[0]) if row else 0
