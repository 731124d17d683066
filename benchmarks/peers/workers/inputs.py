"""The inputs of the workers: batches of similar lengths, the checkpoint's tokenizer, its labels, training texts."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

BATCH_SIZE = 32  # a usual size for evaluation; larger ones are not faster on a CPU


def batches(texts: Sequence[str], size: int = BATCH_SIZE) -> list[list[int]]:
    """Return the positions of the texts in batches of similar lengths."""
    order = sorted(range(len(texts)), key=lambda position: len(texts[position]))
    return [order[start : start + size] for start in range(0, len(order), size)]


def in_batches(
    answer: Callable[[list[str]], Sequence[Any]], texts: Sequence[str], size: int = BATCH_SIZE
) -> list[Any]:
    """Answer the texts in batches of similar lengths; return the answers in the order of the texts."""
    answers: dict[int, Any] = {}
    for batch in batches(texts, size):
        found = answer([texts[position] for position in batch])
        answers.update(zip(batch, found, strict=True))
    return [answers[position] for position in range(len(texts))]


def copy_tokenizer(spec: dict[str, Any]) -> None:
    """Copy the checkpoint's tokenizer and its configuration, which has the labels, to the engine's folder."""
    for name in ("tokenizer.json", "tokenizer_config.json", "config.json"):
        shutil.copy2(Path(spec["checkpoint"]) / name, spec["folder"])


def load_tokenizer(spec: dict[str, Any]) -> Any:
    """Return the `tokenizers.Tokenizer` of the engine's folder, which cuts texts at the longest input."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(Path(spec["folder"]) / "tokenizer.json"))
    tokenizer.enable_truncation(spec["max_length"])
    tokenizer.no_padding()
    return tokenizer


def label_names(spec: dict[str, Any]) -> list[str]:
    """Return the names of the classifier's labels, in the order of its logits."""
    names = json.loads((Path(spec["folder"]) / "config.json").read_text(encoding="utf-8"))["id2label"]
    return [names[str(number)] for number in range(len(names))]


def training_texts(spec: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Return the texts of the training split, and their labels."""
    data = json.loads(Path(spec["texts"]).read_text(encoding="utf-8"))
    return data["texts"], data["labels"]
