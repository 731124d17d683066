"""Time search over 1,000, 10,000 and 100,000 passages, which are variants of real texts with random vectors.

    python -m benchmarks.search_scale

The texts are policyqa's contexts, repeated with some words replaced; the questions are policyqa's, too. All texts and
questions belong to one domain, so most words of a question occur in many passages, which is the hard case for BM25.
"""

import json
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.commands import DATA, write_result
from ftool.machine import describe_machine
from ftool.search.chunks import CutSettings, DocumentCutter
from ftool.search.store import KnowledgeBaseWriter, new_meta
from ftool.search.tokens import WordCounter
from ftool.search.types import CutPassage, Document
from ftool_runtime.knowledge import KnowledgeBase

DIMENSION = 384  # that of minilm
REPLACED = 0.2  # share of a text's words replaced with other words of the corpus
QUESTIONS = 60
SIZES = (1_000, 10_000, 100_000)


class RandomEmbedder:
    """An embedder that returns random unit vectors; exact search takes the same time for random as for real vectors."""

    dimension = DIMENSION
    fingerprint = "random"

    def __init__(self) -> None:
        self._generator = np.random.default_rng(0)

    def __call__(self, texts: Sequence[str], *, kind: str) -> NDArray[np.float32]:  # noqa: ARG002
        vectors = self._generator.standard_normal((len(texts), DIMENSION)).astype(np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def main() -> None:
    """Run all measurements, and write benchmarks/results/search_scale.json."""
    policies = json.loads((DATA / "policyqa" / "dev.json").read_text())["data"]
    paragraphs = [paragraph for policy in policies for paragraph in policy["paragraphs"]]
    questions = sorted({question["question"] for paragraph in paragraphs for question in paragraph["qas"]})
    before = os.getloadavg()
    sizes = time_search([paragraph["context"] for paragraph in paragraphs], questions, SIZES)
    result = {"machine": describe_machine(), "load_average": [before, os.getloadavg()], "passages": sizes}
    write_result("search_scale", result)


def time_search(texts: Sequence[str], questions: Sequence[str], sizes: Sequence[int]) -> dict[str, Any]:
    """Return the times of searches in each mode, for knowledge bases of `sizes` documents with one passage each."""
    found = {}
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "kb.db"
            written = write_base(path, texts, size)
            found[f"{size:,}"] = {
                "write_seconds": written,
                "bytes": path.stat().st_size,
                **_timed(path, questions),
            }
            print(size, found[f"{size:,}"], flush=True)
    return found


def write_base(path: Path, texts: Sequence[str], size: int) -> float:
    """Write a knowledge base of `size` variants of `texts`; return the time of writing in seconds."""
    embedder = RandomEmbedder()
    started = time.perf_counter()
    meta = new_meta(passage_tokens=200, overlap_tokens=40, fingerprint="random", dimension=DIMENSION)
    with KnowledgeBaseWriter(path) as store:
        store.create(meta)
        cutter = DocumentCutter(WordCounter(), CutSettings())
        for number, text in enumerate(varied(texts, size)):
            document = Document(name=f"{number}", file=f"{number}", sha256="", pieces=lambda: iter(()))
            passage = CutPassage(start=0, text=text, gap="", heading="")
            store.put(document, cutter, [([passage], embedder([text], kind="passage"))])
        store.tidy()
    return round(time.perf_counter() - started, 1)


def varied(texts: Sequence[str], size: int) -> Iterator[str]:
    """Yield `size` variants of `texts`, cycling through them; in each, a share REPLACED of the words is replaced."""
    generator = random.Random(0)
    words = [word for text in texts for word in text.split()]
    for number in range(size):
        own = texts[number % len(texts)].split()
        yield " ".join(generator.choice(words) if generator.random() < REPLACED else word for word in own)


def _timed(path: Path, questions: Sequence[str]) -> dict[str, Any]:
    chosen = questions[:: max(1, len(questions) // QUESTIONS)][:QUESTIONS]
    with (
        KnowledgeBase.open(path, embedder=RandomEmbedder()) as kept,
        KnowledgeBase.open(path, embedder=RandomEmbedder(), vector_memory_mb=0) as read,
    ):
        calls = {
            "bm25": lambda q: kept.search(q, mode="bm25"),
            "embeddings, in memory": lambda q: kept.search(q, mode="embeddings"),
            "embeddings, read anew": lambda q: read.search(q, mode="embeddings"),
            "fused": lambda q: kept.search(q, mode="fused"),
        }
        timed = time_calls(calls, chosen)
    unit = 2**10 if sys.platform == "linux" else 2**20
    timed["peak_memory_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit)
    return timed


def time_calls(calls: Mapping[str, Callable[[str], Any]], questions: Sequence[str]) -> dict[str, Any]:
    """Time each of `calls` on all questions; return percentiles over the questions, in milliseconds.

    After a warm-up, the calls take turns on each question. `p50` and `p95` are percentiles of the wall time. `cpu_p50`
    is the median processor time of all threads, including numpy's threads, which spin a while after a large product.
    """
    clock: dict[str, list[float]] = {name: [] for name in calls}
    processor: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call(questions[0])
    for question in questions:
        for name, call in calls.items():
            started, used = time.perf_counter(), time.process_time()
            call(question)
            clock[name].append((time.perf_counter() - started) * 1e3)
            processor[name].append((time.process_time() - used) * 1e3)
    return {
        name: {
            "p50": round(float(np.median(clock[name])), 2),
            "p95": round(float(np.percentile(clock[name], 95)), 2),
            "cpu_p50": round(float(np.median(processor[name])), 2),
        }
        for name in calls
    }


if __name__ == "__main__":
    main()
