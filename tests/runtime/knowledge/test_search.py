"""A knowledge base is searched, and questions are answered from it."""

import multiprocessing
import pickle
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ftool_runtime.errors import ClosedError, InputError, OtherProcessError
from ftool_runtime.knowledge import KnowledgeBase, KnowledgeBaseError
from ftool_runtime.knowledge.fusion import fuse
from ftool_runtime.knowledge.vectors import VectorSearch, read_blocks

DOCUMENTS = {
    "keeping.md": ["We keep messages for thirty days.", "Accounts are kept until you close them."],
    "sharing.md": ["We share addresses with carriers.", "Nobody sells your messages."],
}

Writer = Callable[..., Path]


def test_words_find_the_passage_that_contains_them(write_base: Writer) -> None:
    with KnowledgeBase.open(write_base(DOCUMENTS)) as base:
        (best, *_) = base.search("who carries: carriers?")
        assert (best.document, best.text) == ("sharing.md", "We share addresses with carriers.")
        assert (best.bm25_rank, best.embedding_rank) == (1, None)


def test_passages_are_at_their_positions_in_the_document(write_base: Writer) -> None:
    with KnowledgeBase.open(write_base(DOCUMENTS)) as base:
        for passage in base.search("messages accounts addresses", 10):
            assert base.text(passage.document)[passage.start : passage.end] == passage.text


def test_a_document_is_reassembled_exactly(write_base: Writer) -> None:
    with KnowledgeBase.open(write_base(DOCUMENTS)) as base:
        assert base.text("keeping.md") == "\n\n".join(DOCUMENTS["keeping.md"])


def test_an_unknown_document_is_refused_with_the_nearest_name(write_base: Writer) -> None:
    with (
        KnowledgeBase.open(write_base(DOCUMENTS)) as base,
        pytest.raises(InputError, match=r"did you mean keeping\.md"),
    ):
        base.text("keepin.md")


def test_embeddings_find_the_nearest_passages(write_base: Writer, embedder: Any) -> None:
    with KnowledgeBase.open(write_base(DOCUMENTS, embedder), embedder=embedder) as base:
        (best, *_) = base.search("until you close accounts", mode="embeddings")
        assert best.text == "Accounts are kept until you close them."
        assert (best.bm25_rank, best.embedding_rank) == (None, 1)
        assert embedder.kinds[-1] == "query"


def test_a_question_vector_that_is_not_finite_is_refused(write_base: Writer, embedder: Any) -> None:
    class Broken:
        dimension, fingerprint = embedder.dimension, embedder.fingerprint

        def __call__(self, texts: Sequence[str], *, kind: str) -> Any:
            return np.full((len(texts), self.dimension), np.nan, np.float32)

    with KnowledgeBase.open(write_base(DOCUMENTS, embedder), embedder=Broken()) as base:
        with pytest.raises(InputError, match="the embedder's vector for the question contains nan"):
            base.search("words")
        assert base.search("passage", mode="bm25") is not None


def test_embeddings_are_searched_exactly(write_base: Writer, embedder: Any) -> None:
    """Search over several blocks, in memory or not, gives the result of one product with all vectors."""
    rng = np.random.default_rng(0)
    passages = [" ".join(rng.choice(list("abcdefghijklmnop"), 9)) for _ in range(9000)]
    path = write_base({"many": passages}, embedder, rows_together=100)
    with closing(sqlite3.connect(path)) as connection:
        (ids,), (vectors,) = zip(*_joined(connection, embedder.dimension), strict=True)
        query = embedder(["a b c"], kind="query")[0]
        expected = [int(ids[at]) for at in np.lexsort((ids, -(vectors @ query)))[:50]]
        for memory in (0, 2**30):
            search = VectorSearch(embedder.dimension, memory)
            for _ in range(2):
                assert [passage for passage, _ in search.rank(connection, query, 50, 1)] == expected


def _joined(connection: sqlite3.Connection, dimension: int) -> list[Any]:
    blocks = list(read_blocks(connection, dimension))
    assert len(blocks) > 1
    return [(np.concatenate([b.ids for b in blocks]), np.concatenate([b.vectors for b in blocks]))]


def test_both_rankings_are_fused(write_base: Writer, embedder: Any) -> None:
    with KnowledgeBase.open(write_base(DOCUMENTS, embedder), embedder=embedder) as base:
        assert base.mode == "fused"
        for passage in base.search("keep messages"):
            ranks = [rank for rank in (passage.bm25_rank, passage.embedding_rank) if rank is not None]
            assert passage.score == pytest.approx(sum(1 / (60 + rank) for rank in ranks))


def test_fusion_adds_reciprocal_ranks() -> None:
    # 7: 1/61 + 1/62; 9: 1/61; 5: 1/62; equal scores by id
    assert fuse([(9, 3.0), (7, 2.0)], [(7, 0.9), (5, 0.8)]) == [
        (7, 1 / 62 + 1 / 61),
        (9, 1 / 61),
        (5, 1 / 62),
    ]


def test_the_reader_answers_with_its_place_in_the_document(write_base: Writer, finding_reader: Any) -> None:
    with KnowledgeBase.open(write_base(DOCUMENTS), reader=finding_reader("until you close them")) as base:
        answer = base.ask("how long are accounts kept")
        assert (answer.text, answer.document, answer.read) == ("until you close them", "keeping.md", True)
        assert answer.start is not None
        assert base.text("keeping.md")[answer.start : answer.end] == answer.text


def test_the_answer_with_the_largest_margin_is_given(write_base: Writer, finding_reader: Any) -> None:
    reader = finding_reader("carriers", "thirty days")
    with KnowledgeBase.open(write_base(DOCUMENTS), reader=reader) as base:
        assert base.ask("we keep messages thirty days, share with carriers").text == "carriers"


def test_the_reader_says_that_there_is_no_answer(write_base: Writer, finding_reader: Any) -> None:
    with KnowledgeBase.open(write_base(DOCUMENTS), reader=finding_reader("nowhere")) as base:
        answer = base.ask("who sells messages?")
        assert (answer.text, answer.document, answer.start, answer.score) == (None, None, None, 0.9)
        assert answer.passages


def test_without_a_reader_passages_are_the_answer(write_base: Writer) -> None:
    with KnowledgeBase.open(write_base(DOCUMENTS)) as base:
        answer = base.ask("who sells messages?")
        assert (answer.text, answer.read) == (None, False)
        assert answer.passages[0].text == "Nobody sells your messages."


def test_a_question_that_matches_nothing_has_no_answer(write_base: Writer, finding_reader: Any) -> None:
    with KnowledgeBase.open(write_base(DOCUMENTS), reader=finding_reader("x")) as base:
        assert base.ask("🙂").passages == ()


def test_another_embedding_model_is_refused(write_base: Writer, embedder: Any, other_embedder: Any) -> None:
    path = write_base(DOCUMENTS, embedder)
    with pytest.raises(KnowledgeBaseError, match="embedded by another model"):
        KnowledgeBase.open(path, embedder=other_embedder)


def test_an_embedder_is_refused_if_there_are_no_embeddings(write_base: Writer, embedder: Any) -> None:
    with pytest.raises(KnowledgeBaseError, match="has no embeddings"):
        KnowledgeBase.open(write_base(DOCUMENTS), embedder=embedder)


def test_a_base_embedded_by_an_apps_own_model_needs_that_embedder(write_base: Writer, embedder: Any) -> None:
    with pytest.raises(KnowledgeBaseError, match="embedded by an app's own model"):
        KnowledgeBase.open(write_base(DOCUMENTS, embedder))


def test_embeddings_need_an_embedder(write_base: Writer, embedder: Any) -> None:
    with (
        KnowledgeBase.open(write_base(DOCUMENTS, embedder), embedder=None) as base,
        pytest.raises(KnowledgeBaseError, match='mode "embeddings" needs an embedder'),
    ):
        base.search("messages", mode="embeddings")


@pytest.mark.parametrize(
    ("question", "k", "mode", "said"),
    [
        (" ", 5, None, "the question is empty"),
        (None, 5, None, "must be a string"),
        ("\ud800", 5, None, "not valid Unicode"),
        ("a", 0, None, "k must be at least 1, got 0"),
        ("a", "5", None, "k must be a whole number, got '5'"),
        ("a", None, None, "k must be a whole number, got None"),
        ("a", 2.5, None, "k must be a whole number, got 2.5"),
        ("a", True, None, "k must be a whole number, got True"),
        ("a", 5, "best", "mode must be one of bm25, embeddings, fused, got 'best'"),
    ],
)
def test_a_wrong_question_is_refused(write_base: Writer, question: Any, k: Any, mode: Any, said: str) -> None:
    with KnowledgeBase.open(write_base(DOCUMENTS)) as base, pytest.raises(InputError, match=said):
        base.search(question, k, mode=mode)


@pytest.mark.parametrize(
    ("name", "said"), [(None, "must be a string, got NoneType"), ("\ud800", "not valid Unicode")]
)
def test_a_documents_name_is_a_string(write_base: Writer, name: Any, said: str) -> None:
    with (
        KnowledgeBase.open(write_base(DOCUMENTS)) as base,
        pytest.raises(InputError, match=rf"the document's name .*{said}"),
    ):
        base.text(name)


def test_threads_share_a_base(write_base: Writer, embedder: Any) -> None:
    questions = ["keep messages", "share addresses", "close accounts", "sells nobody"] * 50
    with KnowledgeBase.open(write_base(DOCUMENTS, embedder), embedder=embedder) as base:
        expected = [base.search(question) for question in questions]
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(base.search, questions)) == expected


def test_a_closed_base_says_so(write_base: Writer) -> None:
    base = KnowledgeBase.open(write_base(DOCUMENTS))
    base.close()
    with pytest.raises(ClosedError, match="was closed"):
        base.search("messages")


def test_an_open_base_cannot_be_used_in_another_process(write_base: Writer) -> None:
    base = KnowledgeBase.open(write_base(DOCUMENTS))
    with pytest.raises(OtherProcessError):
        pickle.dumps(base)
    said = multiprocessing.get_context("fork").SimpleQueue()  # type: ignore[attr-defined]

    def child() -> None:
        try:
            base.search("messages")
        except OtherProcessError as error:
            said.put(str(error))

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()
    assert "before a fork" in said.get()
    base.close()


def test_new_documents_are_found_without_reopening(write_base: Writer, embedder: Any) -> None:
    path = write_base(DOCUMENTS, embedder)
    with KnowledgeBase.open(path, embedder=embedder) as base:
        base.search("messages", mode="embeddings")  # vectors are in memory now
        vector = embedder(["brand new passage"], kind="passage").astype("<f2").tobytes()
        with closing(sqlite3.connect(path)) as writer, writer:
            writer.execute(
                "INSERT INTO passages VALUES (9, 1, 0, 17, '', '', 'brand new passage', NULL, NULL)"
            )
            writer.execute("INSERT INTO vectors VALUES (9, 1, ?)", (vector,))
            writer.execute("UPDATE meta SET value = value + 1 WHERE key = 'changes'")
        assert base.search("brand new passage", mode="embeddings")[0].text == "brand new passage"


def test_answers_are_json(write_base: Writer, finding_reader: Any) -> None:
    with KnowledgeBase.open(write_base(DOCUMENTS), reader=finding_reader("thirty days")) as base:
        said = base.ask("keep messages").to_json()
        assert said["text"] == "thirty days"
        assert said["passages"][0]["document"] == "keeping.md"
        assert base.info()["documents"] == 2
        assert base.documents() == ["keeping.md", "sharing.md"]
