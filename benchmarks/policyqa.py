"""Measure search and answers on policyqa's 574 contexts: recall by words, by embeddings and by both, and times.

    python -m benchmarks.policyqa [--embedders int8=BUNDLE fp32=BUNDLE] [--reader BUNDLE]

Without `--embedders`, the default embedder of `ftool index` is used. Others, and a reader that serves for times alone:

    ftool export --checkpoint minilm --task feature-extraction --precision fp32 -o BUNDLE
    ftool train benchmarks/recipes/squad2 --set train.epochs=0.1 && ftool export benchmarks/recipes/squad2

The same question is asked about many policies, so every context that the data pairs with a question of the same text
counts as right.
"""

import argparse
import json
import os
import resource
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.commands import DATA, ftool, write_result
from benchmarks.search_scale import time_calls
from ftool.machine import describe_machine
from ftool.terminal import format_table
from ftool_runtime.knowledge import MODES, KnowledgeBase

DEPTHS = (1, 3, 5, 10)


def main() -> None:
    """Run all measurements, and write benchmarks/results/policyqa.json, or policyqa_recall.json without times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--embedders", nargs="+", default=["default="], metavar="NAME=BUNDLE")
    parser.add_argument("--reader", type=Path, metavar="BUNDLE")
    parser.add_argument(
        "--asked", type=int, default=200, help="number of questions to time; 0 for recall only"
    )
    options = parser.parse_args()
    contexts, pairs, asked = read_policyqa(DATA / "policyqa" / "dev.json")
    result: dict[str, Any] = {"machine": describe_machine(), "load_average": os.getloadavg()}
    with tempfile.TemporaryDirectory() as folder:
        documents = Path(folder) / "contexts.jsonl"
        documents.write_text(
            "".join(json.dumps({"id": str(at), "text": text}) + "\n" for at, text in enumerate(contexts))
        )
        for named in options.embedders:
            name, _, bundle = named.partition("=")
            result[name] = measure(documents, bundle, options.reader, pairs, asked, options.asked)
    result["load_average_after"] = os.getloadavg()
    write_result("policyqa" if options.asked else "policyqa_recall", result)
    show(result, [named.partition("=")[0] for named in options.embedders])


def read_policyqa(path: Path) -> tuple[list[str], Mapping[str, set[int]], Mapping[str, int]]:
    """Return the contexts, the indices of each question's contexts, and how often each question is asked.

    Questions with the same text count as one question.
    """
    contexts: list[str] = []
    pairs: dict[str, set[int]] = defaultdict(set)
    asked: dict[str, int] = defaultdict(int)
    for policy in json.loads(path.read_text())["data"]:
        for paragraph in policy["paragraphs"]:
            for question in paragraph["qas"]:
                pairs[question["question"]].add(len(contexts))
                asked[question["question"]] += 1
            contexts.append(paragraph["context"])
    return contexts, pairs, asked


def measure(
    documents: Path,
    bundle: str,
    reader: Path | None,
    pairs: Mapping[str, set[int]],
    asked: Mapping[str, int],
    timed: int,
) -> dict[str, Any]:
    """Index the contexts with the embedder `bundle` and search for all questions; return recall, times and sizes.

    `timed` is the number of questions whose calls are timed.
    """
    file = documents.with_name("kb.db")
    file.unlink(missing_ok=True)
    chosen = ["--embedder", bundle] if bundle else []
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    indexed = ftool("index", documents, "-o", file, *chosen)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    kept = ("documents", "passages", "seconds", "wall_seconds", "fingerprint")
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    result: dict[str, Any] = {
        "index": {key: indexed[key] for key in kept} | {"processor_seconds": round(used, 1)},
        "bytes": file.stat().st_size,
    }
    with KnowledgeBase.open(file, reader=reader) as base:
        result["recall"] = {mode: recall(base, mode, pairs, asked) for mode in MODES}
        if timed:
            questions = sorted(pairs)[:: max(1, len(pairs) // timed)][:timed]
            result["latency_ms"] = time_answers(base, questions)
    return result


def recall(
    base: KnowledgeBase, mode: Any, pairs: Mapping[str, set[int]], asked: Mapping[str, int]
) -> dict[str, float]:
    """Return the share of questions with a paired context among the first k found, and the mean reciprocal rank.

    `at_k` and `mrr_10` weight each question's text by how often it is asked; `texts_…` count each text once.
    """
    texts = sorted(pairs)
    firsts = np.array([first_rank(base, mode, text, pairs[text]) for text in texts])
    weights = np.array([asked[text] for text in texts])
    found = {f"at_{k}": float(np.average(firsts <= k, weights=weights)) for k in DEPTHS}
    found |= {f"texts_at_{k}": float(np.mean(firsts <= k)) for k in DEPTHS}
    reciprocal = np.where(firsts <= 10, 1 / firsts, 0)
    found["mrr_10"] = float(np.average(reciprocal, weights=weights))
    found["texts_mrr_10"] = float(np.mean(reciprocal))
    return {name: round(value, 4) for name, value in found.items()}


def first_rank(base: KnowledgeBase, mode: Any, question: str, wanted: set[int]) -> float:
    """Return the rank, among distinct contexts, of the first context in `wanted`; infinity if none is found."""
    found = base.search(question, 3 * max(DEPTHS), mode=mode)
    contexts = list(dict.fromkeys(int(passage.document.rpartition("#")[2]) for passage in found))
    return next((rank for rank, context in enumerate(contexts, 1) if context in wanted), float("inf"))


def time_answers(base: KnowledgeBase, questions: Sequence[str]) -> dict[str, Any]:
    """Return the milliseconds of a `search` in each mode and of an `ask`, as `time_calls` measures them."""
    calls: dict[str, Callable[[str], Any]] = {
        f"search, {mode}": partial(base.search, mode=mode) for mode in MODES
    }
    calls["ask"] = base.ask
    answers = [base.ask(question) for question in questions]
    return {
        "questions": len(questions),
        "reader": answers[0].read,
        "answered": sum(answer.text is not None for answer in answers),
        **time_calls(calls, questions),
    }


def show(result: Mapping[str, Any], names: Sequence[str]) -> None:
    """Print the figures of each embedder."""
    for name in names:
        one = result[name]
        print(
            f"{name}: {one['index']['passages']} passages in {one['index']['seconds']:.1f} s, {one['bytes']:,} bytes"
        )
        columns = list(one["recall"]["bm25"])
        rows = [["", *columns], *([mode, *map(str, one["recall"][mode].values())] for mode in MODES)]
        print(format_table(rows))
        timed = {key: value for key, value in one.get("latency_ms", {}).items() if isinstance(value, dict)}
        rows = [[key, *map(str, value.values())] for key, value in timed.items()]
        if rows:
            print(format_table([["ms", "p50", "p95", "p50 of processor time"], *rows]))


if __name__ == "__main__":
    main()
