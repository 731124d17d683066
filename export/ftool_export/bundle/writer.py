"""The draft of a bundle: files written into a folder beside, which takes the bundle's place in one step."""

import errno
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Final

import onnx_ir as ir

from ftool_export.bundle.card import model_card
from ftool_export.bundle.disk import disk_errors
from ftool_export.bundle.folder_swap import replacing_folder
from ftool_export.errors import ExportError
from ftool_export.graph.session import model_bytes
from ftool_runtime.bundle.integrity import file_record
from ftool_runtime.bundle.manifest import FileRecord, Manifest
from ftool_runtime.bundle.paths import DECODER_FILE, ENCODER_FILE, MANIFEST_FILE, MODEL_FILE

_WEIGHTS_BESIDE: Final = 100_000_000  # bytes from which weights are written to a file of their own
_ALIGNMENT: Final = 4096  # bytes; so that the weights can be mapped into memory
_CARD_FILE: Final = "MODEL_CARD.md"
GRAPH_FILES: Final = {"model": MODEL_FILE, "encoder": ENCODER_FILE, "decoder": DECODER_FILE}
_VERSIONS: Final = ("torch", "transformers", "optimum", "onnx", "onnx-ir", "onnxruntime", "tokenizers")


class Draft:
    """A bundle that is being written. `folder` can be loaded by the runtime after every `write_manifest`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._records: dict[str, FileRecord] = {}

    def write_graphs(self, models: Mapping[str, ir.Model]) -> None:
        """Write the graphs, by their names, in place of those that are there. Raises OSError."""
        for name in models:
            path = self.folder / GRAPH_FILES[name]
            shutil.rmtree(path.parent, ignore_errors=True)
        self._records = {
            path: record for path, record in self._records.items() if (self.folder / path).exists()
        }
        for name, model in models.items():
            write_model(model, self.folder, GRAPH_FILES[name])

    def write_manifest(self, manifest: Manifest) -> Manifest:
        """Write `manifest` with a record of every file; files that are new are hashed. Returns it. Raises OSError."""
        for path in sorted(self.folder.rglob("*")):
            name = path.relative_to(self.folder).as_posix()
            if path.is_file() and path.name != MANIFEST_FILE and name not in self._records:
                self._records[name] = file_record(path)
        complete = replace(manifest, files=dict(sorted(self._records.items())))
        complete.write(self.folder)
        return complete

    def finish(self, manifest: Manifest) -> Manifest:
        """Write the model card and the final manifest, and return it. Raises OSError."""
        (self.folder / _CARD_FILE).write_text(model_card(manifest), encoding="utf-8")
        return self.write_manifest(manifest)


def check_place(path: Path) -> None:
    """Raise ExportError if `path` holds something that is not a bundle, which an export would replace."""
    if path.exists() and not (path / MANIFEST_FILE).is_file() and not _is_empty_folder(path):
        raise ExportError(
            f"{path} exists and is not a bundle, so it is not replaced: move it or name another folder"
        )


@contextmanager
def new_bundle(path: Path) -> Iterator[Draft]:
    """A draft that becomes the bundle at `path` when the block ends without an exception.

    Raises:
        ExportError: `path` holds something that is not a bundle, or the disk is full; what was there is untouched.
    """
    check_place(path)
    try:
        with replacing_folder(path) as folder, disk_errors(folder):
            yield Draft(folder)
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
    """The versions of the packages that made the bundle, for its manifest."""
    return {name: version(name) for name in _VERSIONS}


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())
