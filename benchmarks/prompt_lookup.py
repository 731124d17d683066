"""Measure prompt lookup: a model that quotes its source, with guesses and without, and answers with wrong guesses only.

    python -m benchmarks.prompt_lookup [--work FOLDER] [--data FOLDER] [--rounds 3] [--set train.threads=1]

Trains an encoder-decoder from random weights, if the work folder has none, to repeat the first sentence of its source
(the lead, an old baseline for summaries of news). Most of its training sources are random words, so that it learns to
copy; the tested sources are sentences of squad2_dev and policyqa that it has not seen. In each round, every text is
answered with and without lookup in turn. In the worst case, the answer must not repeat two tokens of the source, so
that every guess from the source is wrong.
"""

import argparse
import json
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import ftool_runtime as ft
from benchmarks.commands import DATA, ftool, write_result
from ftool.machine import describe_machine
from ftool.terminal import format_table

PRECISIONS = ("fp32", "w8", "int8", "w4")
LOOKUP = {"prompt_lookup_num_tokens": 10, "prompt_lookup_approximate": True}
CASES: dict[str, dict[str, Any]] = {"quotes": {}, "wrong guesses": {"encoder_no_repeat_ngram_size": 2}}
RUNS = (1, 2, 3, 4, 6, 8, 11)  # tokens
SETTINGS = {
    "train.max_length": 128,
    "train.max_target_length": 64,
    "train.vocabulary_size": 500,
    "train.dropout": 0.0,
    "train.batch_size": 32,
    "train.learning_rate": 2e-3,
    "train.epochs": 3,
    "train.evaluations_per_epoch": 1,
    "train.early_stopping_patience": 0,
}


def main() -> None:
    """Train and export what is missing, time every precision, and write benchmarks/results/prompt_lookup.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("models/quotes"))
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a training setting")
    options = parser.parse_args()
    if not (options.work / "run").exists():
        train(options.work, options.data, options.set)
    texts = [
        row["source"] for row in rows_of(options.work.with_name(f"{options.work.name}-data") / "test.jsonl")
    ]
    result: dict[str, Any] = {"machine": describe_machine(), "texts": len(texts), "rounds": options.rounds}
    for precision in PRECISIONS:
        bundle = options.work / precision
        if not bundle.exists():
            flags = ("--task", "summarization", "--precision", precision, "--allow-drift")
            ftool("export", "--checkpoint", options.work / "run", *flags, "-o", bundle)
        with ft.Seq2SeqGenerator.load(bundle, threads=1) as model:
            result[precision] = {
                name: compare(model, texts, case, options.rounds) for name, case in CASES.items()
            }
            result[precision]["runs"] = run_costs(model)
            result[precision]["logits"] = logit_difference(model, texts[:50])
    print(format_table(table(result)))
    write_result("prompt_lookup", result)


def train(folder: Path, data: Path, changes: list[str]) -> None:
    """Write the examples next to `folder`, and train a model on them."""
    examples = folder.with_name(f"{folder.name}-data")
    write_examples(examples, data)
    settings = [f"{name}={value}" for name, value in SETTINGS.items()] + changes
    flags = [part for setting in settings for part in ("--set", setting)]
    ftool("new", folder, "--task", "summarization", "--base", "scratch:t5-tiny", "--data", examples, *flags)
    ftool("train", folder)


def write_examples(folder: Path, data: Path) -> None:
    """Write train.jsonl, dev.jsonl and test.jsonl: sources of two sentences, and the first of them."""
    draw = random.Random(0)
    sentences = sorted(set(sentences_of(data)))
    draw.shuffle(sentences)
    unseen, seen = sentences[:300], sentences[300:]
    words = [word for sentence in seen for word in sentence.split()]

    def mixed() -> str:
        return " ".join(draw.choice(words) for _ in range(draw.randint(4, 14))) + "."

    def example(pool: list[str] | None) -> dict[str, str]:
        first, second = draw.sample(pool, 2) if pool is not None else (mixed(), mixed())
        return {"source": f"{first} {second}", "target": first}

    splits = {
        "train": [example(seen if draw.random() < 0.2 else None) for _ in range(20_000)],
        "dev": [example(unseen) for _ in range(150)],
        "test": [example(unseen) for _ in range(200)],
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in splits.items():
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")


def sentences_of(data: Path) -> Iterator[str]:
    """Yield the sentences of 30 to 110 characters in the passages of squad2_dev and policyqa."""
    for name in ("squad2_dev/train.json", "squad2_dev/test.json", "policyqa/dev.json"):
        for article in json.loads((data / name).read_text(encoding="utf-8"))["data"]:
            for passage in article["paragraphs"]:
                sentences = re.split(r"(?<=[.!?])\s+", passage["context"])
                yield from (sentence for sentence in sentences if 30 <= len(sentence) <= 110)


def rows_of(path: Path) -> list[dict[str, str]]:
    """Return the rows of a file of JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def compare(
    model: ft.Seq2SeqGenerator, texts: list[str], case: dict[str, Any], rounds: int
) -> dict[str, Any]:
    """Return the time of all answers with lookup as a ratio of the time without, and how many answers are the same."""
    ways: list[dict[str, Any]] = [{**case, "max_new_tokens": 64}, {**case, "max_new_tokens": 64, **LOOKUP}]
    seconds = np.zeros((rounds + 1, 2))  # the first round warms up
    answers: list[list[ft.Generation]] = [[], []]
    for number in range(rounds + 1):
        answers = [[], []]
        for text in texts:
            for way in (0, 1) if number % 2 else (1, 0):
                started = time.perf_counter()
                answers[way].append(model(text, **ways[way]))
                seconds[number, way] += time.perf_counter() - started
    ratios = (seconds[1:, 1] / seconds[1:, 0]).tolist()
    tokens = [len(answer.token_ids) for answer in answers[0]]
    return {
        "ratio": median(ratios),
        "ratios": ratios,
        "ms_per_token": 1e3 * float(np.median(seconds[1:, 0])) / sum(tokens),
        "tokens": sum(tokens) / len(tokens),
        "same": sum(one.token_ids == other.token_ids for one, other in zip(*answers, strict=True)),
    }


def run_costs(model: ft.Seq2SeqGenerator, rounds: int = 60) -> dict[int, float]:
    """Return the time of a run with several tokens as a ratio of the time of a step, by the number of tokens."""
    graphs = model._engine.guard.get()
    assert graphs.encoder is not None
    seconds: dict[int, list[float]] = {count: [] for count in RUNS}
    with graphs.decoders.borrow() as decoder:
        decoder.begin(1, graphs.encoder.encode([list(range(10, 50))]), room=64)
        decoder.feed([list(range(10, 30))])
        for _ in range(rounds):
            for count in RUNS:
                started = time.perf_counter()
                if count == 1:
                    decoder.step(np.array([10]))
                else:
                    decoder.feed([list(range(10, 10 + count))], np.arange(count)[None])
                seconds[count].append(time.perf_counter() - started)
                decoder.cut(20)
    step = median(seconds[1])
    return {count: median(times) / step for count, times in seconds.items()}


def logit_difference(model: ft.Seq2SeqGenerator, texts: list[str]) -> float:
    """Return the largest difference between the logits of single steps and of one run, divided by the largest logit."""
    rows = model.tokenize(texts)
    answers = model.generate(rows, max_new_tokens=64, keep_logits=True)
    together = model.score_tokens(rows, [answer.ids for answer in answers])
    differences = [
        np.abs(answer.logits - logits).max() / np.abs(logits).max()
        for answer, logits in zip(answers, together, strict=True)
    ]
    return float(max(differences))


def table(result: dict[str, Any]) -> list[list[str]]:
    """Return a table with a row for each precision."""
    names = [f"{name}: time, same answers" for name in CASES]
    rows = [["precision", *names, *(f"{count} tokens" for count in RUNS[1:]), "logits"]]
    for precision in PRECISIONS:
        found = result[precision]
        cells = [f"{found[name]['ratio']:.2f}, {found[name]['same']} of {result['texts']}" for name in CASES]
        costs = [f"{found['runs'][count]:.2f}" for count in RUNS[1:]]
        rows.append([precision, *cells, *costs, f"{found['logits']:.1e}"])
    return rows


if __name__ == "__main__":
    main()
