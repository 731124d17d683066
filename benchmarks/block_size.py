"""Measure the time of a decoder's step, and whether batching changes answers, for several widths of 8-bit blocks.

    python -m benchmarks.block_size --tokenizer FOLDER [--widths 32 64 128] [--rounds 20]

The model is GPT-2 small with random weights, in the precision `w8`. It runs with the runtime's default number of
threads, and in each round the widths take turns.
"""

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.generation_shapes import SHAPES
from ftool_export.checkpoints.generator import LoadedGenerator
from ftool_export.examples.generation import sample_examples
from ftool_export.graph.generator_session import GraphRunner
from ftool_export.graph.graphs import Graphs
from ftool_export.graph.session import Sessions, open_sessions
from ftool_export.passes import PassSettings
from ftool_export.pipeline import capture_source, export
from ftool_export.precision_plans import precision_plan
from ftool_export.quantization import quantize
from ftool_export.settings import ExportSettings
from ftool_export.tokenizers.source import pad_with_special_token
from ftool_runtime.bundle.manifest import Manifest

PROMPT, STEPS = 64, 32  # tokens


def main() -> None:
    """Print for each width the milliseconds per token and whether rows must run singly, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--widths", type=int, nargs="*", default=[32, 64, 128])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--tokenizer", required=True, help="a folder with GPT-2's tokenizer files")
    options = parser.parse_args()
    loaded = random_gpt2(options.tokenizer)
    source = capture_source(loaded, (), PassSettings())
    plan = precision_plan("w8", "cpu", loaded.family)
    made: dict[int, Sessions] = {}
    effects: dict[int, bool] = {}
    for width in options.widths:
        graphs = quantize(source, plan, replace(plan.settings(PassSettings()), block_size=width))
        effects[width] = runs_singly(loaded, source, replace(PassSettings(), block_size=width))
        made[width] = open_sessions(graphs.models)
    times: dict[int, list[float]] = {width: [] for width in made}
    for number in range(options.rounds + 1):  # the first one warms up
        for width in made if number % 2 else reversed(made):
            times[width].append(milliseconds(GraphRunner(made[width])))
    found = {
        width: {"least": min(all_of[1:]), "median": median(all_of[1:]), "singly": effects[width]}
        for width, all_of in times.items()
    }
    print(json.dumps(found, indent=2))


def runs_singly(loaded: LoadedGenerator, source: Graphs, passes: PassSettings) -> bool:
    """Return whether a bundle with these settings runs its rows singly, because its answers depend on the batch.

    An export does not go below blocks of 64.
    """
    with tempfile.TemporaryDirectory() as folder:
        settings = ExportSettings(bundle=Path(folder) / "b", precision="w8", allow_drift=True, passes=passes)
        export(settings, loaded, sample_examples(loaded), captured=source)
        return Manifest.read(settings.bundle).precision.rows_share_scale


def random_gpt2(tokenizer: str) -> LoadedGenerator:
    """Return GPT-2 small with random weights, and with the tokenizer in the folder `tokenizer`."""
    import torch
    from transformers import GPT2TokenizerFast

    torch.manual_seed(0)
    model: Any = SHAPES["gpt2-small"].make().eval()
    made = GPT2TokenizerFast.from_pretrained(tokenizer)
    pad_with_special_token(made, len(made), tokenizer)
    return LoadedGenerator(task="text-generation", model=model, tokenizer=made, max_length=1024)


def milliseconds(runner: GraphRunner) -> float:
    """Return the mean time, in milliseconds, of a decoding step with one row after a prompt of 64 tokens."""
    conversation = runner.start(None, 1, PROMPT + STEPS + 1)
    runner.step(conversation, [list(range(100, 100 + PROMPT))], np.array([[PROMPT - 1]]))
    started = time.perf_counter()
    for step in range(STEPS):
        runner.step(conversation, [[200 + step]], np.array([[0]]))
    return 1000 * (time.perf_counter() - started) / STEPS


if __name__ == "__main__":
    main()
