"""Embedders in sentence-transformers' ONNX backend."""

from typing import Any

PACKAGES = ("sentence-transformers", "optimum-onnx", "onnxruntime")


def answers(bundle: str, task: str, inputs: list[Any], batch: int) -> Any:
    """Return the vectors of `inputs`, which run in batches of `batch`."""
    from sentence_transformers import SentenceTransformer

    assert task == "feature-extraction"
    model = SentenceTransformer(bundle, backend="onnx", device="cpu")
    return model.encode(inputs, batch_size=batch, show_progress_bar=False).tolist()
