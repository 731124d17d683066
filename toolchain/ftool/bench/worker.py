"""The worker process that runs one engine: `python -m ftool.bench.worker SPEC`.

SPEC is a JSON object: `engine` ("bundle" or "torch"), `task`, `folder`, `threads`, `device` and `profile`. The process
loads the engine, then writes one JSON line to standard output for each line on standard input. A text is a string, an
object of strings by field, or a conversation's list of messages:

    {"do": "first", "text": ...}           -> {"ready": true} once the text is answered, which ends the cold start
    {"do": "latency", "texts": [...]}      -> {"latencies_ms": [...]}, one text at a time, including tokenisation;
                                              for generators also {"first_ms": [...], "tokens": [...]}: the time to
                                              each answer's first token, and its number of tokens
    {"do": "first_latency", "texts": [...]} -> {"latencies_ms": [...]}, one text at a time, to the answer, or for
                                              generators to its first token
    {"do": "throughput", "texts": [...], "batch": n}
                                           -> {"seconds": ...}, all texts in calls of n
    {"do": "server", "texts": [...], "rate": r, "seed": s}
                                           -> {"latencies_ms": [...]}, from each text's arrival to its answer, if
                                              r texts a second arrive at random and are answered one at a time
    {"do": "answers", "texts": [...]}      -> {"answers": [...]}, in the order of the texts; engines of benchmarks/
                                              only, whose answers are compared before they are timed
    {"do": "describe"}                     -> {"peak_memory_mb": ..., "versions": {...}}

The process ends when its standard input ends. For the engine "bundle" it imports ftool_runtime but not PyTorch.
"""

import importlib.metadata
import json
import os
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TextIO

Text = str | dict[str, str] | list[dict[str, str]]


@dataclass(frozen=True, kw_only=True)
class Calls:
    """The functions that run an engine.

    Attributes:
        one: answers one text; for a generator, returns the number of tokens in the answer.
        many: answers a list of texts in one call.
        first: generates only the first token of the answer to a text; None for models that are not generators.
        answers: returns the answers to a list of texts, in their order, as JSON; None if they are not asked for.
    """

    one: Callable[[Any], Any]
    many: Callable[[list[Any]], object]
    first: Callable[[Any], object] | None = None
    answers: Callable[[list[Any]], list[Any]] | None = None


_WAKING = 1e-3  # seconds; a sleeping process wakes up late by less
TORCH_BATCH_SIZE = 32  # a usual batch size for evaluation; larger ones are not faster on a CPU


def load_bundle(spec: dict[str, Any]) -> Calls:
    """Load a bundle in the runtime. `spec` has the bundle's folder, the device, the profile and the threads."""
    import ftool_runtime
    from ftool_runtime.models.encoder_model import EncoderModel

    model: Any = ftool_runtime.load(
        spec["folder"], device=spec["device"], threads=spec["threads"], profile=spec["profile"]
    )
    if isinstance(model, EncoderModel):
        return Calls(one=model, many=model)

    def answer(text: Text, **changes: Any) -> int:
        return len(
            (model(text, **changes) if isinstance(text, str) else model.chat(text, **changes)).token_ids
        )

    def many(texts: list[Text]) -> object:
        return model(texts) if isinstance(texts[0], str) else [model.chat(text) for text in texts]

    return Calls(one=answer, many=many, first=lambda text: answer(text, max_new_tokens=1))


def load_torch(spec: dict[str, Any]) -> Calls:
    """Load a checkpoint in PyTorch, in fp32. `spec` has the checkpoint's folder, the task and the number of threads.

    To make the comparison fair, the model runs in evaluation mode, without autograd, in batches of similar lengths.
    """
    import torch

    torch.set_num_threads(spec["threads"])
    from ftool.tasks.registry import find_task
    from ftool_export.checkpoints.generator import LoadedGenerator

    loaded = find_task(spec["task"]).load(spec["folder"])
    return _torch_generator(loaded) if isinstance(loaded, LoadedGenerator) else _torch_encoder(loaded)


def _torch_generator(loaded: Any) -> Calls:
    from ftool_export.checkpoints.generator_inference import generate_tokens, tokenize_chats, tokenize_sources

    def answer(texts: list[Text], **changes: Any) -> list[list[int]]:
        tokenize: Any = tokenize_sources if isinstance(texts[0], str) else tokenize_chats
        return generate_tokens(loaded, tokenize(loaded, texts), **changes)

    return Calls(
        one=lambda text: len(answer([text])[0]),
        many=answer,
        first=lambda text: answer([text], max_new_tokens=1),
    )


def _torch_encoder(loaded: Any) -> Calls:
    import torch

    def batch(inputs: list[Any]) -> object:
        with torch.inference_mode():
            rows = [row for of_input in loaded.rows(inputs) for row in of_input]
            return loaded.model(**loaded.batch(rows)).numpy()

    def many(inputs: list[Any]) -> object:
        ordered = sorted(inputs, key=lambda given: len(str(given)))
        return [batch(ordered[i : i + TORCH_BATCH_SIZE]) for i in range(0, len(ordered), TORCH_BATCH_SIZE)]

    return Calls(one=lambda given: batch([given]), many=many)


ENGINES = {"bundle": load_bundle, "torch": load_torch}


def versions() -> dict[str, str]:
    """Return the versions of the imported packages that affect speed."""
    names = ("onnxruntime", "tokenizers", "numpy", "torch", "transformers")
    return {name: importlib.metadata.version(name) for name in names if name in sys.modules}


def timed(call: Callable[[Any], Any], text: Text) -> tuple[float, Any]:
    """Call `call` with a text, and return the duration of the call in milliseconds, and its result."""
    start = time.perf_counter()
    result = call(text)
    return (time.perf_counter() - start) * 1e3, result


def served(call: Callable[[Any], Any], texts: list[Text], rate: float, seed: int) -> list[float]:
    """Answer texts as they arrive, one at a time and in order; return the milliseconds from arrival to answer.

    The times between arrivals are exponential with the mean 1 / `rate` seconds, as in MLPerf Inference's server
    scenario (Reddi et al. 2020). A text that arrives while another is answered waits.
    """
    random_times, due, latencies = random.Random(seed), 0.0, []
    start = time.perf_counter()
    for text in texts:
        due += random_times.expovariate(rate)
        time.sleep(max(0.0, due - (time.perf_counter() - start) - _WAKING))
        while time.perf_counter() - start < due:  # sleeping alone would oversleep
            pass
        call(text)
        latencies.append((time.perf_counter() - start - due) * 1e3)
    return latencies


def answer(request: dict[str, Any], calls: Calls) -> dict[str, Any]:
    """Return the reply to one request; the module's docstring lists requests and replies."""
    if request["do"] == "first":
        calls.one(request["text"])
        return {"ready": True}
    if request["do"] == "latency":
        if calls.first is None:
            return {"latencies_ms": [timed(calls.one, text)[0] for text in request["texts"]]}
        # One after the other for each text: their difference is the time of the later tokens.
        pairs = [(timed(calls.one, text), timed(calls.first, text)) for text in request["texts"]]
        return {
            "latencies_ms": [whole for (whole, _), _ in pairs],
            "first_ms": [first for _, (first, _) in pairs],
            "tokens": [tokens for (_, tokens), _ in pairs],
        }
    if request["do"] == "first_latency":
        return {"latencies_ms": [timed(calls.first or calls.one, text)[0] for text in request["texts"]]}
    if request["do"] == "throughput":
        texts, size = request["texts"], request["batch"]
        parts = [texts[start : start + size] for start in range(0, len(texts), size)]
        start = time.perf_counter()
        for part in parts:
            calls.many(part)
        return {"seconds": time.perf_counter() - start}
    if request["do"] == "server":
        return {"latencies_ms": served(calls.one, request["texts"], request["rate"], request["seed"])}
    if request["do"] == "answers" and calls.answers is not None:
        return {"answers": calls.answers(request["texts"])}
    from ftool_runtime.session.memory_usage import peak_memory_mb

    return {"peak_memory_mb": peak_memory_mb(), "versions": versions()}


def reply_stream() -> TextIO:
    """Return a stream to standard output for replies only; all other output then goes to standard error."""
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    return stream


def serve(load: Callable[[dict[str, Any]], Calls]) -> None:
    """Load the engine that the first command-line argument describes; answer requests until standard input ends."""
    replies = reply_stream()
    calls = load(json.loads(sys.argv[1]))
    for line in sys.stdin:
        replies.write(json.dumps(answer(json.loads(line), calls)) + "\n")


if __name__ == "__main__":
    serve(lambda spec: ENGINES[spec["engine"]](spec))
