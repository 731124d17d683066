"""Measure keys and values in 8 bits: steps and prompts of a bundle's decoder, with caches in float32 and in int8.

    python -m benchmarks.cache_bits BUNDLE [--lengths 128 512 1000] [--rounds 25] [--name gpt2_small_w4]

The bundle holds a decoder without an encoder and with caches in place. A copy of its graph stores keys and values as
int8, as onnxruntime's GroupQueryAttention can, with a scale for each channel that fits the largest number in a text of
random tokens, which is also the measured text: the best case for 8 bits. One thread runs both graphs, which take turns
in every round. Times are processor time in milliseconds, errors those of logits relative to the largest.
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import ftool_runtime as ft
from benchmarks.commands import write_result
from ftool.machine import describe_machine
from ftool.terminal import format_table

Caches = dict[str, NDArray[Any]]  # by the name of the graph's input, (1, heads, tokens, head_dim)
Scales = dict[str, NDArray[np.float32]]  # (heads * head_dim,)


def main() -> None:
    """Measure, print a table, and write benchmarks/results/cache_bits_NAME.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--lengths", type=int, nargs="*", default=[128, 512, 1000])
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--name", default="gpt2_small_w4")
    options = parser.parse_args()
    ids = np.random.default_rng(0).integers(0, 10_000, max(options.lengths)).tolist()
    exact = caches_of(options.bundle, ids)
    scales = {name: np.abs(cache).max(axis=(0, 2)).reshape(-1) / 127 for name, cache in exact.items()}
    graph = options.bundle / "onnx" / "decoder.onnx"
    weights = sum(path.stat().st_size for path in graph.parent.iterdir())
    result: dict[str, Any] = {"machine": describe_machine(), "onnxruntime": onnxruntime.__version__}
    with tempfile.TemporaryDirectory() as folder:
        sessions = {"float32": open_graph(graph), "int8": open_graph(with_int8(graph, scales, Path(folder)))}
        for length in options.lengths:
            held = {name: cache[:, :, : length - 1] for name, cache in exact.items()}
            step = compare(sessions, held, scales, ids[length - 1 : length], options.rounds)
            none = {name: cache[:, :, :0] for name, cache in exact.items()}
            prompt = compare(sessions, none, scales, ids[:length], max(3, options.rounds // 5))
            size = length * sum(cache.nbytes // cache.shape[2] for cache in exact.values())
            share = size / (size + weights)
            result[str(length)] = {"cache_bytes": size, "share": share, "step": step, "prompt": prompt}
    print(format_table(table(result, options.lengths)))
    write_result(f"cache_bits_{options.name}", result)


def caches_of(bundle: Path, ids: list[int]) -> Caches:
    """Return the float32 caches after the tokens `ids`."""
    with ft.TextGenerator.load(bundle, threads=1) as model:
        decoder = model._engine.guard.get().decoders.acquire()
        decoder.begin(1, None)
        decoder.feed([ids])
        names = [cache.past for cache in decoder.graph.caches]
        return dict(zip(names, decoder.snapshot(), strict=True))


def with_int8(graph: Path, scales: Scales, folder: Path) -> Path:
    """Write a copy of a decoder's graph, whose caches are int8, into `folder`, and return its path."""
    model = onnx.load(str(graph))
    for node in model.graph.node:
        if node.op_type != "GroupQueryAttention":
            continue
        inputs = [*node.input, *[""] * (12 - len(node.input))]
        for past in inputs[3:5]:
            name = f"{past}.scale"
            model.graph.initializer.append(numpy_helper.from_array(scales[past], name))
            inputs.append(name)
        del node.input[:]
        node.input.extend(inputs)
        kinds = {"kv_cache_bit_width": 8, "k_quant_type": "PER_CHANNEL", "v_quant_type": "PER_CHANNEL"}
        node.attribute.extend(helper.make_attribute(name, value) for name, value in kinds.items())
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        if value.name.startswith(("past.", "present.")):
            value.type.tensor_type.elem_type = TensorProto.INT8
    onnx.save(model, str(folder / "int8.onnx"), save_as_external_data=True, location="int8.data")
    return folder / "int8.onnx"


def open_graph(path: Path) -> Any:
    """Return a session with one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def compare(
    sessions: dict[str, Any], held: Caches, scales: Scales, ids: list[int], rounds: int
) -> dict[str, Any]:
    """Return the median time of running `ids` after the tokens in the caches `held`, and the error of the logits."""
    runs = {kind: Run(session, held, scales, ids) for kind, session in sessions.items()}
    times: dict[str, list[float]] = {kind: [] for kind in runs}
    for number in range(rounds + 2):
        for kind in runs if number % 2 else reversed(runs):
            started = time.process_time_ns()
            runs[kind]()
            if number >= 2:
                times[kind].append((time.process_time_ns() - started) / 1e6)
    exact, found = (runs[kind]() for kind in ("float32", "int8"))
    error = float(np.abs(found - exact).max() / np.abs(exact).max())
    ratio = median(b / a for a, b in zip(times["float32"], times["int8"], strict=True))
    return {**{kind: median(one) for kind, one in times.items()}, "ratio": ratio, "error": error}


class Run:
    """A session with bound inputs and outputs; a call runs it and returns the logits of the last token."""

    def __init__(self, session: Any, held: Caches, scales: Scales, ids: list[int]) -> None:
        """Bind copies of the caches `held`, with room for the tokens `ids`, which a call runs."""
        self._session, self._binding = session, session.io_binding()
        self._arrays: list[Any] = []  # keeps the bound memory
        types = {entry.name: entry for entry in session.get_inputs()}
        total = 0
        for name, cache in held.items():
            entry, past = types[name], cache.shape[2]
            total = past + len(ids)
            kind = np.int8 if "int8" in entry.type else np.float32
            buffer = np.zeros((1, cache.shape[1], total, cache.shape[3]), kind)
            steps = scales[name].reshape(1, cache.shape[1], 1, -1) if kind is np.int8 else np.float32(1)
            buffer[:, :, :past] = np.rint(cache / steps).clip(-128, 127) if kind is np.int8 else cache
            value = self._value(buffer)
            self._binding.bind_ortvalue_input(name, value)
            self._binding.bind_ortvalue_output(name.replace("past", "present"), value)
        feeds = {
            "input_ids": np.array([ids]),
            "position_ids": np.arange(total - len(ids), total)[None],
            "positions": np.arange(total),
            "seqlens_k": np.array([total - 1]),
            "total_length": np.array(total),
            "logits_at": np.array([[len(ids) - 1]]),
        }
        for name, array in feeds.items():
            if name in types:
                integer = np.int32 if "int32" in types[name].type else np.int64
                self._binding.bind_ortvalue_input(name, self._value(array.astype(integer)))
        width = session.get_outputs()[0].shape[-1]
        self._logits = np.empty((1, 1, width), np.float32)
        self._binding.bind_ortvalue_output("logits", self._value(self._logits))

    def _value(self, array: NDArray[Any]) -> Any:
        value = onnxruntime.OrtValue.ortvalue_from_numpy(array)
        self._arrays.append((array, value))
        return value

    def __call__(self) -> NDArray[np.float32]:
        self._session.run_with_iobinding(self._binding)
        return self._logits


def table(result: dict[str, Any], lengths: list[int]) -> list[list[str]]:
    """Return a table with a row for each length."""
    rows = [["tokens", "caches MB", "share of a step's bytes", "step ms", "error", "prompt ms", "error"]]
    for length in lengths:
        found = result[str(length)]
        cells = [str(length), f"{found['cache_bytes'] / 1e6:.1f}", f"{found['share']:.0%}"]
        for part in (found["step"], found["prompt"]):
            cells.append(f"{part['float32']:.1f} → {part['int8']:.1f} ({part['ratio']:.2f})")
            cells.append(f"{part['error']:.1%}")
        rows.append(cells)
    return rows


if __name__ == "__main__":
    main()
