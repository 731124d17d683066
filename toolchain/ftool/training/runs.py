"""A training run under way, whatever the task: where its checkpoints stand, and what it may be resumed with."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from transformers import set_seed

from ftool.data.dataset import Dataset, fingerprint
from ftool.evaluation.results import TrainReport
from ftool.recipe.sections import Sections
from ftool.training import checkpoints
from ftool.training.distributed import is_main_process, main_process_first, process_count
from ftool.training.errors import TrainingError
from ftool.training.hardware import device_name, use_bf16, use_threads
from ftool.training.metrics_file import write_metrics
from ftool.workspace import ModelFolder
from ftool_export.bundle.disk import disk_errors
from ftool_export.bundle.folder_swap import replacing_folder
from ftool_runtime.session.memory_usage import peak_memory_mb


def partial_folder(folder: Path) -> Path:
    """Where the checkpoints of a run stand while it is under way, and after it was cut off."""
    return folder / "run.partial"


@contextmanager
def checkpointed(
    folder: Path, identity: dict[str, Any], *, resume: bool
) -> Iterator[tuple[Path, Path | None]]:
    """Where the checkpoints of a model folder's run go, and the one to resume from, if any.

    Raises TrainingError where another program trains in this folder, or there is nothing to resume.
    """
    partial, resume_from = partial_folder(folder), None
    with _alone(folder):
        with main_process_first():
            if resume:
                resume_from = checkpoints.resume(partial, identity)
            elif is_main_process():
                checkpoints.begin(partial, identity)
        with checkpoints.kept_if_resumable(partial):
            yield partial, resume_from


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other programs from training in `folder`; the system frees it however this one ends."""
    if not is_main_process():
        yield
        return
    lock = FileLock(folder / ".training.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise TrainingError(
            f"{folder}: another ftool train is under way here; wait for its end, or train in another folder"
        ) from None
    try:
        yield
    finally:
        with suppress(OSError):  # Windows deletes no open file
            Path(lock.lock_file).unlink()
        lock.release()


def identity(recipe: Sections, data: Dataset[Any]) -> dict[str, Any]:
    """What must be the same for a run to be resumed; `training` and `validation` are hashes of the data."""
    settings = {name: value for name, value in asdict(recipe.train).items() if name != "threads"}
    return {
        "task": recipe.task,
        "base": recipe.base,
        "training data": data.sha256,
        "validation data": fingerprint(data.validation.examples, data.labels or None),
        "processes": process_count(),
        **{f"train.{name}": value for name, value in settings.items()},
    }


def circumstances() -> dict[str, Any]:
    """What the run took and ran on, as metrics.json holds it."""
    return {
        "peak_memory_mb": peak_memory_mb(),
        "device": device_name(),
        "threads": torch.get_num_threads(),
        "processes": process_count(),
        "versions": {name: version(name) for name in ("ftool", "torch", "transformers")},
    }


def account(happened: dict[str, Any], *, seconds: float) -> dict[str, Any]:
    """How a fine-tuning went: which weights were kept, and what it took. `happened` is what its stage tells."""
    kept = "the weights it began with, which training did not beat"
    if happened["best_step"] > 0:
        kept = f"update {happened['best_step']} of {happened['updates']}"
    return {
        "kept": kept,
        "fine_tuning": happened,
        "seconds": seconds,  # of this call, evaluation included
        "examples_per_second": happened["examples_seen"] / happened["seconds"],
        **circumstances(),
    }


def prepare(recipe: Sections) -> None:
    """Settle threads, precision and random numbers. Raises TrainingError for bf16 where it is not to be had."""
    use_threads(recipe.train.threads)
    use_bf16(recipe.train.bf16)
    set_seed(recipe.train.seed)


def keep_run(folder: Path, report: TrainReport, save: Callable[[Path], None]) -> None:
    """Put what `save` writes, with metrics.json, in place of the model folder's run/, and drop its checkpoints.

    Of several processes one does. Raises TrainingError on a full disk; the old run/ then stays.
    """
    if not is_main_process():
        return
    with replacing_folder(ModelFolder(folder).run) as run, disk_errors(run):
        save(run)
        write_metrics(run, report.to_json())
    checkpoints.discard(partial_folder(folder))
