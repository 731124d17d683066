"""Read passages by id from a knowledge base, and reassemble documents from their passages."""

from collections.abc import Sequence
from sqlite3 import Connection

from ftool_runtime.errors import InputError, nearest
from ftool_runtime.knowledge.errors import checked, damaged
from ftool_runtime.knowledge.results import Passage

_PASSAGE = """
SELECT documents.name, documents.title, heading, start, "end", text
FROM passages JOIN documents ON documents.id = document WHERE passages.id = ?
"""


def passages_of(
    connection: Connection,
    ranked: Sequence[tuple[int, float]],
    words: Sequence[tuple[int, float]],
    near: Sequence[tuple[int, float]],
) -> list[Passage]:
    """Return the passages of `ranked`, a ranking of passages as a list of (id, score), in the same order.

    `words` and `near` are rankings by words and by embeddings, in the same form; the result has each passage's rank in
    both. Raises sqlite3.DatabaseError if an id has no passage, which means that the file is damaged.
    """
    by_words = {passage: rank for rank, (passage, _) in enumerate(words, start=1)}
    by_meaning = {passage: rank for rank, (passage, _) in enumerate(near, start=1)}
    found = []
    for passage, score in ranked:
        row = next(checked(connection.execute(_PASSAGE, (passage,)), str, str, str, int, int, str), None)
        if row is None:
            raise damaged(f"passage {passage} is in the index but missing")
        name, title, heading, start, end, text = row
        found.append(
            Passage(
                document=name,
                title=title,
                heading=heading,
                start=start,
                end=end,
                text=text,
                score=score,
                bm25_rank=by_words.get(passage),
                embedding_rank=by_meaning.get(passage),
            )
        )
    return found


def document_names(connection: Connection) -> list[str]:
    """Return the names of all documents, in alphabetical order."""
    rows = connection.execute("SELECT name FROM documents ORDER BY name")
    return [name for (name,) in checked(rows, str)]


def document_text(connection: Connection, name: str) -> str:
    """Return the text of the document `name` as it was indexed. Raises InputError if there is no such document."""
    rows = connection.execute("SELECT id, tail FROM documents WHERE name = ?", (name,))
    found = next(checked(rows, int, str), None)
    if found is None:
        near = nearest(name, document_names(connection))
        raise InputError(f"no document {name!r}" + (f"; did you mean {near}?" if near else ""))
    document, tail = found
    parts: list[str] = []
    reached = 0
    rows = connection.execute(
        "SELECT gap, start, text FROM passages WHERE document = ? ORDER BY id", (document,)
    )
    for gap, start, text in checked(rows, str, int, str):
        parts += [gap, text[max(0, reached - start) :]]
        reached = start + len(text)
    return "".join([*parts, tail])


def sizes(connection: Connection) -> dict[str, int]:
    """Return the numbers of documents and passages in a knowledge base, as {"documents": …, "passages": …}."""
    return {
        name: int(connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0])
        for name in ("documents", "passages")
    }
