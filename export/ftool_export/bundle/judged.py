"""Open a bundle as the export's gate and `ftool parity` judge it, and copies of a bundle with other graphs."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import onnx_ir as ir

import ftool_runtime as ft
from ftool_export.bundle.writer import GRAPH_FILES, Draft, write_model
from ftool_export.graph.half_arithmetic import imitate_half
from ftool_export.passes.half_floats import has_half_floats
from ftool_export.temporary import temporary_folder
from ftool_runtime.bundle.manifest import Manifest

Models = Mapping[str, ir.Model]  # "model" of encoders, "encoder" and "decoder" of generators

DEVICE: Final = "cpu"  # where bundles are judged, whatever device they are for


@contextmanager
def judged_model(bundle: Path, manifest: Manifest) -> Iterator[Any]:
    """Yield the bundle, loaded by the runtime on the CPU.

    The CPU would run a graph in float16 in float32, so a copy of the bundle is loaded instead, whose graph rounds to
    float16 after every operator: see `imitate_half`.
    """
    graphs = stored_graphs(bundle, manifest)
    if not any(has_half_floats(model.graph) for model in graphs.values()):
        with ft.load(bundle, device=DEVICE) as model:
            yield model
        return
    imitated = {name: imitate_half(model) for name, model in graphs.items()}
    with as_bundle(imitated, bundle, manifest) as folder, ft.load(folder, device=DEVICE) as model:
        yield model


def stored_graphs(bundle: Path, manifest: Manifest) -> Models:
    """Return the graphs of a bundle, by name: "model", or "encoder" and "decoder"."""
    names = ("model",) if manifest.generation is None else ("encoder", "decoder")
    files = {name: GRAPH_FILES[name] for name in names}
    return {name: ir.load(bundle / file) for name, file in files.items() if file in manifest.files}


@contextmanager
def as_bundle(graphs: Models, bundle: Path, manifest: Manifest) -> Iterator[Path]:
    """Yield the folder of a temporary copy of `bundle` in which `graphs` replace the bundle's own."""
    with temporary_folder() as folder:
        for file in manifest.files:
            if not any(file.startswith(GRAPH_FILES[graph]) for graph in graphs):
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(bundle / file, folder / file)
        for name, model in graphs.items():
            write_model(model, folder, GRAPH_FILES[name])
        Draft(folder).write_manifest(manifest)
        yield folder
