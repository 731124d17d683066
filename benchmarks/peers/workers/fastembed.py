"""An embedder in fastembed, as a model of one's own: the graphs are those that sentence-transformers exported.

The variants are "fp32" and "int8".
"""

from typing import Any

from benchmarks.peers.workers.inputs import BATCH_SIZE, in_batches
from ftool.bench.worker import Calls

FILES = {"fp32": "onnx/model.onnx", "int8": "onnx/model_int8.onnx"}
WIDTH = 384  # of minilm's vectors


def load(spec: dict[str, Any]) -> Calls:
    """Load the embedder, and return the calls that are timed."""
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    TextEmbedding.add_custom_model(
        model="minilm",
        pooling=PoolingType.MEAN,
        normalization=True,
        sources=ModelSource(url="https://example.invalid"),  # never read: the model's folder is given
        dim=WIDTH,
        model_file=FILES[spec["variant"]],
    )
    model = TextEmbedding("minilm", specific_model_path=spec["folder"], threads=spec["threads"])

    def batch(texts: list[str]) -> Any:
        return list(model.embed(texts, batch_size=BATCH_SIZE))

    def many(texts: list[str]) -> Any:
        return in_batches(batch, texts)

    return Calls(
        one=lambda text: batch([text]),
        many=many,
        answers=lambda texts: [vector.tolist() for vector in many(texts)],
    )
