"""What a loaded model tells about itself."""

import importlib.metadata
import sys
from pathlib import Path
from typing import Any

from ftool_runtime.engine import Engine


def describe(folder: Path, engine: Engine) -> dict[str, Any]:
    """The bundle's manifest in short, and where and how it runs, as JSON values."""
    manifest = engine.manifest
    return {
        "bundle": str(folder),
        "name": manifest.name,
        "task": manifest.task,
        "architecture": manifest.architecture,
        "base": manifest.base,
        "licence": manifest.licence,
        "labels": list(manifest.labels),
        "multi_label": manifest.multi_label,
        "thresholds": list(manifest.thresholds) if manifest.thresholds is not None else None,
        "max_length": manifest.input.max_length,
        "precision": manifest.precision.name,
        "attention": manifest.attention,
        "bytes": sum(record.bytes for record in manifest.files.values()),
        "device": engine.device,
        "threads": engine.settings.threads,
        "profile": engine.settings.profile,
        "evidence": dict(manifest.evidence),
        "created": manifest.created,
        "versions": {"ftool": manifest.ftool, **installed_versions()},
    }


def installed_versions() -> dict[str, str]:
    """Versions of Python and of the packages that do the work; onnxruntime's once it is imported."""
    versions = {"python": sys.version.split()[0]}
    for package in ("ftool-runtime", "numpy", "tokenizers"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:  # an app's freezer may leave the metadata out
            continue
    onnxruntime = sys.modules.get("onnxruntime")
    if onnxruntime is not None:
        versions["onnxruntime"] = onnxruntime.__version__
    return versions
