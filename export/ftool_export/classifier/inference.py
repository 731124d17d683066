"""Running the torch network over many texts: batches by length, answers in the texts' own order."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from ftool_export.classifier.checkpoint import LoadedClassifier

_TOKENS_PER_BATCH = 4096  # padding included; on two CPU cores larger batches are no faster


def compute_logits(loaded: LoadedClassifier, texts: Sequence[str]) -> np.ndarray:
    """The network's logits, float32 (texts, labels), in the order of `texts`."""
    return _run(loaded, texts, loaded.model.forward, len(loaded.labels))


def compute_features(
    loaded: LoadedClassifier, texts: Sequence[str], *, out: np.ndarray | None = None
) -> np.ndarray:
    """What the head takes, float32 (texts, hidden), in the order of `texts`; written into `out` if given."""
    return _run(loaded, texts, loaded.model.features, loaded.model.head.in_features, out)


def _run(
    loaded: LoadedClassifier,
    texts: Sequence[str],
    step: Callable[..., Tensor],
    width: int,
    out: np.ndarray | None = None,
) -> np.ndarray:
    results = np.empty((len(texts), width), dtype=np.float32) if out is None else out
    device = next(loaded.model.parameters()).device
    was_training = loaded.model.training
    loaded.model.eval()
    try:
        with torch.inference_mode():
            for rows in _batches(loaded, texts):
                inputs = loaded.tokenize([texts[row] for row in rows])
                results[rows] = (
                    step(**{name: value.to(device) for name, value in inputs.items()}).cpu().numpy()
                )
    finally:
        loaded.model.train(was_training)
    return results


def _batches(loaded: LoadedClassifier, texts: Sequence[str]) -> Iterator[list[int]]:
    """Row numbers, longest texts first (memory runs out at once or never), cut by a budget of tokens."""
    lengths = count_tokens(loaded, texts)
    rows: list[int] = []
    for row in sorted(range(len(texts)), key=lambda r: -lengths[r]):
        if rows and lengths[rows[0]] * (len(rows) + 1) > _TOKENS_PER_BATCH:
            yield rows
            rows = []
        rows.append(row)
    if rows:
        yield rows


def count_tokens(loaded: LoadedClassifier, texts: Sequence[str]) -> list[int]:
    """Tokens per text, special ones included, cut at max_length."""
    if not texts:
        return []
    encoded = loaded.tokenizer(
        [loaded.prefix + text for text in texts], truncation=True, max_length=loaded.max_length, padding=False
    )
    return [len(ids) for ids in encoded["input_ids"]]


def count_truncated(loaded: LoadedClassifier, texts: Sequence[str]) -> int:
    """How many texts have more tokens than max_length, special ones included, so that their end is not read."""
    if not texts:
        return 0
    encoded = loaded.tokenizer([loaded.prefix + text for text in texts], truncation=False, verbose=False)
    return sum(len(ids) > loaded.max_length for ids in encoded["input_ids"])
