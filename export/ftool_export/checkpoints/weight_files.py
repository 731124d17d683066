"""The files that hold a checkpoint's weights: what is in them, and why there is nothing to read."""

from pathlib import Path, PurePath
from typing import Any

from safetensors import SafetensorError, safe_open

from ftool_export.checkpoints.files import find_file, first_line, read_json
from ftool_export.errors import CheckpointError

_FILE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_PICKLED = (".bin", ".pt", ".pth", ".ckpt")
_WITHOUT_WEIGHTS = ("training_args", "optimizer", "scheduler", "scaler", "rng_state", "openvino")
_OF_FRAMEWORKS = {"tf_model.h5": "TensorFlow", "flax_model.msgpack": "Flax"}


def stored_kinds(source: str) -> dict[str, str]:
    """Return the kind of number of each weight in a checkpoint's safetensors files, such as "F32", by its name."""
    kinds: dict[str, str] = {}
    for path in weight_paths(source):
        with safe_open(path, framework="pt") as file:
            kinds |= {name: str(file.get_slice(name).get_dtype()) for name in file.keys()}  # noqa: SIM118
    return kinds


def why_unreadable(source: str, error: Exception) -> str:
    """Return why the weights of `source` could not be read, and what to do, for an error message."""
    names = [path.name for path in _beside_config(source)]
    pieces = [name for name in names if name.endswith(".safetensors")]
    pickled = [n for n in names if n.endswith(_PICKLED) and not n.startswith(_WITHOUT_WEIGHTS)]
    other = [name for name in names if name in _OF_FRAMEWORKS]
    if not isinstance(error, SafetensorError) and not {_FILE, _INDEX} & {*names}:
        if any(name.startswith("model-") for name in pieces):
            return f"{_INDEX} is missing, which says what is in {_some(pieces)}; fetch or write the checkpoint again"
        if pieces:
            return f"there is no {_FILE}; if {_some(pieces)} holds the model, give the file that name"
        if pickled:
            return (
                f"its weights are pickled ({_some(pickled)}), and unpickling them can run code; save the model again "
                "as safetensors: from_pretrained(FOLDER).save_pretrained(FOLDER) (its class in transformers)"
            )
        if other:
            return (
                f"its weights are those of {_OF_FRAMEWORKS[other[0]]} ({other[0]}); save the model as safetensors with "
                "a release of transformers that reads them"
            )
    return (
        f"model.safetensors could not be read ({first_line(error)}); fetch or write the checkpoint again (other weight "
        "files are not read, because unpickling them can run code)"
    )


def _beside_config(source: str) -> list[Path]:
    config = find_file(source, "config.json")
    return [] if config is None else sorted(config.parent.iterdir())


def _some(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def weight_paths(source: str) -> list[Path]:
    """Return the safetensors files of a checkpoint. Raises CheckpointError if the index that lists them is damaged."""
    index = None if (whole := find_file(source, _FILE)) else read_json(source, _INDEX)
    names = [] if index is None else _listed(source, index)
    parts = [find_file(source, name) for name in names]
    return [path for path in (whole, *parts) if path is not None]


def _listed(source: str, index: Any) -> list[str]:
    """Return the names of files in an index of weights: files beside the index, or below it."""
    files = index.get("weight_map") if isinstance(index, dict) else None
    names = files.values() if isinstance(files, dict) else [None]
    for name in names:
        if not isinstance(name, str) or PurePath(name).is_absolute() or ".." in PurePath(name).parts:
            raise CheckpointError(
                f"{source}: {_INDEX} names no file of the checkpoint for each weight, but {str(name)[:60]!r}; fetch or "
                "write the checkpoint again"
            )
    return sorted(set(names))
