"""Time ONNX Runtime's ways to compute an encoder's attention, one thread, each operator alone.

    python -m benchmarks.attention [--lengths 64 128 256 512] [--rounds 7]

Twelve heads of width 32, as in `minilm`, one row, no mask, float32 (1, tokens, 384) in and out:

    MultiHeadAttention   ONNX Runtime's operator, which computes in blocks (FlashAttention)
    Attention            ONNX's operator of opset 23
    float32 operators    transposes, two matrix products and a softmax
    int8 scores          the same, with queries and keys rounded to 8 bits and multiplied as integers
"""

import argparse
import tempfile
from pathlib import Path
from typing import Final

import numpy as np
import onnx_ir as ir
import onnxruntime

from benchmarks.encoder_speed import Call, alternate, show

HEADS, WIDTH = 12, 32
_TYPES: Final = '<ir_version: 10, opset_import: ["" : 23, "com.microsoft" : 1]>'
_INPUTS: Final = ", ".join(f"float[1, tokens, {HEADS * WIDTH}] {name}" for name in "qkv")
_HEADS: Final = f"""
    by_head = Constant <value: tensor = int64[4] {{0, 0, {HEADS}, {WIDTH}}}> ()
    joined = Constant <value: tensor = int64[3] {{0, 0, {HEADS * WIDTH}}}> ()
    v1 = Reshape (v, by_head)
    v2 = Transpose <perm: ints = [0, 2, 1, 3]> (v1)
"""
_APPLY: Final = """
    shares = Softmax <axis: int = -1> (scores)
    found = MatMul (shares, v2)
    moved = Transpose <perm: ints = [0, 2, 1, 3]> (found)
    y = Reshape (moved, joined)
"""
_QUERIES_AND_KEYS: Final = """
    q2 = Reshape ({q}, by_head)
    q3 = Transpose <perm: ints = [0, 2, 1, 3]> (q2)
    k2 = Reshape ({k}, by_head)
    k3 = Transpose <perm: ints = [0, 2, 3, 1]> (k2)
"""
_ROUNDED: Final = """
    step = Constant <value: tensor = float {0.03}> ()
    middle = Constant <value: tensor = uint8 {128}> ()
    zero = Constant <value: tensor = int8 {0}> ()
    q1 = QuantizeLinear (q, step, middle)
    k1 = QuantizeLinear (k, step, zero)
"""
VARIANTS: Final = {
    "MultiHeadAttention": f"y = com.microsoft.MultiHeadAttention <num_heads: int = {HEADS}> (q, k, v)",
    "Attention": f"y = Attention <q_num_heads: int = {HEADS}, kv_num_heads: int = {HEADS}> (q, k, v)",
    "float32 operators": _HEADS
    + _QUERIES_AND_KEYS.format(q="q", k="k")
    + f"scores = com.microsoft.FusedMatMul <alpha: float = {WIDTH**-0.5}> (q3, k3)"
    + _APPLY,
    "int8 scores": _HEADS
    + _ROUNDED
    + _QUERIES_AND_KEYS.format(q="q1", k="k1")
    + "scores = com.microsoft.MatMulIntegerToFloat (q3, k3, step, step, middle, zero)"
    + _APPLY,
}


def main() -> None:
    """Print a table of the variants' times for each length."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lengths", type=int, nargs="+", default=[64, 128, 256, 512])
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sessions = {name: _session(body, Path(folder) / "model.onnx") for name, body in VARIANTS.items()}
    for length in options.lengths:
        repeats = max(3, 10_000 // length)
        calls = {name: _repeated(session, length, repeats) for name, session in sessions.items()}
        show(f"{length} tokens", alternate(calls, options.rounds), repeats)


def _session(body: str, path: Path) -> onnxruntime.InferenceSession:
    text = f"{_TYPES}\ng ({_INPUTS}) => (float[1, tokens, {HEADS * WIDTH}] y) {{\n{body}\n}}"
    ir.save(ir.from_onnx_text(text), path)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads, settings.log_severity_level = 1, 3
    return onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])


def _repeated(session: onnxruntime.InferenceSession, length: int, repeats: int) -> Call:
    random = np.random.default_rng(length)
    feeds = {
        one.name: random.standard_normal((1, length, HEADS * WIDTH), dtype=np.float32)
        for one in session.get_inputs()
    }

    def call() -> None:
        for _ in range(repeats):
            session.run(None, feeds)

    return call


if __name__ == "__main__":
    main()
