"""A checkpoint in torch.compile, with weights frozen into the graph, as torch's documentation advises for inference.

The first start compiles; later ones find the code in torch's own cache on disk.
"""

from typing import Any

from benchmarks.peers.workers.inputs import in_batches
from ftool.bench.worker import Calls


def load(spec: dict[str, Any]) -> Calls:
    """Load and compile the checkpoint, and return the calls that are timed."""
    import torch
    import torch._inductor.config
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.set_num_threads(spec["threads"])
    torch._inductor.config.freezing = True
    model = AutoModelForSequenceClassification.from_pretrained(spec["folder"]).eval()
    compiled = torch.compile(model, dynamic=True)
    tokenizer = AutoTokenizer.from_pretrained(spec["folder"])

    def batch(texts: list[str]) -> list[str]:
        encoded = tokenizer(
            texts, padding=True, truncation=True, max_length=spec["max_length"], return_tensors="pt"
        )
        with torch.no_grad():
            best = compiled(**encoded).logits.argmax(-1)
        return [model.config.id2label[number] for number in best.tolist()]

    return Calls(
        one=lambda text: batch([text]),
        many=lambda texts: in_batches(batch, texts),
        answers=lambda texts: in_batches(batch, texts),
    )
