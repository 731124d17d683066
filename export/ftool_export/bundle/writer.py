"""Writing a bundle: every file into a folder beside, checked there, then put in place in one step."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Final

import onnx_ir as ir

from ftool_export.bundle.disk import disk_errors
from ftool_export.bundle.folder_swap import replacing_folder
from ftool_export.errors import ExportError
from ftool_export.graph.session import model_bytes
from ftool_runtime.bundle.integrity import file_record
from ftool_runtime.bundle.manifest import FileRecord
from ftool_runtime.bundle.paths import MANIFEST_FILE, MODEL_FILE

_WEIGHTS_BESIDE: Final = 100_000_000  # bytes from which weights stand in a file of their own
_ALIGNMENT: Final = 4096  # bytes; so that the weights can be mapped into memory
_CARD_FILE: Final = "MODEL_CARD.md"
_VERSIONS: Final = ("torch", "transformers", "optimum", "onnx", "onnx-ir", "onnxruntime", "tokenizers")


def check_place(path: Path) -> None:
    """Raise ExportError where `path` holds something that is no bundle, which an export would replace."""
    if path.exists() and not (path / MANIFEST_FILE).is_file() and not _is_empty_folder(path):
        raise ExportError(
            f"{path} exists and is no bundle, so it is not replaced: move it or name another folder"
        )


@contextmanager
def new_bundle(path: Path) -> Iterator[Path]:
    """An empty folder that becomes the bundle at `path` when the block ends well.

    Raises:
        ExportError: `path` holds something that is no bundle, or the disk is full; what was there is untouched.
    """
    check_place(path)
    try:
        with replacing_folder(path) as folder, disk_errors(folder):
            yield folder
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ExportError(
            f"no space left on the disk of {path.absolute().parent}; what was there is untouched: free some and "
            "export again"
        ) from error


def write_model(model: ir.Model, folder: Path, name: str = MODEL_FILE) -> None:
    """Write the graph at `name`, with weights past 100 MB aligned in a file beside, `…_data`. Raises OSError."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if model_bytes(model) <= _WEIGHTS_BESIDE:
        ir.save(model, path)
    else:
        ir.save(model, path, external_data=f"{path.name}_data", alignment=_ALIGNMENT, align_threshold=0)


def package_versions() -> dict[str, str]:
    """The versions of what made the bundle, for its manifest."""
    return {name: version(name) for name in _VERSIONS}


def write_card(text: str, folder: Path) -> None:
    """Write `MODEL_CARD.md`. Raises OSError."""
    (folder / _CARD_FILE).write_text(text, encoding="utf-8")


def file_records(folder: Path) -> dict[str, FileRecord]:
    """Every file of a bundle but its manifest, by its POSIX path."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST_FILE)
    return {path.relative_to(folder).as_posix(): file_record(path) for path in paths}


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())
