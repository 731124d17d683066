"""Training runs: lock a model folder, record what a resumed run must have in common with the first, and write run/."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import torch
from transformers import set_seed

from ftool.data.dataset import Dataset, Example, fingerprint
from ftool.evaluation.results import TrainReport
from ftool.recipe.sections import Sections
from ftool.training import checkpoints
from ftool.training.hardware import (
    device_name,
    is_main_process,
    main_process_first,
    process_count,
    use_bf16,
    use_threads,
)
from ftool.training.tracking import check_trackers
from ftool.workspace import METRICS_FILE, ModelFolder
from ftool_export.checkpoints.base import LoadedModel
from ftool_export.checkpoints.files import quiet_transformers
from ftool_export.checkpoints.pretrained import weights_sha256
from ftool_export.tokenizers.source import tokenizer_text
from ftool_runtime.folder_swap import replacing_folder
from ftool_runtime.locks import writing
from ftool_runtime.session.memory_usage import peak_memory_mb

TRAIN: Final = "ftool train"  # the writer of run/, as others are told
_MAY_CHANGE: Final = ("threads", "report_to")  # settings of [train] that a resumed run may change
_MODEL_INPUT_SETTINGS: Final = (
    "query_prompt",
    "passage_prompt",
    "prefix",
    "source_language",
    "target_language",
)


def partial_folder(folder: Path) -> Path:
    """Return the folder for the checkpoints of an unfinished run in the model folder `folder`."""
    return folder / "run.partial"


@contextmanager
def checkpointed(
    folder: Path, identity: dict[str, Any], *, resume: bool
) -> Iterator[tuple[Path, Path | None]]:
    """Yield the folder for checkpoints in the model folder `folder`, and the checkpoint to resume from or None.

    The caller holds the lock of `locked`. Raises TrainingError if `resume` is true and no run with the same `identity`
    was interrupted there.
    """
    partial, resume_from = partial_folder(folder), None
    with main_process_first():
        if resume:
            resume_from = checkpoints.resume(partial, identity)
        elif is_main_process():
            checkpoints.begin(partial, identity)
    with checkpoints.discard_unless_resumable(partial):
        yield partial, resume_from


@contextmanager
def locked(folder: Path, command: str) -> Iterator[None]:
    """Keep other processes from training or adapting the model in `folder`, the model folder: see `writing`.

    `command` is the name of this one. Raises BusyError if another process holds the lock.
    """
    if not is_main_process():
        yield
        return
    with writing(ModelFolder(folder).run, command):
        yield


def identity(
    recipe: Sections,
    data: Dataset[Any],
    validation: Sequence[Example],
    tokenizer: Any,
    teacher: LoadedModel | None = None,
) -> dict[str, Any]:
    """Return the settings and data that must not change between a run and its resumption, as plain JSON.

    `validation` are the validation examples that `Task.fit` returned, `tokenizer` is a fast Hugging Face tokenizer,
    `teacher` the model of train.distill_from.
    """
    settings = {name: value for name, value in asdict(recipe.train).items() if name not in _MAY_CHANGE}
    return {
        "task": recipe.task,
        "base": recipe.base,
        "training data": data.sha256,
        "validation data": fingerprint(validation, data.labels or None),
        "processes": process_count(),
        **{f"train.{name}": value for name, value in settings.items()},
        **{f"data.{name}": getattr(recipe.data, name) for name in _MODEL_INPUT_SETTINGS},
        "teacher": None if teacher is None else weights_sha256(teacher.model),
        "tokenizer": sha256(tokenizer_text(tokenizer).encode()).hexdigest(),
    }


def environment() -> dict[str, Any]:
    """Return the run's peak memory, hardware and package versions, as plain JSON."""
    return {
        "peak_memory_mb": peak_memory_mb(),
        "device": device_name(),
        "threads": torch.get_num_threads(),
        "processes": process_count(),
        "versions": {name: version(name) for name in ("ftool", "torch", "transformers")},
    }


def training_summary(
    first: Mapping[str, Any],
    tuned: Mapping[str, Any] | None,
    *,
    initial_weights: str,
    examples: int,
    seconds: float,
) -> dict[str, Any]:
    """Return a summary of the training for metrics.json: results of its stages, weights that were kept, time, memory.

    Args:
        first: the results of `Objective.first_stage`.
        tuned: the results of `finetune`; None without fine-tuning.
        initial_weights: a description of the initial weights.
        examples: the number of training examples.
        seconds: the duration of the whole training, including evaluation.
    """
    kept = initial_weights
    if tuned is None:
        speed = examples / first["head"]["seconds"]
    else:
        kept += ", which fine-tuning did not beat"
        if tuned["best_step"] > 0:
            kept = f"update {tuned['best_step']} of {tuned['updates']}"
        speed = tuned["examples_seen"] / tuned["seconds"]
    return {
        "kept": kept,
        **first,
        "fine_tuning": tuned,
        "seconds": seconds,
        "examples_per_second": speed,
        **environment(),
    }


def untrained_summary(origin: str, *, examples: int, seconds: float) -> dict[str, Any]:
    """Return the summary for metrics.json of a model that was not trained but has the weights of `origin`."""
    return {
        "kept": f"the weights of {origin}",
        "fine_tuning": None,
        "seconds": seconds,
        "examples_per_second": examples / seconds,
        **environment(),
    }


def prepare(recipe: Sections) -> None:
    """Set threads and random seeds.

    Raises TrainingError if the recipe asks for bf16 on a device without bf16, and RuntimeMissingError if the package of
    an experiment tracker is not installed.
    """
    check_trackers(recipe.train.trackers)
    use_threads(recipe.train.threads)
    use_bf16(recipe.train.bf16)
    set_seed(recipe.train.seed)


def keep_run(folder: Path, report: TrainReport, save: Callable[[Path], None]) -> None:
    """Replace the model folder's run/ with metrics.json and the files that `save` writes; delete the checkpoints.

    Only the main process does this. Raises TrainingError if the disk is full; the old run/ then stays.
    """
    if not is_main_process():
        return
    with replacing_folder(ModelFolder(folder).run, TRAIN) as run, quiet_transformers():  # a bar for each file
        save(run)
        write_metrics(run, report.to_json())
    checkpoints.discard(partial_folder(folder))


def write_metrics(run: Path, report: dict[str, Any]) -> None:
    """Write metrics.json into the checkpoint folder `run`."""
    text = json.dumps(report, ensure_ascii=False, indent=2, allow_nan=False)
    (run / METRICS_FILE).write_text(text + "\n", encoding="utf-8")
