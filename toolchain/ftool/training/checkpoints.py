"""Manage Trainer's checkpoints of an unfinished run, so that the run can be resumed."""

import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerState, TrainingArguments

from ftool.errors import TrainingError
from ftool_runtime.atomic import replacing

log = logging.getLogger(__name__)

_COMPLETE = "complete"  # a file that is written last, so that an interrupted save is recognised
_SETTINGS = "settings.json"


class MarkComplete(TrainerCallback):  # type: ignore[misc]
    """A Trainer callback that marks each checkpoint as complete once it is fully written, and deletes older ones.

    Only then: Trainer itself would delete the last complete checkpoint before the new one is marked. The best one and
    the last one stay.
    """

    def on_save(self, args: TrainingArguments, state: TrainerState, *_: Any, **__: Any) -> None:
        """Create the file that marks a checkpoint as complete; Trainer calls this after saving the checkpoint."""
        if not state.is_world_process_zero:
            return
        last = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        (last / _COMPLETE).touch()
        kept = {last.name, Path(state.best_model_checkpoint or last).name}
        for path in last.parent.glob("checkpoint-*"):
            if path.name not in kept:
                shutil.rmtree(path)


def begin(folder: Path, settings: dict[str, Any]) -> None:
    """Empty `folder` and record `settings` there, for a new run."""
    if any(folder.glob(f"checkpoint-*/{_COMPLETE}")):
        log.warning("%s: an interrupted run is discarded; --resume would have continued it", folder)
    discard(folder)
    folder.mkdir(parents=True)
    with replacing(folder / _SETTINGS) as file:
        file.write(_dump(settings))


@contextmanager
def discard_unless_resumable(folder: Path) -> Iterator[None]:
    """Remove `folder` if the block raises before any checkpoint is complete, because the run can't be resumed then."""
    try:
        yield
    except BaseException:
        if not any(folder.glob(f"checkpoint-*/{_COMPLETE}")):
            discard(folder)
        raise


def discard(folder: Path) -> None:
    """Remove the folder with a run's checkpoints; the settings first, so that nothing half deleted is resumed."""
    with suppress(OSError):
        (folder / _SETTINGS).unlink()
    shutil.rmtree(folder, ignore_errors=True)


def resume(folder: Path, settings: dict[str, Any]) -> Path | None:
    """Return the latest complete checkpoint in `folder`; None if no checkpoint was completed.

    Raises TrainingError if `folder` holds no interrupted run, or if the settings of that run are unreadable or differ
    from `settings`.
    """
    try:
        before = json.loads((folder / _SETTINGS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TrainingError(f"{folder}: no interrupted run to resume; start one without --resume") from None
    except ValueError:
        raise TrainingError(f"{folder / _SETTINGS} is damaged; start again without --resume") from None
    now = json.loads(_dump(settings))
    changed = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    if changed:
        name = changed[0]
        raise TrainingError(
            f"{folder}: the interrupted run had {name} = {before.get(name)!r}, now it is {now.get(name)!r}; "
            "restore the setting, or start again without --resume"
        )
    return _latest(folder)


def _latest(folder: Path) -> Path | None:
    complete = [path.parent for path in folder.glob(f"checkpoint-*/{_COMPLETE}")]
    if not complete:
        return None
    latest = max(complete, key=_step)
    for path in folder.glob("checkpoint-*"):
        if path not in complete:
            shutil.rmtree(path)
    _update_best_path(latest)
    return latest


def _update_best_path(checkpoint: Path) -> None:
    """Correct the path of the best checkpoint in the state of `checkpoint`, in case the model folder was moved."""
    path = checkpoint / "trainer_state.json"
    state = json.loads(path.read_text(encoding="utf-8"))
    best = state.get("best_model_checkpoint")
    if best:
        state["best_model_checkpoint"] = str(checkpoint.parent / Path(best).name)
        with replacing(path) as file:
            file.write(json.dumps(state, indent=2) + "\n")


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def _dump(settings: dict[str, Any]) -> str:
    return json.dumps(settings, indent=2, sort_keys=True) + "\n"
