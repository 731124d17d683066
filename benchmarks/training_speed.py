"""Time changes to fine-tuning, each alone, in alternating rounds: the figures of docs/performance.md, "Training speed".

    python -m benchmarks.training_speed MEASUREMENT [--data FOLDER] [--threads 1] [--rounds 3] [--steps 20] [--length N]

MEASUREMENT is one of

    steps       training steps of `minilm` on banking77 with Trainer, as `ftool train` runs them, by variant
    memory      the peak memory of a process that trains, by variant; each is a process of its own
    evaluation  validation without training, by the number of tokens that are read at a time

`--variants` chooses from the variants of `steps` and `memory`; the first one is what the others are compared with. With
`--length N` each text is N random tokens. Ratios are medians over the rounds; above 1, a variant needs less time than
the first one. On a busy machine trust the CPU time, and one thread: threads that wait for each other count as busy.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean, median
from typing import Any
from unittest import mock

import numpy as np
from torch import nn
from torch.utils.data import RandomSampler
from transformers import EarlyStoppingCallback, PrinterCallback, TrainerCallback, set_seed

from benchmarks.commands import DATA
from ftool.data.load import load_dataset
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.terminal import format_table
from ftool.training.batches import SimilarLengths
from ftool.training.loop import trainer_arguments
from ftool.training.runs import prepare
from ftool_export.checkpoints import encoder as encoder_module
from ftool_runtime.session.batching import cut_into_runs
from ftool_runtime.session.memory_usage import peak_memory_mb

_WARM = 4  # steps before the clock starts; torch.compile compiles in them
_BUDGETS = (4096, 2048, 1024, 512, 256)  # tokens, padding included


@dataclass(frozen=True)
class Variant:
    """A change to training: settings of [train], arguments of Trainer, and changes to the network and the order."""

    settings: dict[str, Any] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)
    attention: str = "sdpa"
    dropout: bool = True
    grouped: bool = True  # whether a batch's texts have similar lengths


_HALF = {"bf16": True}
VARIANTS = {
    "float32": Variant({"bf16": False}),
    "bf16": Variant(_HALF),
    "bf16, any lengths": Variant(_HALF, grouped=False),
    "float32, compiled": Variant({"bf16": False}, {"torch_compile": True}),
    "bf16, compiled": Variant(_HALF, {"torch_compile": True}),
    "bf16, eager attention": Variant(_HALF, attention="eager"),
    "bf16, no dropout": Variant(_HALF, dropout=False, attention="eager"),
    "bf16, no dropout, sdpa": Variant(_HALF, dropout=False),
    "bf16, AdamW not fused": Variant(_HALF, {"optim": "adamw_torch"}),
    "bf16, no clipping": Variant({**_HALF, "max_grad_norm": 0.0}),
    "bf16, checkpointing": Variant({**_HALF, "gradient_checkpointing": True}),
    "bf16, 2 steps of 16": Variant({**_HALF, "batch_size": 16, "gradient_accumulation": 2}),
    "bf16, 4 steps of 8": Variant({**_HALF, "batch_size": 8, "gradient_accumulation": 4}),
    "bf16, 4 steps of 8, checkpointing": Variant(
        {**_HALF, "batch_size": 8, "gradient_accumulation": 4, "gradient_checkpointing": True}
    ),
}


@dataclass(frozen=True)
class Run:
    """One run's CPU and wall seconds per update, CPU seconds of the first updates, and the loss of each update."""

    cpu: float
    wall: float
    first: float
    losses: tuple[float, ...]


class Clock(TrainerCallback):  # type: ignore[misc]
    """Notes the CPU and the wall time when training begins, when the warm-up is over, and at the end of each update."""

    def __init__(self) -> None:
        self.times: dict[int, tuple[float, float]] = {}

    def on_step_begin(self, _arguments: Any, state: Any, *_: Any, **__: Any) -> None:
        """Note the time before the first update."""
        if state.global_step == 0:
            self.times[0] = now()

    def on_step_end(self, _arguments: Any, state: Any, *_: Any, **__: Any) -> None:
        """Note the time after each update."""
        self.times[state.global_step] = now()


def now() -> tuple[float, float]:
    """Return the CPU time of this process and its children, and the wall time, in seconds."""
    return sum(os.times()[:4]), time.perf_counter()


def main() -> None:
    """Run one measurement, and print its table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("measurement", choices=MEASUREMENTS)
    parser.add_argument("--data", type=Path, default=DATA / "banking77")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20, help=f"updates, of which {_WARM} are not timed")
    parser.add_argument("--length", type=int, help="tokens of each text; by default the data's own texts")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS)[:2])
    warnings.filterwarnings("ignore")
    options = parser.parse_args()
    if options.steps <= _WARM:
        parser.error(f"--steps must be above {_WARM}, got {options.steps}")
    MEASUREMENTS[options.measurement](options)


def objective(options: argparse.Namespace) -> Any:
    """Return `ftool train`'s objective for a classifier on the data, with a head of zeros."""
    settings = [f"train.threads={options.threads}", "train.batch_size=32", "train.gradient_accumulation=1"]
    settings += [f"train.max_length={options.length}"] * (options.length is not None)
    recipe = Recipe(data=DataSettings(path=str(options.data))).with_overrides(settings)
    prepare(recipe)
    data = load_dataset(recipe.row.reader, recipe.data, quiet=True)
    made = recipe.row.objective(recipe.row.create(recipe, data), data, {}, recipe)
    if options.length is not None:
        random = np.random.default_rng(0)
        ids = random.integers(1000, 20_000, (len(made.rows), options.length)).astype(np.int32)
        made.rows.rows = [
            replace(row, ids=one, type_ids=None if row.type_ids is None else np.zeros_like(one))
            for row, one in zip(made.rows.rows, ids, strict=True)
        ]
    return made


@contextmanager
def changed(made: Any, variant: Variant) -> Iterator[None]:
    """Change the objective's settings and network as the variant says, in a `with` block."""
    settings, start = made.settings, {n: v.clone() for n, v in made.loaded.model.state_dict().items()}
    layers = [one for one in made.loaded.model.modules() if isinstance(one, nn.Dropout)]
    rates = [layer.p for layer in layers]
    made.settings = replace(settings, **variant.settings)
    made.loaded.model.encoder.set_attn_implementation(variant.attention)
    for layer in layers:
        layer.p *= variant.dropout
    try:
        yield
    finally:
        made.settings = settings
        made.loaded.model.load_state_dict(start)
        made.loaded.model.encoder.gradient_checkpointing_disable()
        for layer, rate in zip(layers, rates, strict=True):
            layer.p = rate


def train(made: Any, variant: Variant, steps: int) -> Run:
    """Train for a number of updates from the same weights and the same random numbers."""
    with changed(made, variant):
        set_seed(made.settings.seed)
        arguments = trainer_arguments(made.settings, len(made.lengths), Path("unused"))
        unsaved = {"eval_strategy": "no", "save_strategy": "no", "load_best_model_at_end": False}
        once = {"max_steps": steps, "logging_steps": 1, "logging_first_step": True}
        trainer = made.trainer(made.network(), {**arguments, **unsaved, **once, **variant.arguments})
        trainer.train_lengths, clock = made.lengths, Clock()
        trainer.order = None if variant.grouped else RandomSampler(made.rows)
        for callback in (PrinterCallback, EarlyStoppingCallback):
            trainer.remove_callback(callback)
        trainer.add_callback(clock)
        trainer.train()
    (cpu, wall), (warm_cpu, warm_wall), begin = clock.times[steps], clock.times[_WARM], clock.times[0][0]
    losses = tuple(entry["loss"] for entry in trainer.state.log_history if "loss" in entry)
    timed = steps - _WARM
    return Run((cpu - warm_cpu) / timed, (wall - warm_wall) / timed, warm_cpu - begin, losses)


def steps(options: argparse.Namespace) -> None:
    """Time training updates of the chosen variants, in alternating rounds."""
    made = objective(options)
    runs: dict[str, list[Run]] = {name: [] for name in options.variants}
    for _ in range(options.rounds):
        for name in runs:
            runs[name].append(train(made, VARIANTS[name], options.steps))
    first = runs[options.variants[0]]
    rows = [
        (
            name,
            f"{1000 * median(run.cpu for run in found):.0f}",
            f"{median(one.cpu / run.cpu for one, run in zip(first, found, strict=True)):.2f}",
            f"{median(one.wall / run.wall for one, run in zip(first, found, strict=True)):.2f}",
            f"{found[0].first:.1f}",
            f"{found[0].losses[0]:.4f} to {mean(found[0].losses[-5:]):.4f}",
        )
        for name, found in runs.items()
    ]
    heads = ("variant", "CPU ms/update", "times less CPU", "times faster", f"CPU s of first {_WARM}", "loss")
    print(format_table([heads, *rows]))
    for name, order in (
        ("as ftool orders them", SimilarLengths(made.lengths, 32, 13)),
        ("in a random order", None),
    ):
        print(f"real tokens of an epoch's batches {name}: {real_tokens(made.lengths, order):.2f}")


def real_tokens(lengths: Sequence[int], order: Iterable[int] | None) -> float:
    """Return the share of tokens in batches of 32 texts that are not padding; without `order` in a random order."""
    places = list(order or np.random.default_rng(0).permutation(len(lengths)))
    batches = [
        [lengths[place] for place in places[start : start + 32]] for start in range(0, len(places), 32)
    ]
    return sum(lengths) / sum(len(batch) * max(batch) for batch in batches)


def memory(options: argparse.Namespace) -> None:
    """Train with each chosen variant in a process of its own, and show the peak of its memory."""
    rows = []
    for name in options.variants:
        command = [sys.executable, "-m", "benchmarks.training_speed", "peak", "--variants", name]
        for flag in ("data", "threads", "steps", "length"):
            if (value := getattr(options, flag)) is not None:
                command += [f"--{flag}", str(value)]
        found = json.loads(
            subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.splitlines()[-1]
        )
        rows.append((name, f"{found['before']:.0f}", f"{found['peak']:.0f}", f"{1000 * found['cpu']:.0f}"))
    print(format_table([("variant", "MB before training", "peak MB", "CPU ms/update"), *rows]))


def peak(options: argparse.Namespace) -> None:
    """Train with one variant; print the process's peak memory before and after, and CPU seconds per update, as JSON."""
    made = objective(options)
    made.rows.collate(made.rows.rows[:1])
    before = peak_memory_mb()
    run = train(made, VARIANTS[options.variants[0]], options.steps)
    print(json.dumps({"before": before, "peak": peak_memory_mb(), "cpu": run.cpu}))


def evaluation(options: argparse.Namespace) -> None:
    """Time the outputs of 500 validation texts, or of 100 texts of 4 to `length` tokens, by the tokens of a batch."""
    made = objective(options)
    rows = list(made.validation)[:500]
    if options.length is not None:
        from benchmarks.encoder_speed import mixed_rows

        rows = [replace(row, type_ids=[0] * len(row.ids)) for row in mixed_rows(100, longest=options.length)]
    lengths = [len(row.ids) for row in rows]
    times: dict[int, list[float]] = {budget: [] for budget in _BUDGETS}
    for _ in range(options.rounds + 1):  # the first round warms up
        for budget in _BUDGETS:
            with mock.patch.object(encoder_module, "tokens_per_batch", return_value=budget):
                begin = now()[0]
                encoder_module.compute_outputs(made.loaded, rows)
                times[budget].append(now()[0] - begin)
    table = []
    for budget, found in times.items():
        runs = cut_into_runs(lengths, budget)
        padded = sum(len(run) * lengths[run[0]] for run in runs)
        ratio = median(one / other for one, other in zip(times[_BUDGETS[0]][1:], found[1:], strict=True))
        table.append(
            (str(budget), f"{sum(lengths) / padded:.2f}", f"{median(found[1:]):.2f}", f"{ratio:.2f}")
        )
    print(format_table([("tokens at a time", "real tokens", "CPU s", "times less CPU"), *table]))


MEASUREMENTS: dict[str, Callable[[argparse.Namespace], None]] = {
    "steps": steps,
    "memory": memory,
    "peak": peak,
    "evaluation": evaluation,
}

if __name__ == "__main__":
    main()
