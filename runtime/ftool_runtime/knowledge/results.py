"""Results of a knowledge base: passages and answers."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A passage that was found.

    Attributes:
        document: the name of the document.
        title: its title; "" if it has none.
        heading: the headings above the passage, outermost first, separated by " > "; "" if there are none.
        start: position of the passage's first character in `KnowledgeBase.text(document)`, from 0.
        end: position after its last character.
        text: the passage itself.
        score: the ranking's score: sum of reciprocal ranks, BM25 or inner product of vectors; higher is better.
        bm25_rank: its rank in the full-text ranking, from 1; None if it is not near the top there.
        embedding_rank: its rank by embeddings, from 1; None if it is not near the top there.
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
    """The answer to a question, if there is one, and the passages found for it.

    Attributes:
        question: the question.
        text: the answer; None if the passages contain none or there is no reader.
        score: the reader's score of the answer; without an answer, its "no answer" score for the best passage; None
            without a reader.
        document: the name of the document that contains the answer; None without an answer.
        heading: the headings above the answer, as in `Passage`; None without an answer.
        start: position of the answer's first character in `KnowledgeBase.text(document)`, from 0.
        end: position after its last character.
        read: whether a reader read the passages; if not, the passages are the result.
        passages: the passages found, best first.
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
