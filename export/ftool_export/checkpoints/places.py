"""The place of a checkpoint, a folder or hub id: say at once if nothing is there, or if no checkpoint is."""

import logging
import os
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Literal

from huggingface_hub import constants, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)
from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

from ftool_export.errors import CheckpointError
from ftool_runtime.bundle.paths import MANIFEST_FILE

log = logging.getLogger(__name__)

_CONFIG = "config.json"
ADAPTER_FILE = "adapter_config.json"
_GIVE = "give a checkpoint folder or a hub id (owner/name)"
_WEIGHTS = ("*.safetensors", "*.safetensors.index.json", "pytorch_model*.bin")
_OF_MODELS = ("model*.safetensors", "model*.safetensors.index.json", "pytorch_model*.bin")  # not of adapters
_READ = (".json", ".safetensors", ".model", ".txt")  # endings of files that may be read
_LFS = b"version https://git-lfs"  # how a file begins that Git LFS put in the place of a large one
_OTHER_FORMATS = {"onnx": "ONNX", "gguf": "GGUF", "tflite": "TensorFlow Lite", "mlmodel": "Core ML"}


def require_place(source: str) -> None:
    """Raise CheckpointError if `source` is neither a folder nor the id of a model in the hub or in the hub's cache.

    The hub is asked once, without retries, and only for an id that its cache lacks.
    """
    try:
        if source and Path(source).is_dir():
            return
        if source and Path(source).exists():
            raise CheckpointError(_what_the_file_is(Path(source)))
    except PermissionError as error:
        raise CheckpointError(_forbidden(error.filename)) from error
    try:
        _require_on_hub(source)
    except HFValidationError:
        raise CheckpointError(f"{source or repr(source)}: no such folder; {_GIVE}") from None


def require_checkpoint(source: str) -> None:
    """Raise CheckpointError if `source` is missing (see `require_place`) or a folder that holds no checkpoint."""
    require_place(source)
    folder = Path(source)
    if not folder.is_dir():
        return
    _require_access(folder)
    if (folder / MANIFEST_FILE).is_file():
        raise CheckpointError(
            f"{source}: an ftool bundle, which was exported already; run it with `ftool predict {source}`, or give the "
            "checkpoint that it was made from (the run/ folder)"
        )
    weights = any(path for pattern in _WEIGHTS for path in folder.glob(pattern))
    for ending, name in _OTHER_FORMATS.items():
        if not weights and (found := sorted([*folder.glob(f"*.{ending}"), *folder.glob(f"*/*.{ending}")])):
            raise CheckpointError(
                f"{source}: holds a model in {name} format ({found[0].relative_to(folder)}) and no PyTorch weights; "
                f"give the checkpoint that it was made from (config.json and model.safetensors)"
            )
    if not (folder / _CONFIG).is_file() and not is_adapter(source):
        raise CheckpointError(f"{source}: {_without_config(folder)}")


def is_adapter(source: str) -> bool:
    """Whether a folder or hub id holds an adapter (LoRA and its kind): its weights, or its settings and no model."""
    folder = Path(source)
    if source and folder.is_dir():
        weights = any(path for pattern in _OF_MODELS for path in folder.glob(pattern))
        own = any(folder.glob("adapter_model.*"))
        return (folder / ADAPTER_FILE).is_file() and (own or not weights)
    return _in_cache(source, ADAPTER_FILE)


def _require_access(folder: Path) -> None:
    """Raise CheckpointError if this user can't read the folder or a file in it, or Git LFS did not fetch a file."""
    if not os.access(folder, os.R_OK | os.X_OK):
        raise CheckpointError(_forbidden(folder))
    for path in sorted([*folder.glob("*"), *folder.glob("*/*")]):
        if path.suffix in _READ and not os.access(path, os.R_OK):
            if path.is_symlink() and not path.exists():
                raise CheckpointError(f"{path}: a link to a file that is missing; fetch the checkpoint again")
            raise CheckpointError(_forbidden(path))
        if path.suffix in _READ and path.is_file() and _is_lfs_pointer(path):
            raise CheckpointError(
                f"{path}: not the file itself, but its Git LFS pointer; fetch the file: git lfs install; git lfs pull"
            )


def _is_lfs_pointer(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_LFS)) == _LFS


def _forbidden(path: object) -> str:
    return (
        f"{path}: this user may not read it (permission denied); its owner can allow that: chmod a+rX {path}"
    )


def _what_the_file_is(path: Path) -> str:
    name = _OTHER_FORMATS.get(path.suffix.removeprefix(".").casefold())
    if name is not None:
        return (
            f"{path}: a model in {name} format, but an export starts from a PyTorch checkpoint; give the folder of the "
            "checkpoint that it was made from (config.json and model.safetensors)"
        )
    return f"{path}: a file; give the folder of the checkpoint, which holds config.json and model.safetensors"


def _without_config(folder: Path) -> str:
    """Return what a folder without config.json is instead of a checkpoint, and what to give."""
    models = [
        path
        for path in folder.glob(f"*/{_CONFIG}")
        if "model_type" in path.read_text(errors="replace") and not (path.parent / MANIFEST_FILE).is_file()
    ] or list(folder.glob(f"*/{ADAPTER_FILE}"))
    inside = sorted(path.parent.name for path in models)
    newest = max(inside, key=lambda name: (_step(name), name), default=None)
    if newest is not None:
        named = ", ".join(inside[:6])
        return f"no checkpoint in the folder itself, but in {named}; give one of these, such as {folder / newest}"
    found = sorted(path.name for path in folder.iterdir())
    return f"no {_CONFIG} in the folder, which holds {', '.join(found[:6]) or 'nothing'}; {_GIVE}"


def _step(name: str) -> int:
    """Return N for a Trainer's folder "checkpoint-N", and -1 for other names."""
    number = name.removeprefix("checkpoint-")
    return int(number) if number.isdecimal() else -1


def go_offline_if_unreachable(source: str, kind: Literal["model", "dataset"] = "model") -> bool:
    """Read files from the hub's cache only, for the rest of the process, if the hub can't be reached.

    Otherwise huggingface_hub would try again for each file for half a minute. `source` is the id that the hub is asked
    for, once. Returns whether the process is now offline.
    """
    if not constants.HF_HUB_OFFLINE:
        try:
            with tempfile.TemporaryDirectory() as empty:
                snapshot_download(source, repo_type=kind, cache_dir=empty, allow_patterns=[])
        except HfHubHTTPError:
            pass
        except LocalEntryNotFoundError:
            log.warning("%s: the hub can't be reached, so only its cache is used", source)
            constants.HF_HUB_OFFLINE = True
    return constants.HF_HUB_OFFLINE


def _in_cache(source: str, name: str) -> bool:
    return isinstance(try_to_load_from_cache(source, name), str)


@lru_cache(maxsize=64)
def _require_on_hub(source: str) -> None:
    if _in_cache(source, _CONFIG) or _in_cache(source, ADAPTER_FILE):
        go_offline_if_unreachable(source)
        return
    shown = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        snapshot_download(source, allow_patterns=[_CONFIG, ADAPTER_FILE])
    except LocalEntryNotFoundError as error:
        raise CheckpointError(
            f"{source}: no such folder, not in the hub's cache, and the hub can't be reached. To work offline, run `hf "
            f"download {source}` where there is a network, and copy its cache here, or a folder made with --local-dir; "
            "then set HF_HUB_OFFLINE=1"
        ) from error
    except GatedRepoError:  # reading the configuration says so
        return
    except RepositoryNotFoundError as error:
        raise CheckpointError(
            f"{source}: no such folder, and the hub has no such model, or keeps it private; check the name, or log in "
            "with `hf auth login`"
        ) from error
    except HfHubHTTPError:
        return
    finally:
        if shown:
            enable_progress_bars()
