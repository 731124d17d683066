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
from tests.helpers.word_embedder import WordEmbedder

from ftool_runtime.errors import ClosedError, InputError, OtherProcessError
from ftool_runtime.knowledge import KnowledgeBase, KnowledgeBaseError
from ftool_runtime.knowledge.fusion import combined, fuse, least_score
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
        expected = [int(ids[at]) for at in np.lexsort((ids, -np.einsum("ij,j->i", vectors, query)))[:50]]
        for memory in (0, 2**30):
            search = VectorSearch(embedder.dimension, memory)
            for _ in range(2):
                assert [passage for passage, _ in search.rank(connection, query, 50, 1)] == expected


def test_every_float16_is_read_as_it_is(write_base: Writer) -> None:
    """All finite numbers: zeros of both signs, the tiniest without leading bit, the largest."""
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
    numbers = halves[np.isfinite(halves)].reshape(-1, 64)

    class AllNumbers:
        dimension = 64
        fingerprint = "all numbers"

        def __call__(self, texts: Sequence[str], *, kind: str) -> Any:
            return numbers

    path = write_base({"many": ["a passage"] * len(numbers)}, AllNumbers())
    with closing(sqlite3.connect(path)) as connection:
        read = np.concatenate([block.vectors for block in read_blocks(connection, 64)])
    np.testing.assert_array_equal(read.view(np.int32), numbers.astype(np.float32).view(np.int32))


def _joined(connection: sqlite3.Connection, dimension: int) -> list[Any]:
    blocks = list(read_blocks(connection, dimension))
    assert len(blocks) > 1
    return [(np.concatenate([b.ids for b in blocks]), np.concatenate([b.vectors for b in blocks]))]


def test_both_rankings_are_fused(write_base: Writer, embedder: Any) -> None:
    with KnowledgeBase.open(write_base(DOCUMENTS, embedder), embedder=embedder) as base:
        assert base.mode == "fused"
        words, near = (
            {passage.text: passage.score for passage in base.search("keep messages", mode=mode)}
            for mode in ("bm25", "embeddings")
        )
        for passage in base.search("keep messages"):
            assert passage.score == combined(near[passage.text], words.get(passage.text, 0))


@pytest.mark.parametrize(
    ("words", "near", "depth", "fused"),
    [
        # 7: 0.55 * 0.8 + 0.45 * 0.5 ** 3; 9: words alone; 5: meaning alone
        ([(9, 1.0), (7, 0.5)], [(7, 0.8), (5, 0.6)], 3, [(7, 0.49625), (9, 0.45), (5, 0.33)]),
        # 9 is below the first two by meaning, so that its score there is at most the second one's
        ([(9, 1.0), (7, 0.5)], [(7, 0.8), (5, 0.6)], 2, [(9, 0.78), (7, 0.49625), (5, 0.33)]),
        # one common word of several says little against meaning; scores are limited to 0 to 1; equal ones by id
        ([(9, 0.4), (7, 0.2)], [(7, 0.5), (5, -0.1)], 3, [(7, 0.2786), (9, 0.0288), (5, 0.0)]),
        ([(9, 3.0), (7, 1.0)], [], 3, [(7, 0.45), (9, 0.45)]),
    ],
)
def test_fusion_combines_scores(words: Any, near: Any, depth: int, fused: Any) -> None:
    found = fuse(words, near, depth)
    assert [passage for passage, _ in found] == [passage for passage, _ in fused]
    assert [score for _, score in found] == pytest.approx([score for _, score in fused])


def test_scores_by_words_are_shares_of_the_questions_words(write_base: Writer) -> None:
    passages = [f"nothing here about number {number}" for number in range(20)] + ["intel macbook"]
    with KnowledgeBase.open(write_base({"many": passages})) as base:
        assert base.search("intel macbook", mode="bm25")[0].score > 1
        assert 0.4 < base.search("nothing intel macbook windows linux", mode="bm25")[0].score < 0.7
        assert base.search("which computers run it, here", mode="bm25")[0].score < 0.01


def test_scores_by_embeddings_do_not_depend_on_the_cone_of_the_vectors(write_base: Writer) -> None:
    class InACone(WordEmbedder):
        """Shares a large component among all vectors, as many embedders do."""

        dimension = 65

        def __call__(self, texts: Sequence[str], *, kind: str) -> Any:
            vectors = WordEmbedder()(texts, kind=kind)
            return np.hstack([vectors, np.full((len(texts), 1), 2, np.float32)]) / np.float32(5**0.5)

    passages = [f"word{number} other{number % 7} here" for number in range(1500)]
    found = []
    for embedder, name in ((WordEmbedder(), "wide.db"), (InACone("cone"), "narrow.db")):
        with KnowledgeBase.open(write_base({"many": passages}, embedder, name), embedder=embedder) as base:
            found.append([passage.score for passage in base.search("word7 other0 now", 5, mode="embeddings")])
    assert found[0] == pytest.approx(found[1], abs=0.1)
    assert 0.3 < found[0][0] < 1


@pytest.mark.parametrize("mode", ["fused", "embeddings"])
def test_a_question_that_no_passage_fits_finds_nothing(write_base: Writer, embedder: Any, mode: Any) -> None:
    passages = [f"passage {number % 5} about things" for number in range(40)]
    path = write_base({"many": [*passages, "messages are kept for thirty days"]}, embedder)
    with KnowledgeBase.open(path, embedder=embedder) as base:
        found = base.ask("how long are messages kept", mode=mode)
        assert found.passages[0].text == "messages are kept for thirty days"
        assert found.best_score == found.passages[0].score > 0.1
        assert [one.text for one in found.passages] == ["messages are kept for thirty days"]
        assert len(base.ask("how long are messages kept", mode=mode, min_score=0).passages) == 5
        nothing = base.ask("zebra", mode=mode)
        assert (nothing.passages, nothing.text) == ((), None)
        assert nothing.best_score is not None
        assert nothing.best_score < 0.1
        assert base.ask("zebra", mode=mode, min_score=0).passages
        assert base.ask("how long are messages kept", mode=mode, min_score=0.99).passages == ()


def test_the_lowest_score_grows_with_the_number_of_passages() -> None:
    assert [round(least_score(number), 3) for number in (0, 2, 30, 2_000, 100_000)] == [
        *(0.045, 0.045, 0.099, 0.148, 0.182)
    ]
    # The lowest scores of right passages in `python -m benchmarks.search_quality`, by the number of passages.
    lowest = {24: 0.110, 598: 0.142, 832: 0.151, 2_091: 0.231}
    assert all(least_score(number) < score for number, score in lowest.items())


class OneNear(WordEmbedder):
    """Embeds "near" with a cosine of 0.2 to queries, and all other passages at right angles to them."""

    dimension = 2

    def __call__(self, texts: Sequence[str], *, kind: str) -> Any:
        cosines = np.array([1.0 if kind == "query" else 0.2 * (text == "near") for text in texts], np.float32)
        return np.stack([cosines, np.sqrt(1 - cosines**2)], axis=1)


@pytest.mark.parametrize(("mode", "score"), [("fused", 0.11), ("embeddings", 0.2)])
def test_a_score_that_fits_among_few_passages_is_chance_among_many(
    write_base: Writer, mode: Any, score: float
) -> None:
    found = []
    for number in (10, 2_000):
        passages = ["near", *(f"other {other}" for other in range(number))]
        with KnowledgeBase.open(
            write_base({"many": passages}, OneNear(), f"{number}.db"), embedder=OneNear()
        ) as base:
            assert base.search("zebra", 1, mode=mode)[0].score == pytest.approx(score, abs=0.01)
            found.append(len(base.ask("zebra", 1, mode=mode).passages))
            assert base.ask("zebra", 1, mode=mode, min_score=0).passages
    assert found == [1, 0]


@pytest.mark.parametrize(
    ("min_score", "said"),
    [
        ("a", "min_score must be a number, got 'a'"),
        (True, "must be a number"),
        (-0.1, "from 0 to 1, got -0.1"),
        (float("nan"), "from 0 to 1, got nan"),
    ],
)
def test_a_wrong_lowest_score_is_refused(write_base: Writer, min_score: Any, said: str) -> None:
    with KnowledgeBase.open(write_base(DOCUMENTS)) as base, pytest.raises(InputError, match=said):
        base.ask("messages", min_score=min_score)


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
