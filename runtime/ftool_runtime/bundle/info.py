"""`describe`: summarise a loaded model for `info()`."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.session.onnx_session import SessionSettings


class Loaded(Protocol):
    """The attributes that the engines of encoders and generators share."""

    manifest: Manifest
    settings: SessionSettings
    device: Any


def describe(folder: Path, engine: Loaded) -> dict[str, Any]:
    """Return a summary of the manifest, the device and the settings, as JSON values.

    Fields that do not apply to the model's task are left out.
    """
    manifest = engine.manifest
    contracts = {name: getattr(manifest, name) for name in ("questions", "entities", "embedding")}
    return {
        "bundle": str(folder),
        "name": manifest.name,
        "task": manifest.task,
        "architecture": manifest.architecture,
        "base": manifest.base,
        "licence": manifest.licence,
        **_labels(manifest),
        "max_length": manifest.input.max_length,
        **_generation(manifest),
        **{name: asdict(contract) for name, contract in contracts.items() if contract is not None},
        "precision": manifest.precision.name,
        **_embedding_bits(manifest),
        "attention": manifest.attention,
        "bytes": manifest.total_bytes,
        "device": engine.device,
        "threads": engine.settings.threads,
        "profile": engine.settings.profile,
        "evidence": dict(manifest.evidence),
        "created": manifest.created,
        "versions": {"ftool": manifest.ftool, **installed_versions()},
    }


def _labels(manifest: Manifest) -> dict[str, Any]:
    if not manifest.has_labels:
        return {"numbers": list(manifest.labels)} if manifest.labels else {}
    return {
        "labels": list(manifest.labels),
        "multi_label": manifest.multi_label,
        "thresholds": list(manifest.thresholds) if manifest.thresholds is not None else None,
        "none_below": manifest.none_below,
    }


def _embedding_bits(manifest: Manifest) -> dict[str, Any]:
    precision = manifest.precision
    return {} if precision.name == "fp32" else {"embedding_bits": precision.embedding_bits}


def _generation(manifest: Manifest) -> dict[str, Any]:
    generation = manifest.generation
    if generation is None:
        return {}
    values = {
        "family": generation.family,
        "caches": generation.caches,
        "max_length": generation.max_length,
        "languages": generation.languages and generation.languages.known(),
    }
    return {"generation": values}


def installed_versions() -> dict[str, str]:
    """Return the versions of Python and of the imported packages that compute answers."""
    versions = {"python": sys.version.split()[0]}
    for package in ("ftool_runtime", "onnxruntime", "numpy", "tokenizers"):
        module = sys.modules.get(package)  # not the packages' metadata, which frozen apps may lack
        if module is not None:
            versions[package.replace("_", "-")] = module.__version__
    return versions
