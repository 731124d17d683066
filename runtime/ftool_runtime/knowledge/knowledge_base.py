"""`KnowledgeBase`: search and question answering over documents that `ftool index` wrote to a file."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from sqlite3 import Connection
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from ftool_runtime.ask_defaults import MODES
from ftool_runtime.errors import InputError, is_one_of
from ftool_runtime.knowledge.approximate import ApproximateIndex, read_covered
from ftool_runtime.knowledge.chosen_models import RECORDED, ChosenModels
from ftool_runtime.knowledge.connections import Connections
from ftool_runtime.knowledge.documents import document_names, document_text, passages_of, sizes
from ftool_runtime.knowledge.errors import KnowledgeBaseError
from ftool_runtime.knowledge.full_text import rank_by_words
from ftool_runtime.knowledge.fusion import MEANING_WEIGHT, fuse, least_score
from ftool_runtime.knowledge.models import Embedder, Reader, Reranker
from ftool_runtime.knowledge.reading import read_passages
from ftool_runtime.knowledge.results import FoundAnswer, Passage, nothing_found
from ftool_runtime.knowledge.schema import Meta, read_meta
from ftool_runtime.knowledge.vectors import VectorSearch
from ftool_runtime.limits import Limits, limits_of
from ftool_runtime.text.encode import text_problem

Mode = Literal["bm25", "embeddings", "fused"]

_DEPTH = 100  # the number of passages of each ranking that are fused
_RERANKED = 30  # the number of passages that a reranker reads


class KnowledgeBase:
    """Searchable documents in one file.

    Open a knowledge base with `open`. Several threads can use one KnowledgeBase at the same time, even while another
    process writes to the file. A KnowledgeBase is a context manager; `close` releases the file and the models that
    `open` loaded.
    """

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        embedder: Embedder | Path | str | None = RECORDED,
        reader: Reader | Path | str | None = RECORDED,
        reranker: Reranker | Path | str | None = None,
        busy_timeout_s: float = 10,
        vector_memory_mb: float = 160,
        exact: bool = False,
        limits: Limits | None = None,
        **loading: Any,
    ) -> Self:
        """Open the knowledge base in the file at `path` for reading.

        Args:
            path: a file written by `ftool index`.
            embedder: the model that embedded the documents: a bundle's folder, your own embedder, None to rank by
                words only, or "recorded" for the bundle named in the file.
            reader: the model that extracts answers from passages: a bundle's folder, your own reader, None to return
                only passages, or "recorded" for the bundle named in the file.
            reranker: a model that orders the best 30 passages anew: the folder of a bundle that scores pairs of texts,
                such as a cross-encoder, or your own. None keeps the order of the search.
            busy_timeout_s: the time to wait, in seconds, if another program has locked the file.
            vector_memory_mb: the memory for vectors, in MiB. If all vectors fit, they stay in memory between
                questions; otherwise they are read from the file, in blocks, for every question.
            exact: whether to compare each question with all passages, even if the file has an approximate index.
            limits: how much a question, or a model that `open` loads, may cost before it is refused; None for the
                defaults of `Limits`.
            loading: arguments for `ftool_runtime.load`, which loads bundles: `device`, `threads` and `profile`.

        Raises:
            KnowledgeBaseError: the file is missing, damaged, locked or made by a newer ftool, or `embedder` is not the
                model that embedded the documents.
            FtoolError: a bundle can't be loaded; see `ftool_runtime.load`.
        """
        path, limits = Path(path), limits_of(limits)
        with ExitStack() as opened:
            connections = Connections(path, busy_timeout_s, limits)
            opened.callback(connections.close)
            with connections.reading() as connection:
                meta = read_meta(connection, path)
            models = ChosenModels(path, meta, opened, {"limits": limits, **loading})
            chosen = models.embedder(embedder), models.reader(reader), models.reranker(reranker)
            approximate = None if exact else ApproximateIndex(meta.dimension, str(path))
            vectors = VectorSearch(meta.dimension, int(vector_memory_mb * 2**20), approximate)
            return cls(path, meta, connections, *chosen, vectors, opened.pop_all(), limits)

    def __init__(
        self,
        path: Path,
        meta: Meta,
        connections: Connections,
        embedder: Embedder | None,
        reader: Reader | None,
        reranker: Reranker | None,
        vectors: VectorSearch,
        opened: ExitStack,
        limits: Limits,
    ) -> None:
        """For use by `KnowledgeBase.open` only: keep the connections and the loaded models until `close`."""
        self._path = path
        self._meta = meta
        self._connections = connections
        self._embedder = embedder
        self._reader = reader
        self._reranker = reranker
        self._vectors = vectors
        self._opened = opened
        self._limits = limits

    @property
    def mode(self) -> Mode:
        """The default ranking of `search`: "fused" if there is an embedder, otherwise "bm25"."""
        return "fused" if self._embedder is not None and self._meta.fingerprint else "bm25"

    def search(self, question: str, k: int = 5, *, mode: Mode | None = None) -> list[Passage]:
        """Return the `k` passages most relevant to the question, best first.

        Args:
            question: any text.
            k: the maximum number of passages.
            mode: "bm25" ranks by words, "embeddings" by meaning, "fused" by both; None stands for the default, the
                property `mode`.

        Raises:
            InputError: the question is not a string, is blank, not valid Unicode or too long, or its search takes more
                steps than the limits allow; or `k` or `mode` is invalid.
            KnowledgeBaseError: the file is locked or damaged, or `mode` needs embeddings, and the file has none or was
                opened without an embedder.
            ClosedError: after `close()`.
        """
        return self._reranked(question, self._candidates(question, k, mode))[: int(k)]

    def ask(
        self, question: str, k: int = 5, *, mode: Mode | None = None, min_score: float | None = None
    ) -> FoundAnswer:
        """Search for the best `k` passages, and return the answer that the reader finds in them, with the passages.

        The result's `text` is None if the passages contain no answer or there is no reader. If even the best passage
        scores too low, nothing fits the question: the result has no passages, and its `best_score` is that score. Other
        passages that score too low are read, but left out of the result unless the answer is in them, or a reranker has
        chosen them.

        Args:
            question: any text.
            k: the maximum number of passages.
            mode: as for `search`.
            min_score: the lowest score of the best passage in the mode "fused"; in "embeddings" it is divided by the
                weight of embeddings in "fused", and in "bm25" it has no effect, because a passage without any word of
                the question is never found. None for what the best of so many passages reaches by chance, 0.1 for 30
                and 0.15 for 2,000; 0 to answer always.

        Raises:
            InputError: `min_score` is not a number from 0 to 1; and the errors of `search` and of the reader.
        """
        if isinstance(min_score, bool) or not isinstance(min_score, int | float | np.number | None):
            raise InputError(f"min_score must be a number, got {min_score!r}")
        if min_score is not None and not 0 <= min_score <= 1:
            raise InputError(f"min_score must be from 0 to 1, got {min_score}")
        candidates = self._candidates(question, k, mode)
        least = self._least(min_score, mode or self.mode)
        best = candidates[0].score if candidates else None
        if best is not None and least and best < least:
            return nothing_found(question, best, read=self._reader is not None)
        passages = self._reranked(question, candidates)[: int(k)]
        answer = replace(read_passages(self._reader, question, passages), best_score=best)
        if self._reranker is not None:
            return answer  # its order says which passages fit
        fitting = (one for one in passages if not least or one.score >= least or answer.is_in(one))
        return replace(answer, passages=tuple(fitting))

    def documents(self) -> list[str]:
        """Return the names of the documents, in alphabetical order.

        Raises KnowledgeBaseError if the file is locked or damaged, and ClosedError after `close()`.
        """
        with self._reading() as (connection, _):
            return document_names(connection)

    def text(self, document: str) -> str:
        """Return the text of a document as it was indexed; the offsets of passages and answers refer to this text.

        Raises InputError for an unknown name, KnowledgeBaseError if the file is locked or damaged, and ClosedError
        after `close()`.
        """
        problem = text_problem(document)
        if problem:
            raise InputError(f"the document's name {problem}")
        with self._reading() as (connection, _):
            return document_text(connection, document)

    def info(self) -> dict[str, Any]:
        """Return the file's path, numbers of documents and passages, default ranking and metadata as JSON values.

        `approximate` is the number of passages in the approximate index, 0 without one.

        Raises KnowledgeBaseError if the file is locked or damaged, and ClosedError after `close()`.
        """
        with self._reading() as (connection, meta):
            counts = sizes(connection)
            covered = read_covered(connection)
        described = {name: getattr(meta, name) for name in Meta.__slots__}
        approximate = covered.passages if covered is not None else 0
        return {"path": str(self._path), **counts, "approximate": approximate, "mode": self.mode, **described}

    def close(self) -> None:
        """Release the file and the models that `open` loaded; later calls raise ClosedError."""
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @contextmanager
    def _reading(self) -> Iterator[tuple[Connection, Meta]]:
        """Run the block in a transaction, and yield the connection and the file's current metadata.

        Raises KnowledgeBaseError if the file was replaced after it was opened.
        """
        with self._connections.reading() as connection:
            meta = read_meta(connection, self._path)
            if (meta.created, meta.fingerprint) != (self._meta.created, self._meta.fingerprint):
                raise KnowledgeBaseError(f"{self._path} was replaced after it was opened; open it again")
            yield connection, meta

    def _checked(self, question: str, k: int, mode: Mode | None) -> Mode:
        self._limits.check_text(question, "the question")
        problem = text_problem(question)
        if problem:
            raise InputError(f"the question {problem}")
        if isinstance(k, bool) or not isinstance(k, int | np.integer):
            raise InputError(f"k must be a whole number, got {k!r}")
        if k < 1:
            raise InputError(f"k must be at least 1, got {k}")
        mode = self.mode if mode is None else mode
        if not is_one_of(mode, MODES):
            raise InputError(f"mode must be one of {', '.join(MODES)}, got {mode!r}")
        if mode != "bm25" and self.mode == "bm25":
            if self._meta.fingerprint:
                lacking = "an embedder, and the knowledge base was opened without one"
            else:
                lacking = "embeddings, and the file has none"
            raise KnowledgeBaseError(f'{self._path}: mode "{mode}" needs {lacking}; use mode "bm25"')
        return mode

    def _least(self, min_score: float | None, mode: Mode) -> float:
        """Return the lowest score with which `ask` answers in a mode, for its argument `min_score`; 0 for always."""
        if mode == "bm25":
            return 0
        if min_score is None:
            with self._reading() as (connection, _):
                min_score = least_score(sizes(connection)["passages"])
        return float(min_score) if mode == "fused" else min_score / MEANING_WEIGHT

    def _candidates(self, question: str, k: int, mode: Mode | None) -> list[Passage]:
        """Return the best passages of the search: `k`, or as many as a reranker reads."""
        mode = self._checked(question, k, mode)
        vector = self._embed(question) if mode != "bm25" else None
        k = int(k)  # SQLite does not accept numpy integers
        depth = max(_DEPTH, k)
        count = k if self._reranker is None else max(_RERANKED, k)
        with self._reading() as (connection, meta):
            words = rank_by_words(connection, question, depth) if mode != "embeddings" else []
            near = self._vectors.rank(connection, vector, depth, meta.changes) if vector is not None else []
            ranked = fuse(words, near, depth)[:count] if mode == "fused" else (words or near)[:count]
            return passages_of(connection, ranked, words, near)

    def _reranked(self, question: str, passages: list[Passage]) -> list[Passage]:
        """Return the passages in the order of the reranker's scores; unchanged without a reranker."""
        if self._reranker is None or not passages:
            return passages
        given = self._reranker([(question, passage.text) for passage in passages])
        try:
            scores = np.asarray(given, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(f"the reranker's scores are not numbers: {error}") from error
        if scores.shape != (len(passages),):
            raise InputError(f"the reranker gave scores {scores.shape} for {len(passages)} passages")
        if not np.isfinite(scores).all():
            raise InputError("the reranker's score of a passage is nan or infinity")
        scored = [
            replace(passage, rerank_score=float(score))
            for passage, score in zip(passages, scores, strict=True)
        ]
        return sorted(scored, key=lambda passage: -(passage.rerank_score or 0.0))

    def _embed(self, question: str) -> NDArray[np.float32]:
        assert self._embedder is not None
        vector: NDArray[np.float32] = np.asarray(
            self._embedder([question], kind="query")[0], dtype=np.float32
        )
        if vector.shape != (self._meta.dimension,):
            raise KnowledgeBaseError(
                f"{self._path}: its vectors have {self._meta.dimension} numbers, and the embedder gave an array "
                f"{vector.shape} for the question; open it with the embedder that embedded the documents"
            )
        if not np.isfinite(vector).all():
            raise InputError("the embedder's vector for the question contains nan or infinity")
        return vector
