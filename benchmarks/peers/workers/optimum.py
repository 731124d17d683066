"""A checkpoint in optimum-onnx's own int8 export, quantised as its documentation describes."""

from pathlib import Path
from typing import Any

from benchmarks.peers.workers.inputs import copy_tokenizer, in_batches
from ftool.bench.worker import Calls


def prepare(spec: dict[str, Any]) -> None:
    """Export the checkpoint, and quantise it dynamically.

    A graph that optimum-onnx has optimised before can't be quantised by it: onnxruntime does not know the types of the
    results of fused operators.
    """
    from optimum.onnxruntime import ORTModelForSequenceClassification, ORTQuantizer
    from optimum.onnxruntime.configuration import AutoQuantizationConfig

    folder = Path(spec["folder"])
    exported = folder / "exported"
    ORTModelForSequenceClassification.from_pretrained(spec["checkpoint"], export=True).save_pretrained(
        exported
    )
    settings = AutoQuantizationConfig.avx2(is_static=False, per_channel=True, reduce_range=True)
    ORTQuantizer.from_pretrained(exported).quantize(save_dir=folder / "int8", quantization_config=settings)
    copy_tokenizer(spec)


def load(spec: dict[str, Any]) -> Calls:
    """Load the int8 export, and return the calls that are timed."""
    import onnxruntime
    from optimum.onnxruntime import ORTModelForSequenceClassification
    from transformers import AutoTokenizer

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = spec["threads"]
    model = ORTModelForSequenceClassification.from_pretrained(
        Path(spec["folder"]) / "int8", session_options=options
    )
    tokenizer = AutoTokenizer.from_pretrained(spec["folder"])
    names = model.config.id2label

    def batch(texts: list[str]) -> list[str]:
        encoded = tokenizer(
            texts, padding=True, truncation=True, max_length=spec["max_length"], return_tensors="np"
        )
        return [names[number] for number in model(**encoded).logits.argmax(-1).tolist()]

    def many(texts: list[str]) -> list[str]:
        return in_batches(batch, texts)

    return Calls(one=lambda text: batch([text]), many=many, answers=many)
