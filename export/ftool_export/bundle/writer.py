"""The draft of a bundle: files written into a temporary folder, which replaces the bundle's folder in one step."""

import errno
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, Final

import onnx_ir as ir

from ftool_export.bundle.card import model_card
from ftool_export.errors import ExportError
from ftool_export.graph.session import model_bytes
from ftool_runtime.bundle.integrity import check_hashes, file_record
from ftool_runtime.bundle.manifest import FileRecord, Manifest
from ftool_runtime.bundle.paths import DECODER_FILE, ENCODER_FILE, MANIFEST_FILE, MODEL_FILE
from ftool_runtime.folder_swap import replacing_folder

EXPORT: Final = "ftool export"  # the writer of a bundle, as others are told
_MAX_INLINE: Final = 1_000_000  # bytes; larger weights are written to a separate file (docs/adr/0016)
_ALIGNMENT: Final = 4096  # bytes; aligned weights can be mapped into memory
_CARD_FILE: Final = "README.md"  # the name under which the Hugging Face hub shows it
_FORMER_CARD: Final = "MODEL_CARD.md"  # in bundles of ftool 0.1.0
_CONFIG_FILE: Final = "config.json"
GRAPH_FILES: Final = {"model": MODEL_FILE, "encoder": ENCODER_FILE, "decoder": DECODER_FILE}
_VERSIONS: Final = ("torch", "transformers", "optimum", "onnx", "onnx-ir", "onnxruntime", "tokenizers")


class Draft:
    """A bundle that is being written to `folder`. After each `write_manifest` the runtime can load the bundle."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._records: dict[str, FileRecord] = {}

    def write_graphs(
        self, models: Mapping[str, ir.Model], weights: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """Write the graphs `models`, by name, replacing graphs written before.

        `weights` has, by the graph's name, the file for large weights, if it is not called as `write_model` calls it.
        Raises OSError.
        """
        for name in models:
            path = self.folder / GRAPH_FILES[name]
            shutil.rmtree(path.parent, ignore_errors=True)
        self._records = {
            path: record for path, record in self._records.items() if (self.folder / path).exists()
        }
        for name, model in models.items():
            write_model(model, self.folder, GRAPH_FILES[name], weights.get(name))

    def write_bytes(self, name: str, content: bytes) -> None:
        """Write the file `name`, replacing one that was written before. Raises OSError."""
        (self.folder / name).write_bytes(content)
        self._records.pop(name, None)

    def add_to_config(self, name: str, value: Any) -> None:
        """Set a field of config.json, which is in the draft already. Raises OSError."""
        path = self.folder / _CONFIG_FILE
        content = {**json.loads(path.read_text(encoding="utf-8")), name: value}
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        self._records.pop(_CONFIG_FILE, None)

    def write_manifest(self, manifest: Manifest) -> Manifest:
        """Write `manifest` with the size and hash of every file, and return the completed manifest. Raises OSError."""
        for path in sorted(self.folder.rglob("*")):
            name = path.relative_to(self.folder).as_posix()
            if path.is_file() and path.name != MANIFEST_FILE and name not in self._records:
                self._records[name] = file_record(path)
        complete = replace(manifest, files=dict(sorted(self._records.items())))
        complete.write(self.folder)
        return complete

    def finish(self, manifest: Manifest) -> Manifest:
        """Write the model card and the final manifest, and return the manifest. Raises OSError."""
        (self.folder / _CARD_FILE).write_text(model_card(manifest), encoding="utf-8")
        return self.write_manifest(manifest)


def check_place(path: Path) -> None:
    """Raise ExportError if `path` holds something other than a bundle, because an export would replace it."""
    if path.exists() and not (path / MANIFEST_FILE).is_file() and not _is_empty_folder(path):
        raise ExportError(
            f"{path} exists and is not a bundle, so it is not replaced: move it or name another folder"
        )


@contextmanager
def new_bundle(path: Path) -> Iterator[Draft]:
    """Yield a draft that becomes the bundle at `path` when the block ends without an exception.

    Raises:
        BusyError: another process writes to `path`.
        ExportError: `path` holds something other than a bundle, or the disk is full; `path` is unchanged then.
    """
    check_place(path)
    try:
        with replacing_folder(path, EXPORT) as folder:
            yield Draft(folder)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ExportError(
            f"no space left on the disk of {path.absolute().parent}; existing files are unchanged: free some space "
            "and export again"
        ) from error


def copy_bundle(
    source: Path, path: Path, *, evidence: Mapping[str, Any] | None = None, card: str | None = None
) -> Manifest:
    """Write a copy of the bundle in `source` to `path`, and return its manifest.

    `evidence` is added to its manifest, and `card` replaces its model card. All other files are the same, byte for
    byte.

    Raises:
        BundleError: a file of the bundle in `source` was altered; `path` is unchanged then.
        ExportError: `path` holds something other than a bundle, or the disk is full; `path` is unchanged then.
    """
    manifest = Manifest.read(source)
    with new_bundle(path) as draft:
        shutil.copytree(source, draft.folder, dirs_exist_ok=True)
        check_hashes(draft.folder, manifest)
        if card is not None:
            (draft.folder / _FORMER_CARD).unlink(missing_ok=True)
            (draft.folder / _CARD_FILE).write_text(card, encoding="utf-8")
        return draft.write_manifest(replace(manifest, evidence={**manifest.evidence, **(evidence or {})}))


def write_model(model: ir.Model, folder: Path, name: str = MODEL_FILE, weights: str | None = None) -> None:
    """Write a model to the file `name` in `folder`. Raises OSError.

    If the model is larger than 1 MB, its weights go to a second file in the same folder: `weights`, or if that is None,
    `name` followed by "_data".
    """
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if model_bytes(model) <= _MAX_INLINE:
        ir.save(model, path)
    else:
        ir.save(
            model,
            path,
            external_data=PurePosixPath(weights or f"{name}_data").name,
            alignment=_ALIGNMENT,
            align_threshold=0,
        )


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that are used to make a bundle, for the bundle's manifest."""
    return {name: version(name) for name in _VERSIONS}


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())
