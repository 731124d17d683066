"""Compare an approximate index with the exact search, and ways to keep vectors in memory, on embeddings of real texts.

    python -m benchmarks.search_large [--texts FILE] [--vectors FILE.npy] [--bases FOLDER] [--sizes 100000 960000]

The texts are the distinct passages, sentences and questions of 20 characters or more in shared/data, 186,854 with the
data sets of today, and the distinct lines of 30 characters or more of FILE: results/search_large.json was measured with
descriptions of packages, drawn from the summaries that PyPI and npm publish. The embeddings are those of minilm int8;
`--vectors` keeps them between runs, and `--bases` the knowledge bases, because both take most of an hour for a
million. The 500 questions are real ones about
policyqa's and squad2_dev's texts, which are among the others.
"""

import argparse
import csv
import gzip
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.commands import DATA, write_result
from ftool.machine import describe_machine
from ftool.search.build import IndexSettings, build_index
from ftool.search.chunks import CutSettings, DocumentCutter
from ftool.search.embed import embedder_bundle
from ftool.search.store import KnowledgeBaseWriter, new_meta
from ftool.search.tokens import WordCounter
from ftool.search.types import CutPassage, Document
from ftool.terminal import format_table
from ftool_runtime.knowledge import BundledEmbedder, KnowledgeBase
from ftool_runtime.knowledge.vectors import widened

Floats = NDArray[np.float32]

NEAREST = 10
PASSAGES = 100  # in a document
EMBEDDED = 8192  # texts embedded in one call
ROWS = 1024  # vectors in a block, as in the exact search
RESCORED = 400  # candidates whose int8 products are made exact
READ_ANEW = 10  # questions for which all vectors are read from the file
ALONE = 60  # questions for the ways to keep vectors in memory


def main() -> None:
    """Run all measurements, and write benchmarks/results/search_large.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--texts", type=Path, metavar="FILE", help="more texts, one a line")
    parser.add_argument("--vectors", type=Path, metavar="FILE.npy", help="keep or reuse the embeddings here")
    parser.add_argument("--bases", type=Path, metavar="FOLDER", help="keep or reuse the knowledge bases here")
    parser.add_argument("--sizes", type=int, nargs="+", default=[100_000, 960_000], metavar="N")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="threads that build the index")
    options = parser.parse_args()
    texts = list(real_texts(options.texts))
    with closing(BundledEmbedder(embedder_bundle("minilm"))) as embedder:
        questions = real_questions()
        asked = np.asarray(embedder(questions, kind="query"), np.float32)
        vectors = embedded(texts, embedder, options.vectors)
    before = os.getloadavg()
    sizes = sorted({min(size, len(texts)) for size in options.sizes})
    found = {}
    embedder = Looked(questions, asked)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.bases or Path(temporary)
        for size in sizes:
            path = folder / f"{size}.db"
            described = knowledge_base(path, texts[:size], vectors[:size], options.threads)
            searched = compared(path, embedder, questions)
            found[f"{size:,}"] = {**described, **searched, "in memory": in_memory(vectors[:size], asked)}
            print(json.dumps(found[f"{size:,}"], indent=1), flush=True)
    loads = [before, os.getloadavg()]
    result = {"machine": describe_machine(), "load_average": loads, "questions": len(questions)}
    write_result("search_large", result | {"texts of shared/data": data_size(texts), "passages": found})


def real_texts(more: Path | None) -> Iterator[str]:
    """Yield the distinct texts of shared/data, then those of the file `more`, with single spaces."""
    seen: set[str] = set()
    yield from _distinct(_texts_of_data(), seen, 20)
    if more is not None:
        with more.open(encoding="utf-8") as lines:
            yield from _distinct(lines, seen, 30)


def data_size(texts: Sequence[str]) -> int:
    """Return how many of `texts` are texts of shared/data."""
    return min(len(texts), sum(1 for _ in real_texts(None)))


def _distinct(texts: Iterable[str], seen: set[str], shortest: int) -> Iterator[str]:
    for text in texts:
        spaced = " ".join(text.split())
        if len(spaced) >= shortest and spaced not in seen:
            seen.add(spaced)
            yield spaced


def _texts_of_data() -> Iterator[str]:
    for file in ("policyqa/dev.json", "squad2_dev/train.json", "squad2_dev/test.json"):
        for article in json.loads((DATA / file).read_text())["data"]:
            yield from (paragraph["context"] for paragraph in article["paragraphs"])
    yield from _first_columns(DATA / "tatoeba_cmn_eng" / "cmn.txt")
    with gzip.open(DATA / "python_docs_en_zh" / "en-zh-CN.jsonl.gz", "rt") as lines:
        yield from (json.loads(line)["src"] for line in lines)
    for part in ("train", "test"):
        for line in (DATA / "gsm8k" / f"{part}.jsonl").open():
            problem = json.loads(line)
            yield from (problem["question"], problem["answer"])
    for part in ("train", "dev", "test"):
        for line in (DATA / "scitldr_a" / f"{part}.jsonl").open():
            paper = json.loads(line)
            yield from paper["source"]
            yield from paper["target"]
        yield from _first_columns(DATA / "goemotions" / f"{part}.tsv")
    for part in ("train", "test"):
        with (DATA / "banking77" / f"{part}.csv").open() as rows:
            yield from (row["text"] for row in csv.DictReader(rows))
    for rows in json.loads((DATA / "clinc150" / "data_small.json").read_text()).values():
        yield from (text for text, _ in rows)
    yield from (DATA / "tico19_en_zh" / "tico19-test.en-zh.en").open()


def _first_columns(path: Path) -> Iterator[str]:
    yield from (line.split("\t")[0] for line in path.open())


def real_questions() -> list[str]:
    """Return 250 questions about policyqa's texts, and 250 about squad2_dev's."""
    chosen = []
    for file, count in (("policyqa/dev", 250), ("squad2_dev/train", 125), ("squad2_dev/test", 125)):
        articles = json.loads((DATA / f"{file}.json").read_text())["data"]
        paragraphs = [paragraph for article in articles for paragraph in article["paragraphs"]]
        asked = sorted({question["question"] for paragraph in paragraphs for question in paragraph["qas"]})
        chosen += Random(0).sample(asked, min(count, len(asked)))
    return Random(0).sample(chosen, len(chosen))


def embedded(texts: Sequence[str], embedder: BundledEmbedder, kept: Path | None) -> NDArray[np.float16]:
    """Return the embeddings of `texts`, from the file `kept` if it exists, else computed and kept there."""
    if kept is not None and kept.exists():
        vectors = np.load(kept, mmap_mode="r")
        assert len(vectors) == len(texts), (
            f"{kept} has {len(vectors)} vectors, and there are {len(texts)} texts"
        )
        return vectors
    vectors = np.empty((len(texts), embedder.dimension), np.float16)
    for start in range(0, len(texts), EMBEDDED):
        vectors[start : start + EMBEDDED] = embedder(texts[start : start + EMBEDDED], kind="passage")
        print(f"embedded {min(start + EMBEDDED, len(texts)):,}", flush=True)
    if kept is not None:
        np.save(kept, vectors)
    return vectors


# --- ways to keep vectors in memory -------------------------------------------------------------------------


def in_memory(vectors: NDArray[np.float16], asked: Floats) -> dict[str, Any]:
    """Time the search of the best 100 passages with vectors in three types, and count how many of the best 10 agree."""
    ways: dict[str, Callable[[Floats], NDArray[np.int64]]] = {
        "float32": _float32(vectors),
        "float16": _float16(vectors),
        "int8": _int8(vectors),
    }
    clock: dict[str, list[float]] = {name: [] for name in ways}
    same = dict.fromkeys(ways, 0)
    for question in asked[:ALONE]:
        best: dict[str, NDArray[np.int64]] = {}
        for name, way in ways.items():
            started = time.perf_counter()
            best[name] = way(question)[:NEAREST]
            clock[name].append((time.perf_counter() - started) * 1e3)
            same[name] += len(set(best[name]) & set(best["float32"]))
    bytes_each = {"float32": 4, "float16": 2, "int8": 2}  # int8 has two numbers for each
    return {
        name: _percentiles(clock[name])
        | {
            "bytes": vectors.size * bytes_each[name],
            "recall": same[name] / NEAREST / len(clock[name]),
        }
        for name in ways
    }


def _float32(vectors: NDArray[np.float16]) -> Callable[[Floats], NDArray[np.int64]]:
    blocks = [vectors[start : start + ROWS].astype(np.float32) for start in range(0, len(vectors), ROWS)]
    return lambda question: _best(np.concatenate([np.einsum("ij,j->i", block, question) for block in blocks]))


def _float16(vectors: NDArray[np.float16]) -> Callable[[Floats], NDArray[np.int64]]:
    kept = np.array(vectors)
    return lambda question: _best(_products(kept, question, widened))


def _int8(vectors: NDArray[np.float16]) -> Callable[[Floats], NDArray[np.int64]]:
    """Keep a scale and two int8 numbers for each: the rounded one, and a 254th of the rest, for exact products."""
    scales = np.abs(vectors).max(axis=1).astype(np.float32) / 127
    coarse, rest = (np.empty(vectors.shape, np.int8) for _ in range(2))
    for start in range(0, len(vectors), ROWS):
        part = slice(start, start + ROWS)
        scaled = vectors[part].astype(np.float32) / scales[part, None]
        coarse[part] = np.rint(scaled)
        rest[part] = np.rint((scaled - np.rint(scaled)) * 254)

    def best(question: Floats) -> NDArray[np.int64]:
        rough = _products(coarse, question, lambda block: block.astype(np.float32)) * scales
        likely = np.argpartition(rough, -RESCORED)[-RESCORED:]
        exact = (coarse[likely] + rest[likely].astype(np.float32) / 254) @ question * scales[likely]
        return likely[_best(exact)]

    return best


def _products(vectors: NDArray[Any], question: Floats, wide: Callable[[NDArray[Any]], Floats]) -> Floats:
    blocks = (vectors[start : start + ROWS] for start in range(0, len(vectors), ROWS))
    return np.concatenate([np.vecdot(wide(block), question) for block in blocks])


def _best(scores: Floats, depth: int = 100) -> NDArray[np.int64]:
    candidates = np.argpartition(scores, -depth)[-depth:]
    return candidates[np.argsort(-scores[candidates])]


def _percentiles(milliseconds: Sequence[float]) -> dict[str, float]:
    return {f"p{share}": round(float(np.percentile(milliseconds, share)), 2) for share in (50, 95)}


# --- knowledge bases ----------------------------------------------------------------------------------------


class Looked:
    """An embedder that looks up the questions' vectors, so that only the search is timed."""

    fingerprint = "looked up"

    def __init__(self, questions: Sequence[str], vectors: Floats) -> None:
        self.dimension = vectors.shape[1]
        self._vectors = dict(zip(questions, vectors, strict=True))

    def __call__(self, texts: Sequence[str], *, kind: str) -> Floats:  # noqa: ARG002
        return np.stack([self._vectors[text] for text in texts])


def knowledge_base(
    path: Path, texts: Sequence[str], vectors: NDArray[np.float16], threads: int
) -> dict[str, Any]:
    """Write a knowledge base with an approximate index, unless there is one; return what building it took."""
    report = path.with_suffix(".json")
    if not report.exists():
        path.unlink(missing_ok=True)
        write_base(path, texts, vectors)
        exact_bytes = path.stat().st_size
        built = build_index(path, [], IndexSettings(approximate=True, threads=threads)).approximate
        assert built is not None
        described = {
            "index": built.to_json(),
            "threads": threads,
            "file_bytes": {"without": exact_bytes, "with": path.stat().st_size},
        }
        report.write_text(json.dumps(described))
    return dict(json.loads(report.read_text()))


def write_base(path: Path, texts: Sequence[str], vectors: NDArray[np.float16]) -> None:
    """Write documents of PASSAGES texts each."""
    meta = new_meta(
        passage_tokens=200, overlap_tokens=40, fingerprint=Looked.fingerprint, dimension=vectors.shape[1]
    )
    with KnowledgeBaseWriter(path) as store:
        store.create(meta)
        for start in range(0, len(texts), PASSAGES):
            own = texts[start : start + PASSAGES]
            passages = [CutPassage(start=0, text=text, gap="", heading="") for text in own]
            name = str(start)
            document = Document(name=name, file=name, sha256="", pieces=lambda: iter(()))
            batch = (passages, vectors[start : start + PASSAGES].astype(np.float32))
            store.put(document, DocumentCutter(WordCounter(), CutSettings()), [batch])
        store.tidy()


def compared(path: Path, embedder: Looked, questions: Sequence[str]) -> dict[str, Any]:
    """Time the searches in turns on each question; count how many of the exact search's best are found."""
    with (
        KnowledgeBase.open(path, embedder=embedder) as base,
        KnowledgeBase.open(path, embedder=embedder, exact=True, vector_memory_mb=4000) as exact,
        KnowledgeBase.open(path, embedder=embedder, exact=True, vector_memory_mb=0) as anew,
    ):
        started = time.perf_counter()
        base.search(questions[0], NEAREST, mode="embeddings")
        first = round(time.perf_counter() - started, 2)  # reads the index
        exact.search(questions[0], NEAREST, mode="embeddings")
        searches = {"approximate": base, "exact, in memory": exact, "exact, read anew": anew}
        return {"first_search_seconds": first, **_in_turns(searches, questions)}


def _in_turns(searches: Mapping[str, KnowledgeBase], questions: Sequence[str]) -> dict[str, Any]:
    clock: dict[str, list[float]] = {name: [] for name in searches}
    hits = []
    difference = 0.0
    for number, question in enumerate(questions):
        scores = {}
        for name, base in islice(searches.items(), 3 if number < READ_ANEW else 2):
            started = time.perf_counter()
            found = base.search(question, NEAREST, mode="embeddings")
            clock[name].append((time.perf_counter() - started) * 1e3)
            scores[name] = {(passage.document, passage.text): passage.score for passage in found}
        near, right = scores["approximate"], scores["exact, in memory"]
        hits.append(len(near.keys() & right.keys()) / len(right))
        for key in near.keys() & right.keys():
            difference = max(difference, abs(near[key] - right[key]))
    table = [["", "p50 ms", "p95 ms"]]
    table += [[name, *map(str, _percentiles(clock[name]).values())] for name in clock]
    print(format_table(table), f"recall {np.mean(hits):.4f}", sep="\n", flush=True)
    return {
        "recall": round(float(np.mean(hits)), 4),
        "questions_with_all": round(float(np.mean(np.array(hits) == 1)), 4),
        "score_difference": difference,
        "milliseconds": {name: _percentiles(clock[name]) for name in clock},
    }


if __name__ == "__main__":
    main()
