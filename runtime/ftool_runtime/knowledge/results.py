"""Classes for the results of a knowledge base: passages and answers."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A passage that a search found.

    Attributes:
        document: the name of the document.
        title: the document's title; "" if it has no title.
        heading: the headings above the passage, outermost first, separated by " > "; "" without headings.
        start: the index of the passage's first character in `KnowledgeBase.text(document)`, from 0.
        end: the index after the passage's last character.
        text: the text of the passage.
        score: the passage's score in the ranking; higher is better. In the mode "embeddings" it is the similarity of
            the vectors, from 0 for the average passage to 1 for the question's own direction; in "bm25" the share of
            the question's words, by their weights in BM25, which is above 1 if words are repeated; in "fused" a
            combination of both, from 0 to 1.
        bm25_rank: the passage's rank by words, from 1; None if it is not among the first 100, or if the search did not
            rank by words.
        embedding_rank: the passage's rank by embeddings, from 1; None if it is not among the first 100, or if the
            search did not rank by embeddings.
        rerank_score: the reranker's score, by which passages are then ordered; None without a reranker.
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
    rerank_score: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the passage as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundAnswer:
    """The answer to a question, if any, and the passages that were found for the question.

    Attributes:
        question: the question.
        text: the answer; None if the passages contain no answer or there is no reader.
        score: the reader's score for the answer; without an answer, the reader's score for "no answer" in the best
            passage; None without a reader or without passages.
        document: the name of the document that contains the answer; None without an answer.
        heading: the headings above the answer, as in `Passage`; None without an answer.
        start: the index of the answer's first character in `KnowledgeBase.text(document)`; None without an answer.
        end: the index after the answer's last character; None without an answer.
        read: whether there was a reader; without a reader, the passages are the result.
        passages: the passages that were found and fit, best first; empty if even the best one scores too low.
        best_score: the score of the best passage, even if it is too low; None if no passage was found at all.
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
    best_score: float | None

    def is_in(self, passage: Passage) -> bool:
        """Whether the answer was found in `passage`."""
        if self.document != passage.document or self.start is None or self.end is None:
            return False
        return passage.start <= self.start and self.end <= passage.end

    def to_json(self) -> dict[str, Any]:
        """Return the answer, with its passages, as JSON values."""
        return asdict(self)


def nothing_found(
    question: str, best_score: float | None, *, read: bool, passages: tuple[Passage, ...] = ()
) -> FoundAnswer:
    """Return the result without an answer, for a reader (`read`) or without one."""
    return FoundAnswer(
        question=question,
        text=None,
        score=None,
        document=None,
        heading=None,
        start=None,
        end=None,
        read=read,
        passages=passages,
        best_score=best_score,
    )
