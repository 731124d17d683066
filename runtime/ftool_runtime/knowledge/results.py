"""What a knowledge base answers."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A passage that was found.

    Attributes:
        document: the name of the document.
        title: its title; "" where it has none.
        heading: the headings above the passage, outermost first, with " > " between them; "" where there are none.
        start: the passage's first character in the document's text as shown, counted from 0.
        end: the one past its last.
        text: the passage itself.
        score: what it was ranked by: the sum of reciprocal ranks, or BM25, or the vectors' product; more is better.
        bm25_rank: its place in the full-text ranking, from 1; None where it is not among the first there.
        embedding_rank: likewise by embeddings.
    """

    document: str
    title: str
    heading: str
    start: int
    end: int
    text: str
    score: float
    bm25_rank: int | None
    embedding_rank: int | None

    def to_json(self) -> dict[str, Any]:
        """Itself as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundAnswer:
    """The answer to a question, or that there is none, and the passages that were read for it.

    Attributes:
        question: the question.
        text: the answer; None where there is none in the passages, or no reader to take it from them.
        score: the reader's score of the answer, or that of the best passage's for there being none; None without a
            reader.
        document: the name of the document that the answer stands in; None without an answer.
        heading: the headings above it.
        start: its first character in the document's text as shown, counted from 0.
        end: the one past its last.
        read: whether a reader read the passages. Where none did, they are the answer.
        passages: what was found, best first.
    """

    question: str
    text: str | None
    score: float | None
    document: str | None
    heading: str | None
    start: int | None
    end: int | None
    read: bool
    passages: tuple[Passage, ...]

    def to_json(self) -> dict[str, Any]:
        """Itself as JSON values."""
        return asdict(self)
