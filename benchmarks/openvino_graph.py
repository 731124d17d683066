"""Time graphs in ONNX Runtime and in OpenVINO, one row and one thread, by processor time.

    PYTHON -m benchmarks.openvino_graph GRAPH... [--lengths 13 64 128 256 512] [--rounds 8]

PYTHON is of an environment with onnxruntime beside the packages of benchmarks/environments/openvino.txt. A GRAPH is
an .onnx file, such as an int8 bundle's onnx/model.onnx, which runs in both engines, or OpenVINO's .xml, such as the
int8.xml that `python -m benchmarks.peers` makes. OpenVINO computes what is not int8 in bf16. Figures are medians over
alternating rounds, in milliseconds of processor time.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Run = Callable[[np.ndarray], Any]  # of token ids, int64 (1, tokens)


def main() -> None:
    """Print a line for each length, with the time of each graph in each engine."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("graphs", type=Path, nargs="+")
    parser.add_argument("--lengths", type=int, nargs="+", default=[13, 64, 128, 256, 512])
    parser.add_argument("--rounds", type=int, default=8)
    options = parser.parse_args()
    runs = {f"OpenVINO, {graph.name}": in_openvino(graph) for graph in options.graphs}
    onnx = [graph for graph in options.graphs if graph.suffix == ".onnx"]
    runs |= {f"ONNX Runtime, {graph.name}": in_onnxruntime(graph) for graph in onnx}
    for length in options.lengths:
        ids = np.random.default_rng(length).integers(1000, 20_000, (1, length))
        repeats = max(2, 400 // length)
        times: dict[str, list[float]] = {name: [] for name in runs}
        for number in range(options.rounds + 1):
            for name in runs if number % 2 else reversed(runs):
                started = time.process_time()
                for _ in range(repeats):
                    runs[name](ids)
                times[name].append((time.process_time() - started) / repeats)
        cells = (f"{name} {1e3 * statistics.median(found[1:]):.2f}" for name, found in times.items())
        print(f"{length} tokens (ms): {'; '.join(cells)}", flush=True)


def feeds(names: list[str], ids: np.ndarray) -> dict[str, np.ndarray]:
    """Return a row without padding as the inputs `names`."""
    given = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    return {name: given[name] for name in names}


def in_onnxruntime(graph: Path) -> Run:
    """Load a graph in ONNX Runtime with one thread."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads, settings.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(graph, settings, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    return lambda ids: session.run(None, feeds(names, ids))


def in_openvino(graph: Path) -> Run:
    """Load a graph in OpenVINO with one thread."""
    import openvino

    core = openvino.Core()
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": 1,
        "INFERENCE_PRECISION_HINT": "bf16",
    }
    request = core.compile_model(core.read_model(graph), "CPU", settings).create_infer_request()
    names = [value.any_name for value in request.model_inputs]
    return lambda ids: request.infer(feeds(names, ids))


if __name__ == "__main__":
    main()
