"""Embedders in fastembed, as a model of one's own: pooled by fastembed, and by the graph."""

import json
from pathlib import Path
from typing import Any

PACKAGES = ("fastembed", "onnxruntime")


def answers(bundle: str, task: str, inputs: list[Any], batch: int) -> Any:
    """Return the vectors of `inputs`, which run in batches of `batch`.

    fastembed pools the first output; the vectors that the graph pools itself must be the same.
    """
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    assert task == "feature-extraction"
    width = json.loads((Path(bundle) / "ftool.json").read_text(encoding="utf-8"))["embedding"]["dimension"]
    ways: dict[str, dict[str, Any]] = {
        "pooled-by-fastembed": {"pooling": PoolingType.MEAN, "normalization": True},
        "pooled-by-the-graph": {
            "pooling": PoolingType.DISABLED,
            "normalization": False,
            "output_name": "sentence_embedding",
        },
    }
    found = []
    for name, options in ways.items():
        source = ModelSource(url="https://example.invalid")  # never read: the model's folder is given
        TextEmbedding.add_custom_model(
            model=name, sources=source, dim=width, model_file="onnx/model.onnx", **options
        )
        model = TextEmbedding(name, specific_model_path=bundle)
        found.append([vector.tolist() for vector in model.embed(inputs, batch_size=batch)])
    for one, other in zip(*found, strict=True):
        assert max(abs(a - b) for a, b in zip(one, other, strict=True)) < 1e-5
    return found[0]
