"""Documents for a reranker to rank, if the data names only relevant ones: those that a search would find."""

import hashlib
from typing import Final

import numpy as np

from ftool.data.dataset import Split
from ftool.data.rows.ranking import RankedQuery
from ftool.evaluation.metrics.embeddings import best_of
from ftool.training.baselines.tfidf import WordVectors, enough_texts

CANDIDATES: Final = 30  # documents of a query: as many as the runtime's knowledge base gives a reranker


def with_candidates(split: Split[RankedQuery], seed: int) -> Split[RankedQuery]:
    """Return the split with further documents for each query whose documents the data does not grade.

    They are the split's documents that share most words with the query, by TF-IDF, and are not the query's own; they
    count as irrelevant. A query ends with 30 documents, or with all that the split has.
    """
    documents = list(dict.fromkeys(text for one in split.examples for text in one.documents))
    short = [place for place, one in enumerate(split.examples) if not one.graded]
    if not short:
        return split
    known = enough_texts(documents, seed)
    words = WordVectors([documents[place] for place in known])
    queries = words([split.examples[place].query for place in short])
    own = max(len(one.documents) for one in split.examples)
    found = best_of(queries, words(documents), CANDIDATES + own)
    examples = list(split.examples)
    for place, row in zip(short, found, strict=True):
        one = examples[place]
        others = [documents[n] for n in row if documents[n] not in one.documents]
        examples[place] = one.with_others(others[: max(CANDIDATES - len(one.documents), 0)])
    return Split(examples, split.source, split.table)


def sampled(split: Split[RankedQuery], negatives: int, seed: int) -> Split[RankedQuery]:
    """Return the split with at most `negatives` irrelevant documents for each relevant one, drawn at random.

    Which documents are drawn depends only on the query and on `seed`. Queries whose documents the data grades are
    unchanged.
    """
    return Split([_drawn(one, negatives, seed) for one in split.examples], split.source, split.table)


def _drawn(one: RankedQuery, negatives: int, seed: int) -> RankedQuery:
    if one.graded:
        return one
    right = [place for place, relevance in enumerate(one.relevances) if relevance > 0]
    wrong = [place for place, relevance in enumerate(one.relevances) if relevance == 0]
    key = hashlib.sha256(f"{seed} {one.query}".encode()).digest()
    generator = np.random.default_rng(int.from_bytes(key[:8]))
    drawn = generator.permutation(wrong)[: negatives * max(len(right), 1)].tolist()
    return one.at([*right, *drawn])
