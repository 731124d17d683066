"""Worker process that generates with one engine: `generation_worker.py KIND FOLDER TASK THREADS`.

KIND is bundle, torch, optimum, or a precision of llama.cpp. The worker answers each JSON line on standard input with
one JSON line: {"do": "first", …} -> {"ready": true},
{"do": "generate", "rows": [[…]], "new": 64} -> {"seconds": …}, and {"do": "describe"} -> versions and peak memory.
Decoding is greedy, and every row gets exactly `new` tokens. For "first", a warm-up, the worker generates two tokens
after a short fixed row, and ignores the rest of the request.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPOSITORY), *(str(REPOSITORY / part) for part in ("toolchain", "runtime", "export"))]

Rows = list[list[int]]
Generate = Callable[[Rows, int], object]


def load_bundle(folder: str, task: str, threads: int) -> Generate:  # noqa: ARG001
    """Load the bundle in ftool's runtime, and return a function that generates with it."""
    import ftool_runtime

    model = ftool_runtime.load(folder, threads=threads)
    return lambda rows, new: model.generate(rows, max_new_tokens=new, min_new_tokens=new, do_sample=False)


def load_torch(folder: str, task: str, threads: int) -> Generate:
    """Load the checkpoint in PyTorch in fp32, and return a function that generates with it."""
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    torch.set_num_threads(threads)
    kind = AutoModelForCausalLM if task == "text-generation" else AutoModelForSeq2SeqLM
    return through_generate(kind.from_pretrained(folder).eval(), left=task == "text-generation")


def load_optimum(folder: str, task: str, threads: int) -> Generate:
    """Load optimum-onnx's own int8 export of the checkpoint, and return a function that generates with it.

    All graphs of the export are quantised.
    """
    import onnxruntime
    from optimum.onnxruntime import ORTModelForCausalLM, ORTModelForSeq2SeqLM

    causal = task == "text-generation"
    kind = ORTModelForCausalLM if causal else ORTModelForSeq2SeqLM
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Two decoders instead of a merged one: this layout is faster, and each graph can be quantised.
    layout = {} if causal else {"use_merged": False}
    quantized = optimum_int8(Path(folder), kind, layout)
    return through_generate(kind.from_pretrained(quantized, session_options=options, **layout), left=causal)


def optimum_int8(checkpoint: Path, kind: type, layout: dict) -> Path:
    """Return the folder of optimum-onnx's int8 export of the checkpoint; create the export unless it exists."""
    from optimum.onnxruntime import ORTQuantizer
    from optimum.onnxruntime.configuration import AutoQuantizationConfig

    exported = checkpoint.with_name(f"{checkpoint.name}-optimum-fp32")
    target = checkpoint.with_name(f"{checkpoint.name}-optimum-int8")
    if not target.exists():
        kind.from_pretrained(checkpoint, export=True, **layout).save_pretrained(exported)
        settings = AutoQuantizationConfig.avx2(is_static=False, per_channel=True, reduce_range=True)
        for graph in sorted(exported.glob("*.onnx")):
            quantizer = ORTQuantizer.from_pretrained(exported, file_name=graph.name)
            quantizer.quantize(save_dir=target, quantization_config=settings, file_suffix="")
        for path in exported.glob("*.json"):
            (target / path.name).write_bytes(path.read_bytes())
    return target


def through_generate(model: object, *, left: bool) -> Generate:
    """Return a function that calls transformers' `generate`, with prompts padded at the left or at the right."""
    import torch

    def generate(rows: Rows, new: int) -> object:
        longest = max(map(len, rows))
        pads = [[0] * (longest - len(row)) for row in rows]
        pairs = list(zip(rows, pads, strict=True))
        ids = [pad + row if left else row + pad for row, pad in pairs]
        mask = [
            [0] * len(pad) + [1] * len(row) if left else [1] * len(row) + [0] * len(pad) for row, pad in pairs
        ]
        with torch.inference_mode():
            return model.generate(
                input_ids=torch.tensor(ids),
                attention_mask=torch.tensor(mask),
                max_new_tokens=new,
                min_new_tokens=new,
                do_sample=False,
                num_beams=1,
                pad_token_id=0,
            )

    return generate


def load_llama(kind: str) -> Callable[[str, str, int], Generate]:
    """Return a function that loads the checkpoint in llama.cpp, in the precision `kind`."""
    from benchmarks import generation_llama

    return lambda folder, _task, threads: generation_llama.load(Path(folder), kind, threads)


ENGINES = {"bundle": load_bundle, "torch": load_torch, "optimum": load_optimum}


def main() -> None:
    """Load the engine, then answer requests until standard input ends."""
    from ftool.bench.worker import reply_stream, versions
    from ftool_runtime.session.memory_usage import peak_memory_mb

    replies = reply_stream()
    kind, folder, task, threads = sys.argv[1:]
    generate = (ENGINES.get(kind) or load_llama(kind))(folder, task, int(threads))
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "first":
            generate([[10, 11, 12]], 2)
            reply = {"ready": True}
        elif request["do"] == "describe":
            reply = {"peak_memory_mb": peak_memory_mb(), "versions": versions()}
        else:
            start = time.perf_counter()
            generate(request["rows"], request["new"])
            reply = {"seconds": time.perf_counter() - start}
        replies.write(json.dumps(reply) + "\n")


if __name__ == "__main__":
    main()
