"""Compare the speed of generation with bundles, torch and optimum-onnx, for models with random weights.

    python3 -m venv peers && peers/bin/pip install torch==2.13.0 "optimum-onnx[onnxruntime]==0.1.0"
    python -m benchmarks.generation --tokenizers FOLDER [--python peers/bin/python] [--shapes gpt2-small …] [--rounds 5]

The models have the sizes of known models. Speed does not depend on the values of the weights, so random weights are
fair. Each engine runs in its own process, and in each round all engines take turns on the same prompts. The result is
the ratio of two engines' times in the same round, as the median over the rounds. optimum-onnx exports and quantises as
its documentation describes, and needs its own environment because it pins an older transformers. llama.cpp runs GPT-2
only, in the environment of `--llama` (benchmarks/generation_llama.py). The first precision is compared with the others.
"""

import argparse
import dataclasses
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.commands import write_result
from benchmarks.generation_shapes import SHAPES, make_checkpoint
from ftool.bench.alternation import SETTLE_S
from ftool.bench.engines import Engine, EngineProcess, started
from ftool.machine import describe_machine
from ftool.terminal import format_table
from ftool_export.checkpoints.generator import load_generator
from ftool_export.examples.generation import sample_examples
from ftool_export.pipeline import export
from ftool_export.settings import ExportSettings
from ftool_runtime.session.threads import resolve_threads

NEW = 64  # tokens in every answer
LLAMA = ("Q4_0", "Q8_0")  # llama.cpp's precisions


@dataclasses.dataclass(frozen=True, kw_only=True)
class Workload:
    """A call to time: its prompts have `lengths` tokens."""

    name: str
    lengths: tuple[int, ...]


WORKLOADS = (
    Workload(name="batch 1, 64+64", lengths=(64,)),
    Workload(name="batch 1, 512+64", lengths=(512,)),
    Workload(name="batch 8 ragged, 64+64", lengths=(64, 57, 50, 43, 36, 29, 22, 16)),
    Workload(name="batch 8 ragged, 512+64", lengths=(512, 450, 400, 350, 300, 250, 200, 128)),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GenerationEngine(Engine):
    """An engine that runs generation_worker.py with the Python interpreter `python`."""

    python: Path
    task: str

    def command(self) -> list[str]:
        """Return the command line that starts the engine's worker process."""
        worker = Path(__file__).with_name("generation_worker.py")
        return [str(self.python), str(worker), self.kind, str(self.folder), self.task, str(self.threads)]


def prompts(workload: Workload, vocabulary: int) -> list[list[int]]:
    """Return random prompts, the same in every run, without special tokens, whose ids are assumed to be below 10."""
    random = np.random.default_rng(7)
    return [random.integers(10, vocabulary, length).tolist() for length in workload.lengths]


def bundles(checkpoint: Path, task: str, precisions: Sequence[str]) -> dict[str, Path]:
    """Return the folder of each precision's bundle, next to the checkpoint's folder; export missing bundles."""
    found = {}
    for precision in precisions:
        bundle = checkpoint.with_name(f"{checkpoint.name}-{precision}")
        if not bundle.exists():
            settings = ExportSettings(
                bundle=bundle,
                precision=precision,
                allow_drift=True,  # random weights have no clear preferences
            )
            loaded = load_generator(checkpoint, task)
            export(settings, loaded, sample_examples(loaded))
        found[precision] = bundle
    return found


def time_rounds(
    running: dict[str, EngineProcess], rows: list[list[int]], rounds: int
) -> dict[str, list[tuple[float, float]]]:
    """Return, for each engine and round, the seconds to the first token and for the whole call; engines take turns."""
    import time

    found: dict[str, list[tuple[float, float]]] = {name: [] for name in running}
    for number in range(rounds + 1):  # the first one warms up
        for name in running if number % 2 else reversed(running):
            time.sleep(SETTLE_S)
            first = running[name].ask({"do": "generate", "rows": rows, "new": 1})["seconds"]
            whole = running[name].ask({"do": "generate", "rows": rows, "new": NEW})["seconds"]
            if number:
                found[name].append((first, whole))
    return found


def figures(times: Sequence[tuple[float, float]], rows: int) -> dict[str, Any]:
    """Return an engine's speed as medians over the rounds, and the seconds for the whole call in each round."""
    first, whole = ([pair[index] for pair in times] for index in (0, 1))
    return {
        "first_token_ms": 1e3 * statistics.median(first),
        "per_token_ms": 1e3 * statistics.median((w - f) / (NEW - 1) for f, w in times),
        "tokens_per_s": rows * NEW / statistics.median(whole),
        "seconds": whole,
    }


def main() -> None:
    """Time every model size, and write benchmarks/results/generation.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--tokenizers", type=Path, required=True, help="a folder with gpt2 and t5-small vocabularies"
    )
    parser.add_argument(
        "--python", type=Path, help="the Python that has optimum-onnx; if not given, it is not measured"
    )
    parser.add_argument("--llama", type=Path, help="the Python that has llama-cpp-python; GPT-2 only")
    parser.add_argument("--work", type=Path, default=Path("models/generation"))
    parser.add_argument("--shapes", nargs="*", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--precisions", nargs="*", default=["w8", "int8", "fp32"])
    parser.add_argument("--workloads", nargs="*", choices=[one.name for one in WORKLOADS])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    result: dict[str, Any] = {"machine": describe_machine(), "shapes": {}}
    for shape in options.shapes:
        result["shapes"][shape] = measure_shape(shape, options)
    write_result("generation", result)


def engines_of(shape: str, options: argparse.Namespace) -> list[Engine]:
    """Return the engines to time for the model size `shape`; make its checkpoint and bundles if they are missing."""
    task, threads = SHAPES[shape].task, resolve_threads(options.threads)
    checkpoint = make_checkpoint(shape, (options.work / shape).resolve(), options.tokenizers)
    common = {"threads": threads, "task": task, "files": ()}
    engines: list[Engine] = [
        GenerationEngine(
            name=f"ftool-{precision}",
            kind="bundle",
            folder=folder,
            python=Path(sys.executable),
            threads=threads,
            task=task,
            files=tuple(path for path in folder.rglob("*") if path.is_file()),
        )
        for precision, folder in bundles(checkpoint, task, options.precisions).items()
    ]
    engines.append(
        GenerationEngine(
            name="torch-fp32", kind="torch", folder=checkpoint, python=Path(sys.executable), **common
        )
    )
    if options.python:
        peer = GenerationEngine(
            name="optimum-int8", kind="optimum", folder=checkpoint, python=options.python.absolute(), **common
        )
        engines.append(peer)
    if options.llama and shape == "gpt2-small":
        engines += [
            GenerationEngine(
                name=f"llama.cpp-{kind}",
                kind=kind,
                folder=checkpoint,
                python=options.llama.absolute(),
                threads=threads,
                task=task,
                files=(checkpoint.with_name(f"{checkpoint.name}-{kind}.gguf"),),
            )
            for kind in LLAMA
        ]
    return engines


def measure_shape(shape: str, options: argparse.Namespace) -> dict[str, Any]:
    """Time all workloads with every engine, for the model size `shape`."""
    engines = engines_of(shape, options)
    found: dict[str, Any] = {"workloads": {}}
    subject = engines[0].name
    with started(engines, "") as running:
        found["size_mb"] = {engine.name: engine.size_mb for engine in engines if engine.files}
        for workload in [one for one in WORKLOADS if one.name in (options.workloads or one.name)]:
            rows = prompts(workload, SHAPES[shape].vocabulary)
            times = time_rounds(running, rows, options.rounds)
            found["workloads"][workload.name] = summary(times, len(rows), subject)
            show(shape, workload, found["workloads"][workload.name], subject)
        found["engines"] = {name: process.ask({"do": "describe"}) for name, process in running.items()}
    return found


def summary(times: dict[str, list[tuple[float, float]]], rows: int, subject: str) -> dict[str, Any]:
    """Return each engine's figures, and how many times faster the engine `subject` is than each.

    The factor is given as the median and the range over the rounds.
    """
    ratios = {}
    for name, theirs in times.items():
        each = [their[1] / our[1] for our, their in zip(times[subject], theirs, strict=True)]
        ratios[name] = {"median": statistics.median(each), "range": [min(each), max(each)]}
    return {
        "engines": {name: figures(one, rows) for name, one in times.items()},
        f"{subject} times faster than": ratios,
    }


def show(shape: str, workload: Workload, found: dict[str, Any], subject: str) -> None:
    """Print a table of all engines' figures for one workload."""
    head = [
        f"{shape}, {workload.name}",
        "first token (ms)",
        "a token (ms)",
        "tokens/s",
        f"{subject} is faster by",
    ]
    rows = [head]
    for name, one in found["engines"].items():
        ratio = found[f"{subject} times faster than"][name]
        span = f"{ratio['median']:.2f} ({ratio['range'][0]:.2f} to {ratio['range'][1]:.2f})"
        numbers = (one["first_token_ms"], one["per_token_ms"], one["tokens_per_s"])
        rows.append([name, *(f"{number:.1f}" for number in numbers), span])
    print(format_table(rows), flush=True)


if __name__ == "__main__":
    main()
