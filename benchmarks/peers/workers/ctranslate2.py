"""A checkpoint in CTranslate2, whose encoder is converted to int8; the classifier on the pooled output is numpy's.

Single texts run on all threads; many texts in batches that run in parallel, each on one thread.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.peers.workers.inputs import batches, copy_tokenizer, label_names, load_tokenizer
from ftool.bench.worker import Calls

PRECISION = "int8"


def prepare(spec: dict[str, Any]) -> None:
    """Convert the encoder with its pooler, and save the classifier's weights beside it."""
    import numpy as np
    from ctranslate2.converters import TransformersConverter
    from transformers import AutoModelForSequenceClassification

    folder = Path(spec["folder"])
    TransformersConverter(spec["checkpoint"]).convert(str(folder / "encoder"), quantization=PRECISION)
    copy_tokenizer(spec)
    head = AutoModelForSequenceClassification.from_pretrained(spec["checkpoint"]).classifier.state_dict()
    np.savez(folder / "head.npz", weight=head["weight"].numpy(), bias=head["bias"].numpy())


def load(spec: dict[str, Any]) -> Calls:
    """Load the encoder and the classifier, and return the calls that are timed."""
    import ctranslate2
    import numpy as np

    folder, threads = Path(spec["folder"]), spec["threads"]
    tokenizer, names = load_tokenizer(spec), label_names(spec)
    head = np.load(folder / "head.npz")
    weight, bias = head["weight"].T.copy(), head["bias"]
    pool = ThreadPoolExecutor(threads)
    parallel: list[Any] = []

    def encoder(workers: int) -> Any:
        return ctranslate2.Encoder(
            str(folder / "encoder"),
            compute_type=PRECISION,
            inter_threads=workers,
            intra_threads=threads // workers,
        )

    alone = encoder(1)

    def answer(model: Any, texts: list[str]) -> list[str]:
        output = model.forward_batch([one.ids for one in tokenizer.encode_batch(texts)])
        logits = np.asarray(output.pooler_output) @ weight + bias
        return [names[number] for number in logits.argmax(-1)]

    def many(texts: list[str]) -> list[str]:
        if not parallel:
            parallel.append(encoder(threads))
        parts = batches(texts)
        answers = pool.map(
            lambda part: answer(parallel[0], [texts[position] for position in part]), reversed(parts)
        )
        found: dict[int, str] = {}
        for part, labels in zip(reversed(parts), answers, strict=True):
            found.update(zip(part, labels, strict=True))
        return [found[position] for position in range(len(texts))]

    return Calls(one=lambda text: answer(alone, [text]), many=many, answers=many)
