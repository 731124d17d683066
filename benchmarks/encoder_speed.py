"""Time changes to the encoder runtime, each alone, in alternating rounds: the figures of docs/performance.md.

    python -m benchmarks.encoder_speed CHANGE BUNDLE [--threads 2] [--rounds 7] [--lengths 13 64 128 256 512]

CHANGE is one of

    bulk        100 rows (`--rows`) of 4 to 400 tokens in one call, for several sizes of runs, in turn and in parallel
    mask        attention with a mask of ones, as int8 bundles had it, and without
    attention   a graph without a mask, with ONNX Runtime's attention and with ONNX's own
    pooled      a classifier's last layer in int8 for all tokens, and for the pooled one only; BUNDLE is the checkpoint
    smoothing   the multiplications that smooth activations, and a graph without them (which gives other answers)
    profile     the share of each operator, on one thread
    loading     a session on the graph as it is in the bundle, and on the graph that ONNX Runtime saved optimised for
                this CPU, each with the weights inside and beside it: time, and peak memory of the process

Rows are random tokens. Ratios are medians over the rounds; above 1, a variant is faster than the first one. On a busy
machine trust the CPU time, which does not count the time in which other programs run.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

import numpy as np
import onnx_ir as ir

import ftool_runtime as ft
from ftool.terminal import format_table
from ftool_export.checkpoints.classifier import load_classifier
from ftool_export.passes import MICROSOFT, PassSettings
from ftool_export.passes.drop_mask import DropMask
from ftool_export.passes.matching import clean
from ftool_export.passes.smooth_activations import RECIPROCAL
from ftool_export.passes.standard_attention import LONGEST, StandardAttention
from ftool_export.pipeline import capture_source
from ftool_export.precision_plans import PLANS
from ftool_export.quantization import quantize
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.bundle.paths import MODEL_FILE
from ftool_runtime.session import encoder_engine
from ftool_runtime.session.cpu_cache import l2_bytes, tokens_in_cache
from ftool_runtime.session.onnx_session import OnnxSession, SessionSettings, import_onnxruntime
from ftool_runtime.text.encode import Tokens

_BUDGETS = (64, 128, 256, 512, 1024)  # tokens
_SPAN = 0.05  # seconds that a short variant is repeated for in each round
_MASK_INPUT = 4  # of MultiHeadAttention

Call = Callable[[], object]
Times = dict[str, list[tuple[float, float]]]  # by variant, for each round, seconds of time and of CPU time


def main() -> None:
    """Run one change's measurement, and print its table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("change", choices=CHANGES)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rows", type=int, default=100, help="rows of `bulk`")
    parser.add_argument("--lengths", type=int, nargs="+", default=[13, 64, 128, 256, 512])
    CHANGES[parser.parse_args().change](parser.parse_args())


def bulk(options: argparse.Namespace) -> None:
    """Time many rows in one call, for several sizes of runs, in turn on all threads and in parallel."""
    chosen = tokens_in_cache(l2_bytes(), Manifest.read(options.bundle).widest_activation)
    rows = mixed_rows(options.rows)
    with ft.load(options.bundle, threads=options.threads) as model:
        variants: dict[str, Call] = {
            "1024 tokens, in turn (before)": _sized(model, rows, 1024, parallel=False)
        }
        for budget in sorted({*_BUDGETS, chosen}):
            note = " (chosen)" if budget == chosen else ""
            variants[f"{budget} tokens, in turn{note}"] = _sized(model, rows, budget, parallel=False)
            if options.threads > 1:
                variants[f"{budget} tokens, in parallel{note}"] = _sized(model, rows, budget, parallel=True)
        show(f"{len(rows)} rows, {options.threads} threads", alternate(variants, options.rounds))


def _sized(model: Any, rows: Sequence[Tokens], budget: int, *, parallel: bool) -> Call:
    engine = model._engine
    cut = encoder_engine.cut_into_runs

    def call() -> None:
        with mock.patch.object(encoder_engine, "tokens_in_cache", return_value=budget):
            if parallel:
                model.token_outputs(rows)
                return
            for run in cut([len(row.ids) for row in rows], budget):
                engine._run(engine._guard.get(), [rows[position] for position in run])

    return call


def mixed_rows(count: int, shortest: int = 4, longest: int = 400) -> list[Tokens]:
    """Return rows of random tokens whose lengths are spread evenly in proportion, from `shortest` to `longest`."""
    random = np.random.default_rng(0)
    lengths = np.exp(random.uniform(np.log(shortest), np.log(longest), count)).astype(int)
    return [Tokens(random.integers(1000, 20_000, length).tolist()) for length in lengths]


def mask(options: argparse.Namespace) -> None:
    """Time the graph with a mask of ones at every attention operator, and without one."""
    without = ir.load(options.bundle / MODEL_FILE)
    DropMask()(without)
    masked = without.clone()
    _mask_attention(masked)
    _by_length({"with a mask": masked, "without a mask": without}, options)


def attention(options: argparse.Namespace) -> None:
    """Time a graph of an int8 bundle for long rows with `MultiHeadAttention`, as it is, and with `Attention`."""
    blocks = ir.load(options.bundle / MODEL_FILE)
    standard = blocks.clone()
    if not StandardAttention()(standard).modified:
        sys.exit(
            f"{options.bundle}: no attention to replace; export it as int8 with train.max_length above {LONGEST}"
        )
    _by_length({"MultiHeadAttention": blocks, "Attention": standard}, options)


def pooled(options: argparse.Namespace) -> None:
    """Time an int8 graph whose last layer is computed for all tokens, and for the pooled token only."""
    loaded, plan = load_classifier(options.bundle), PLANS["encoder"]["int8"]
    models = {}
    for name, enabled in {"all tokens": False, "the pooled token": True}.items():
        settings = plan.settings(PassSettings(pooled_token=enabled))
        graphs = capture_source(loaded, ["a text"], settings)
        models[name] = quantize(graphs, plan, settings).models["model"]
    _by_length(models, options)


def _mask_attention(model: ir.Model) -> None:
    graph = model.graph
    shape = ir.node("Shape", [graph.inputs[0]])
    ones = ir.node("ConstantOfShape", [shape.outputs[0]], {"value": ir.tensor(np.array([1], dtype=np.int32))})
    graph.insert_before(graph[0], [shape, ones])
    for node in graph:
        if node.op_type == "MultiHeadAttention" and node.domain == MICROSOFT:
            node.resize_inputs(max(len(node.inputs), _MASK_INPUT + 1))
            node.replace_input_with(_MASK_INPUT, ones.outputs[0])


def smoothing(options: argparse.Namespace) -> None:
    """Time the graph as it is, and without the multiplications that smooth activations."""
    model = ir.load(options.bundle / MODEL_FILE)
    bare = model.clone()
    for node in list(bare.graph):
        if node.op_type == "Mul" and (node.inputs[1].name or "").endswith(RECIPROCAL):  # type: ignore[union-attr]
            ir.convenience.replace_all_uses_with(node.outputs[0], node.inputs[0])  # type: ignore[arg-type]
    clean(bare)
    _by_length({"smoothed": model, "not smoothed": bare}, options)


def _by_length(models: Mapping[str, ir.Model], options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sessions = {}
        for number, (name, model) in enumerate(models.items()):
            path = Path(folder) / f"{number}.onnx"
            ir.save(ir.external_data.load_to_model(model), path)  # weights may be beside the bundle's graph
            sessions[name] = _session(path, options.threads)
    _compare(sessions, options)


def _session(path: Path, number: int) -> OnnxSession:
    return OnnxSession(path, SessionSettings(device="cpu", threads=number, profile="desktop"), ("cpu",))


def _compare(sessions: Mapping[str, OnnxSession], options: argparse.Namespace) -> None:
    """Print, for each length, the times of one row in each session."""
    for length in options.lengths:
        first = next(iter(sessions.values()))
        started = time.perf_counter()
        for _ in range(3):
            first.run_all((first.output_names[0],), feeds(first, length))
        repeats = max(1, int(3 * _SPAN / (time.perf_counter() - started)))
        calls = {name: _repeated(session, length, repeats) for name, session in sessions.items()}
        show(f"{length} tokens", alternate(calls, options.rounds), repeats)


def _repeated(session: OnnxSession, length: int, repeats: int) -> Call:
    given = feeds(session, length)
    output = session.output_names[:1]

    def call() -> None:
        for _ in range(repeats):
            session.run_all(output, given)

    return call


def feeds(session: OnnxSession, length: int) -> dict[str, Any]:
    """Return one row of random tokens as the inputs of a session."""
    ids = np.random.default_rng(length).integers(1000, 20_000, (1, length))
    given = {
        "input_ids": ids,
        "attention_mask": np.ones_like(ids),
        "token_type_ids": np.zeros_like(ids),
    }
    return {name: given[name] for name in session.input_names}


def profile(options: argparse.Namespace) -> None:
    """Print each operator's share of the kernels' time, as ONNX Runtime's profiler measures it, on one thread."""
    runtime = import_onnxruntime()
    for length in options.lengths:
        with tempfile.TemporaryDirectory() as folder:
            settings = runtime.SessionOptions()
            settings.intra_op_num_threads, settings.enable_profiling = 1, True
            settings.profile_file_prefix = str(Path(folder) / "profile")
            session = runtime.InferenceSession(str(options.bundle / MODEL_FILE), settings)
            given = feeds(_session(options.bundle / MODEL_FILE, 1), length)
            for _ in range(30):
                session.run(None, given)
            events = json.loads(Path(session.end_profiling()).read_text())
        times: dict[str, list[float]] = defaultdict(list)
        for event in events:
            if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
                times[event["args"]["op_name"]].append(event["dur"] / 1e3)
        sums = {name: median(found) * len(found) / 30 for name, found in times.items()}
        rows = sorted(sums.items(), key=lambda one: -one[1])[:8]
        total = sum(sums.values())
        table = [[name, f"{found:.2f}", f"{found / total:.0%}"] for name, found in rows]
        print(format_table([[f"{length} tokens", "ms", "share"], *table]), flush=True)


_LOAD = """
import sys, time, onnxruntime
from ftool_runtime.session.memory_usage import peak_memory_mb
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(sys.argv[2])
options.log_severity_level = 3
if sys.argv[3] == "as is":
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
started = time.perf_counter()
session = onnxruntime.InferenceSession(sys.argv[1], options)
took = time.perf_counter() - started
print(took * 1e3, peak_memory_mb())
"""


def loading(options: argparse.Namespace) -> None:
    """Print the time to open a session in a new process, and its peak memory, for four forms of the graph."""
    runtime = import_onnxruntime()
    graph = options.bundle / MODEL_FILE
    with tempfile.TemporaryDirectory() as folder:
        beside = Path(folder) / "beside.onnx"
        ir.save(ir.load(graph), beside, external_data="beside.data")
        forms = {"in the bundle": (graph, "optimise"), "weights beside it": (beside, "optimise")}
        for name, external in (("saved optimised", False), ("saved optimised, weights beside it", True)):
            path = Path(folder) / f"{external}.onnx"
            settings = runtime.SessionOptions()
            settings.optimized_model_filepath, settings.log_severity_level = str(path), 3
            if external:
                entry = "session.optimized_model_external_initializers_file_name"
                settings.add_session_config_entry(entry, f"{external}.data")
                settings.add_session_config_entry(
                    "session.optimized_model_external_initializers_min_size_in_bytes", "1024"
                )
            runtime.InferenceSession(str(graph), settings)
            forms[name] = (path, "as is")
        times: dict[str, list[list[float]]] = {name: [] for name in forms}
        for number in range(options.rounds + 1):
            for name in forms if number % 2 else reversed(forms):
                path, how = forms[name]
                command = [sys.executable, "-c", _LOAD, str(path), str(options.threads), how]
                out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
                times[name].append([float(one) for one in out.split()])
    rows = [
        [name, *(f"{median(column):.1f}" for column in zip(*found[1:], strict=True))]
        for name, found in times.items()
    ]
    print(format_table([["graph", "session (ms)", "peak (MB)"], *rows]))


def alternate(variants: Mapping[str, Call], rounds: int) -> Times:
    """Call the variants in turn, in another order every round; return the times of all rounds but the first."""
    times: Times = {name: [] for name in variants}
    for number in range(rounds + 1):
        for name in variants if number % 2 else reversed(list(variants)):
            started, started_cpu = time.perf_counter(), time.process_time()
            variants[name]()
            times[name].append((time.perf_counter() - started, time.process_time() - started_cpu))
    return {name: found[1:] for name, found in times.items()}


def show(title: str, times: Times, repeats: int = 1) -> None:
    """Print each variant's median time, and how many times less time than the first it takes in the median round."""
    first = next(iter(times.values()))
    rows = []
    for name, found in times.items():
        wall, cpu = ([base[i] / one[i] for base, one in zip(first, found, strict=True)] for i in (0, 1))
        ms = 1e3 * median(one[0] for one in found) / repeats
        spread = f"{min(wall):.2f} to {max(wall):.2f}"
        rows.append([name, f"{ms:.2f}", f"{median(wall):.2f}", spread, f"{median(cpu):.2f}"])
    print(format_table([[title, "ms", "times faster", "range", "times less CPU"], *rows]), flush=True)


CHANGES: dict[str, Callable[[argparse.Namespace], None]] = {
    one.__name__: one for one in (bulk, mask, attention, pooled, smoothing, profile, loading)
}

if __name__ == "__main__":
    main()
