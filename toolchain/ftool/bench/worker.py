"""The process one engine is timed in: `python -m ftool.bench.worker SPEC`.

SPEC is a JSON object: `engine` ("bundle" or "torch"), `folder`, `threads`, `profile`, and `first_text`. The process
loads the engine, answers the first text, writes one JSON line that says so, and then answers one JSON line on
standard output for each one read from standard input:

    {"do": "latency", "texts": [...]}      -> {"latencies_ms": [...]}, one text at a time, tokenising included
    {"do": "throughput", "texts": [...]}   -> {"seconds": ...}, all texts in one call
    {"do": "describe"}                     -> {"peak_memory_mb": ..., "versions": {...}}

It ends with its standard input. The bundle's engine imports ftool_runtime and nothing of PyTorch.
"""

import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

Predict = Callable[[list[str]], object]

TORCH_BATCH_SIZE = 32  # the usual batch for evaluation; larger ones are no faster on a CPU


def load_bundle(spec: dict[str, Any]) -> tuple[Callable[[str], object], Predict]:
    """Functions that answer one text and many with a bundle."""
    import ftool_runtime

    model = ftool_runtime.load(
        spec["folder"], device=spec["device"], threads=spec["threads"], profile=spec["profile"]
    )
    return model, model


def load_torch(spec: dict[str, Any]) -> tuple[Callable[[str], object], Predict]:
    """Functions that answer one text and many with the checkpoint itself, in PyTorch fp32.

    As a careful user runs it: evaluation mode, no autograd, many texts in batches of like lengths.
    """
    import torch

    from ftool_export.classifier import load_classifier

    torch.set_num_threads(spec["threads"])
    loaded = load_classifier(spec["folder"])

    def batch(texts: list[str]) -> object:
        with torch.inference_mode():
            logits = loaded.model(**loaded.tokenize(texts))
            return (logits.sigmoid() if loaded.multi_label else logits.softmax(-1)).numpy()

    def many(texts: list[str]) -> object:
        ordered = sorted(texts, key=len)
        return [batch(ordered[i : i + TORCH_BATCH_SIZE]) for i in range(0, len(ordered), TORCH_BATCH_SIZE)]

    return lambda text: batch([text]), many


ENGINES = {"bundle": load_bundle, "torch": load_torch}


def versions() -> dict[str, str]:
    """Versions of what the process has imported, of those that decide its speed."""
    names = ("onnxruntime", "tokenizers", "numpy", "torch", "transformers")
    return {name: importlib.metadata.version(name) for name in names if name in sys.modules}


def time_each(predict_one: Callable[[str], object], texts: list[str]) -> list[float]:
    """Milliseconds of each text's call."""
    clock = time.perf_counter
    latencies = []
    for text in texts:
        start = clock()
        predict_one(text)
        latencies.append((clock() - start) * 1e3)
    return latencies


def answer(request: dict[str, Any], predict_one: Callable[[str], object], predict: Predict) -> dict[str, Any]:
    """The reply to one request."""
    if request["do"] == "latency":
        return {"latencies_ms": time_each(predict_one, request["texts"])}
    if request["do"] == "throughput":
        start = time.perf_counter()
        predict(request["texts"])
        return {"seconds": time.perf_counter() - start}
    from ftool_runtime.peak_memory import peak_memory_mb

    return {"peak_memory_mb": peak_memory_mb(), "versions": versions()}


def reply_stream() -> TextIO:
    """Standard output for replies alone: what a library prints goes to standard error instead."""
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    return stream


def serve(load: Callable[[dict[str, Any]], tuple[Callable[[str], object], Predict]]) -> None:
    """Load an engine as the first argument says, then answer requests until standard input ends."""
    replies = reply_stream()
    spec = json.loads(sys.argv[1])
    predict_one, predict = load(spec)
    predict_one(spec["first_text"])
    replies.write(json.dumps({"ready": True}) + "\n")
    for line in sys.stdin:
        replies.write(json.dumps(answer(json.loads(line), predict_one, predict)) + "\n")


if __name__ == "__main__":
    serve(lambda spec: ENGINES[spec["engine"]](spec))
