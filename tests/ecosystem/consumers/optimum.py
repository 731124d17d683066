"""Bundles in optimum-onnx's ORTModel classes and transformers' pipelines."""

from collections.abc import Callable
from typing import Any

PACKAGES = ("optimum-onnx", "transformers", "onnxruntime")
NEW = 16  # tokens of an answer


def answers(bundle: str, task: str, inputs: list[Any], batch: int) -> Any:
    """Return the answers to `inputs`, which run in batches of `batch`."""
    run: Callable[..., Any] = {
        "text-classification": classify,
        "token-classification": tag,
        "question-answering": read,
        "feature-extraction": embed,
        "text-generation": write,
        "translation": translate,
    }[task]
    return run(bundle, inputs, batch)


def piped(bundle: str, task: str, kind: Any, **options: Any) -> Any:
    from transformers import AutoTokenizer, pipeline

    tokenizer = AutoTokenizer.from_pretrained(bundle)
    return pipeline(task, model=kind.from_pretrained(bundle), tokenizer=tokenizer, **options)


def classify(bundle: str, inputs: list[Any], batch: int) -> Any:
    from optimum.onnxruntime import ORTModelForSequenceClassification

    found = piped(bundle, "text-classification", ORTModelForSequenceClassification, top_k=None)
    return [
        {one["label"]: one["score"] for one in row}
        for row in found(inputs, batch_size=batch, truncation=True)
    ]


def tag(bundle: str, inputs: list[Any], batch: int) -> Any:
    from optimum.onnxruntime import ORTModelForTokenClassification

    found = piped(
        bundle, "token-classification", ORTModelForTokenClassification, aggregation_strategy="first"
    )
    return [
        [[one["entity_group"], one["start"], one["end"], float(one["score"])] for one in row]
        for row in found(inputs, batch_size=batch)
    ]


def read(bundle: str, inputs: list[Any], batch: int) -> Any:
    from optimum.onnxruntime import ORTModelForQuestionAnswering

    found = piped(bundle, "question-answering", ORTModelForQuestionAnswering)
    return [found(**one, batch_size=batch)["answer"] for one in inputs]


def embed(bundle: str, inputs: list[Any], batch: int) -> Any:
    import torch
    from optimum.onnxruntime import ORTModelForFeatureExtraction
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(bundle)
    model = ORTModelForFeatureExtraction.from_pretrained(bundle)
    rows: list[list[float]] = []
    for start in range(0, len(inputs), batch):
        encoded = tokenizer(inputs[start : start + batch], padding=True, truncation=True, return_tensors="pt")
        hidden, mask = model(**encoded).last_hidden_state, encoded["attention_mask"].unsqueeze(-1)
        mean = (hidden * mask).sum(1) / mask.sum(1)
        rows += torch.nn.functional.normalize(mean, dim=1).tolist()
    return rows


def write(bundle: str, inputs: list[Any], batch: int) -> Any:
    from optimum.onnxruntime import ORTModelForCausalLM

    return _generated(ORTModelForCausalLM.from_pretrained(bundle), bundle, inputs, batch, prompt=True)


def translate(bundle: str, inputs: list[Any], batch: int) -> Any:
    from optimum.onnxruntime import ORTModelForSeq2SeqLM

    return _generated(ORTModelForSeq2SeqLM.from_pretrained(bundle), bundle, inputs, batch, prompt=False)


def _generated(model: Any, bundle: str, inputs: list[Any], batch: int, *, prompt: bool) -> Any:
    """Return the token ids of the greedy answers; prompts are padded on the left, sources on the right."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(bundle, padding_side="left" if prompt else "right")
    rows: list[list[int]] = []
    for start in range(0, len(inputs), batch):
        encoded = tokenizer(inputs[start : start + batch], padding=True, return_tensors="pt")
        encoded.pop("token_type_ids", None)
        ids = model.generate(**encoded, min_new_tokens=NEW, max_new_tokens=NEW, do_sample=False, num_beams=1)
        first = encoded["input_ids"].shape[1] if prompt else 1
        rows += [row[first:].tolist() for row in ids]
    return rows
