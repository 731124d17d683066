"""A reranker orders the passages that a search found, before they are returned or read."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.finding_reader import FindingReader

from ftool_runtime.errors import BundleError, InputError
from ftool_runtime.knowledge import KnowledgeBase

DOCUMENTS = {
    "keeping.md": ["How long messages are kept.", "Deleted messages stay for thirty days in a second place."],
    "sharing.md": ["Nobody sells your messages.", "We share addresses with carriers."],
}
QUESTION = "How long are messages kept?"

Writer = Callable[..., Path]


class Preferring:
    """Scores passages by whether they have a phrase, and counts the pairs."""

    def __init__(self, phrase: str, *, score: float = 2.5) -> None:
        self.phrase, self.score, self.pairs = phrase, score, 0

    def __call__(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        assert {question for question, _ in pairs} == {QUESTION}
        self.pairs += len(pairs)
        return [self.score if self.phrase in passage else -1.0 for _, passage in pairs]


def test_the_reranker_s_order_counts_and_the_search_s_scores_stay(write_base: Writer) -> None:
    path, reranker = write_base(DOCUMENTS), Preferring("thirty days")
    with KnowledgeBase.open(path) as plain, KnowledgeBase.open(path, reranker=reranker) as base:
        before, after = plain.search(QUESTION, 3), base.search(QUESTION, 3)

    assert "thirty days" not in before[0].text
    assert "thirty days" in after[0].text
    assert [passage.rerank_score for passage in after] == [2.5, -1.0, -1.0]
    assert all(passage.rerank_score is None for passage in before)
    assert {passage.text: passage.score for passage in before} == {
        passage.text: passage.score for passage in after
    }


def test_equal_scores_keep_the_search_s_order(write_base: Writer) -> None:
    path = write_base(DOCUMENTS)
    with KnowledgeBase.open(path) as plain, KnowledgeBase.open(path, reranker=Preferring("no such")) as base:
        assert [one.text for one in base.search(QUESTION)] == [one.text for one in plain.search(QUESTION)]


def test_more_passages_are_reranked_than_are_returned(write_base: Writer) -> None:
    many = {f"{number}.md": [f"messages number {number}"] for number in range(50)}
    reranker = Preferring("no such")
    with KnowledgeBase.open(write_base(many), reranker=reranker) as base:
        assert len(base.search(QUESTION, 2)) == 2

    assert reranker.pairs == 30


def test_the_reader_reads_the_reranked_passages(write_base: Writer) -> None:
    reader = FindingReader("thirty days", "messages")
    with KnowledgeBase.open(write_base(DOCUMENTS), reader=reader, reranker=Preferring("thirty")) as base:
        answer = base.ask(QUESTION, k=1)

    assert answer.text == "thirty days"
    assert [passage.document for passage in answer.passages] == ["keeping.md"]


def test_whether_anything_fits_is_decided_before_the_order_changes(write_base: Writer, embedder: Any) -> None:
    path = write_base(DOCUMENTS, embedder)
    with KnowledgeBase.open(path, embedder=embedder) as plain:
        best, *_, last = plain.search(QUESTION)
    between = (best.score + last.score) / 2
    reranker = Preferring(last.text)
    with KnowledgeBase.open(path, embedder=embedder, reranker=reranker) as base:
        answer = base.ask(QUESTION, k=1, min_score=between)

    assert [passage.text for passage in answer.passages] == [last.text]
    assert answer.best_score == best.score


@pytest.mark.parametrize("scores", [[1.0], [[1.0]] * 4, ["a"] * 4, [None] * 4, 1.0])
def test_scores_of_another_form_are_refused(write_base: Writer, scores: Any) -> None:
    with (
        KnowledgeBase.open(write_base(DOCUMENTS), reranker=lambda _: scores) as base,
        pytest.raises(InputError, match="the reranker"),
    ):
        base.search(QUESTION)


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_scores_that_are_no_numbers_are_refused(write_base: Writer, score: float) -> None:
    with (
        KnowledgeBase.open(write_base(DOCUMENTS), reranker=Preferring("thirty", score=score)) as base,
        pytest.raises(InputError, match="nan or infinity"),
    ):
        base.search(QUESTION)


def test_a_bundle_that_does_not_score_pairs_is_refused(
    write_base: Writer, make_bundle: Callable[..., Path]
) -> None:
    bundle = make_bundle()  # a classifier of single texts
    with pytest.raises(BundleError, match="can't rank passages"):
        KnowledgeBase.open(write_base(DOCUMENTS), reranker=bundle)
