"""An embedder in sentence-transformers, on one of its backends.

The variants are "torch", "onnx", whose graph is optimised with O3, and "onnx-int8", quantised dynamically for this
processor.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from benchmarks.peers.workers.inputs import BATCH_SIZE
from ftool.bench.worker import Calls

FILES = {"onnx": "onnx/model_O3.onnx", "onnx-int8": "onnx/model_int8.onnx"}


def prepare(spec: dict[str, Any]) -> None:
    """Copy the checkpoint, and add its graphs."""
    from sentence_transformers import (
        SentenceTransformer,
        export_dynamic_quantized_onnx_model,
        export_optimized_onnx_model,
    )

    folder = spec["folder"]
    shutil.copytree(spec["checkpoint"], folder, dirs_exist_ok=True)
    model = SentenceTransformer(folder, backend="onnx", model_kwargs={"export": True})
    model.save_pretrained(folder)
    export_optimized_onnx_model(model, "O3", folder, file_suffix="O3")
    export_dynamic_quantized_onnx_model(model, _instructions(), folder, file_suffix="int8")
    tokenizer = Path(folder) / "tokenizer_config.json"
    settings = json.loads(tokenizer.read_text(encoding="utf-8"))
    settings.pop("max_length", None)  # fastembed cuts texts at the smaller of the two, which here is 128
    settings["model_max_length"] = spec["max_length"]
    tokenizer.write_text(json.dumps(settings), encoding="utf-8")


def _instructions() -> str:
    """Return the name of sentence-transformers' settings for the vector instructions of this processor."""
    cpu = Path("/proc/cpuinfo")
    flags = cpu.read_text(encoding="utf-8") if cpu.exists() else ""
    return next((name for name in ("avx512_vnni", "avx512") if name in flags), "avx2")


def load(spec: dict[str, Any]) -> Calls:
    """Load the embedder, and return the calls that are timed."""
    from sentence_transformers import SentenceTransformer

    if spec["variant"] == "torch":
        import torch

        torch.set_num_threads(spec["threads"])
        model = SentenceTransformer(spec["folder"], device="cpu")
    else:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = spec["threads"]
        settings = {"file_name": FILES[spec["variant"]], "session_options": options}
        model = SentenceTransformer(spec["folder"], device="cpu", backend="onnx", model_kwargs=settings)

    def many(texts: list[str]) -> Any:
        return model.encode(texts, batch_size=BATCH_SIZE, show_progress_bar=False)

    return Calls(one=model.encode, many=many, answers=lambda texts: many(texts).tolist())
