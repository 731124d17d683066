"""The ranking of passages by words: BM25 over the full-text index."""

import sqlite3
from collections.abc import Iterable, Mapping

from ftool_runtime.knowledge.terms import folded, query_terms

_MOST_TERMS = 64  # a question that is a whole text is asked by its rarest words
_SMALL = (
    20_000  # passages; in more of them common words cost tens of milliseconds and more, for what ranks last
)


def rank_by_words(connection: sqlite3.Connection, question: str, depth: int) -> list[tuple[int, float]]:
    """The passages that hold words of the question, best first.

    Args:
        connection: to a knowledge base.
        question: any text.
        depth: how many to give at most.

    Returns:
        Ids with SQLite's BM25 scores, turned so that more is better; none where no word is found.
    """
    counts = {term: _count(connection, term) for term in query_terms(question)}
    (passages,) = connection.execute("SELECT count(*) FROM passages").fetchone()
    telling, terms = _telling(counts, passages), _rarest(counts, counts)
    found = _ranked(connection, telling, depth)
    if len(found) < depth and telling != terms and passages <= _SMALL:
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


def _telling(counts: Mapping[str, int], passages: int) -> list[str]:
    """The terms that tell passages apart, all of them where none does.

    SQLite gives a term that half of the passages hold the weight 1e-6: it changes no ranking, and asking for it would
    score those passages all the same. In small bases they are asked for where the others find too few.
    """
    rare = [term for term, count in counts.items() if 2 * count < passages]
    asked = rare if any(counts[term] for term in rare) else counts  # rare words may be in no passage at all
    return _rarest(asked, counts)


def _rarest(terms: Iterable[str], counts: Mapping[str, int]) -> list[str]:
    return sorted(terms, key=lambda term: (counts[term] == 0, counts[term]))[:_MOST_TERMS]


def _count(connection: sqlite3.Connection, term: str) -> int:
    row = connection.execute("SELECT doc FROM term_counts WHERE term = ?", (folded(term),)).fetchone()
    return int(row[0]) if row else 0
