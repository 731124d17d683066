"""Example class and row reader for rerankers: a query, the documents that may answer it, and how well each does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ftool.data.dataset import Example, Split
from ftool.data.label_policy import ModelFacts
from ftool.data.rows.base import RowReader
from ftool.data.rows.labels import LabelledText
from ftool.data.rows.similarity import SimilarityReader, SimilarPair
from ftool.data.table import Table
from ftool.errors import DataError
from ftool.recipe.data_settings import DataSettings


@dataclass(frozen=True, slots=True)
class RankedQuery(Example):
    """A query with documents to rank.

    Attributes:
        query: the query, such as a question.
        documents: different texts, in the order of the data.
        relevances: how relevant each document is: 0 for one that does not answer the query, larger for better ones.
        graded: whether the data says how relevant each document is; else documents that the data does not name are
            taken to be irrelevant.
    """

    query: str
    documents: tuple[str, ...]
    relevances: tuple[float, ...]
    graded: bool = False

    @property
    def pairs(self) -> list[dict[str, str]]:
        """The query with each document, as a model reads them: dicts of "text" and "text_pair"."""
        return [{"text": self.query, "text_pair": document} for document in self.documents]

    @property
    def input(self) -> dict[str, Any]:
        """The query and the list of its documents."""
        return {"query": self.query, "documents": list(self.documents)}

    @property
    def named_texts(self) -> Mapping[str, str]:
        """The query, and all documents as one text."""
        return {"query": self.query, "documents": "\n".join(self.documents)}

    @property
    def separate_texts(self) -> Sequence[str]:
        """The query together with each document: a model reads such a pair at once."""
        return [f"{self.query}\n{document}" for document in self.documents]

    @property
    def key(self) -> str:
        """The query."""
        return self.query

    @property
    def content(self) -> list[Any]:
        """The query, the documents and their relevances."""
        return [self.query, list(self.documents), list(self.relevances)]

    def with_others(self, documents: Sequence[str]) -> "RankedQuery":
        """Return the example with further documents, which are irrelevant."""
        nothing = (0.0,) * len(documents)
        return replace(self, documents=(*self.documents, *documents), relevances=(*self.relevances, *nothing))

    def at(self, places: Sequence[int]) -> "RankedQuery":
        """Return the example with the documents at `places` (counted from 0), in the order of `places`."""
        documents = tuple(self.documents[place] for place in places)
        return replace(
            self, documents=documents, relevances=tuple(self.relevances[place] for place in places)
        )


class RankingReader(RowReader[RankedQuery]):
    """Reads rows of a query and a document: relevant ones, a relevant and an irrelevant one, or with a relevance each.

    The columns are those of an embedder's data (`SimilarityReader`): anchor, positive and negative, or a score, which
    is 0 for documents that don't answer the query. All rows of a query are one example. Examples that share a text go
    to the same split, if that leaves enough groups.
    """

    def __init__(
        self, tables: Mapping[str, Table], settings: DataSettings, model: ModelFacts | None = None
    ) -> None:
        self._pairs = SimilarityReader(tables, settings)
        super().__init__(self._pairs.tables, settings, model)
        self._contradictions = 0

    def read(self, table: Table) -> Split[RankedQuery]:
        """Return one example for each query, in the order in which queries first appear.

        If rows of a query name a document twice, the higher relevance counts. Raises DataError for a negative
        relevance, and if no document of any query is relevant.
        """
        split = self._pairs.read(table)
        places: dict[str, list[int]] = {}
        for place, pair in enumerate(split.examples):
            places.setdefault(pair.anchor, []).append(place)
        examples = [
            self._example([split.examples[place] for place in rows], table) for rows in places.values()
        ]
        if not any(max(one.relevances) > 0 for one in examples):
            raise DataError(f"{table.source}: no document is relevant: every score is 0; correct the scores")
        firsts = [rows[0] for rows in places.values()]
        return Split(examples, split.source, split.table.take(firsts))

    def input_columns(self) -> Mapping[str, str]:
        """Return the columns of queries and documents, as the fields of a pair."""
        columns = self._pairs.columns(self.first)
        return {"text": columns.anchor, "text_pair": columns.positive}

    def note(self) -> str:
        """Return a line that names the columns."""
        columns = self._pairs.columns(self.first)
        more = {"irrelevant ones": columns.negative, "relevance": columns.score}
        named = "".join(f", {what} {name!r}" for what, name in more.items() if name is not None)
        return f"{self.first.source}: queries from the column {columns.anchor!r}, documents {columns.positive!r}{named}"

    def finish(self, splits: dict[str, Split[RankedQuery]]) -> dict[str, Split[RankedQuery]]:
        """Return the splits unchanged; find the training queries that share a document, for the method `groups`."""
        if self._contradictions:
            self.warnings.append(
                f"{self._contradictions} pairs of a query and a document stand in several rows with different "
                "relevances; the highest counts"
            )
        if "train" in splits:
            self._pairs.finish({"train": _pairs_of(splits["train"])})
            self.kept_together = self._pairs.kept_together.replace("each anchor", "each query")
        return splits

    def groups(self, examples: Sequence[RankedQuery]) -> list[str]:
        """Return the group of each example: the first text of all that are linked by documents, or the query."""
        return self._pairs.groups([SimilarPair(one.query, one.documents[0]) for one in examples])

    def facts(self, train: Split[RankedQuery]) -> Mapping[str, Any]:  # noqa: ARG002 (the same for all data)
        """Return the facts of a regressor of pairs, which a reranker is."""
        return {"multi_label": False, "regression": True, "pairs": True}

    def _example(self, pairs: Sequence[SimilarPair], table: Table) -> RankedQuery:
        """Return the example of one query's rows."""
        found: dict[str, float] = {}
        for pair in pairs:
            relevance = 1.0 if pair.score is None else pair.score
            if relevance < 0:
                raise DataError(
                    f"{table.source}: row {pair.row} has the relevance {relevance:g}; it must be 0 for an irrelevant "
                    "document, and above 0 for a relevant one"
                )
            self._contradictions += found.get(pair.positive, relevance) != relevance
            found[pair.positive] = max(relevance, found.get(pair.positive, 0.0))
            if pair.negative is not None:
                self._contradictions += found.setdefault(pair.negative, 0.0) != 0.0
        first = pairs[0]
        return RankedQuery(
            first.anchor,
            tuple(found),
            tuple(found.values()),
            graded=first.score is not None,
            row=first.row,
        )


def labelled_pairs(split: Split[RankedQuery], largest: float = 1.0) -> Split[LabelledText]:
    """Return each query with each document as an example; its score is the relevance as a share of `largest`."""
    examples = [
        LabelledText(one.query, pair=document, scores=(min(relevance / largest, 1.0),), row=one.row)
        for one in split.examples
        for document, relevance in zip(one.documents, one.relevances, strict=True)
    ]
    return Split(examples, split.source)


def _pairs_of(split: Split[RankedQuery]) -> Split[SimilarPair]:
    pairs = [SimilarPair(one.query, document) for one in split.examples for document in one.documents]
    return Split(pairs, split.source)
