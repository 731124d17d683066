"""Worker process that runs optimum-onnx's own int8 export of a checkpoint, in an environment that has optimum-onnx.

The checkpoint is exported and quantised once, as optimum-onnx's documentation describes, into a folder next to the
checkpoint's folder.
"""

import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPOSITORY / "toolchain"), str(REPOSITORY / "runtime")]

from ftool.bench.worker import TORCH_BATCH_SIZE, Calls, serve  # noqa: E402  ftool is not installed in this environment


def quantized(checkpoint: Path) -> Path:
    """Return the folder of optimum-onnx's int8 export of the checkpoint; create the export unless it exists."""
    from optimum.onnxruntime import ORTModelForSequenceClassification, ORTQuantizer
    from optimum.onnxruntime.configuration import AutoQuantizationConfig
    from transformers import AutoTokenizer

    exported, target = checkpoint.with_name("optimum-fp32"), checkpoint.with_name("optimum-int8")
    if not target.exists():
        ORTModelForSequenceClassification.from_pretrained(checkpoint, export=True).save_pretrained(exported)
        settings = AutoQuantizationConfig.avx2(is_static=False, per_channel=True, reduce_range=True)
        ORTQuantizer.from_pretrained(exported).quantize(save_dir=target, quantization_config=settings)
        AutoTokenizer.from_pretrained(checkpoint).save_pretrained(target)
    return target


def load(spec: dict) -> Calls:
    """Load the int8 export, and return the calls that are timed."""
    import onnxruntime
    from optimum.onnxruntime import ORTModelForSequenceClassification
    from transformers import AutoTokenizer

    folder = quantized(Path(spec["folder"]))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = spec["threads"]
    model = ORTModelForSequenceClassification.from_pretrained(folder, session_options=options)
    tokenizer = AutoTokenizer.from_pretrained(folder)

    def batch(texts: list[str]) -> object:
        encoded = tokenizer(texts, padding=True, truncation=True, max_length=128, return_tensors="np")
        return model(**encoded).logits.argmax(-1)

    def many(texts: list[str]) -> object:
        ordered = sorted(texts, key=len)
        return [batch(ordered[i : i + TORCH_BATCH_SIZE]) for i in range(0, len(ordered), TORCH_BATCH_SIZE)]

    return Calls(one=lambda text: batch([text]), many=many)


if __name__ == "__main__":
    serve(load)
