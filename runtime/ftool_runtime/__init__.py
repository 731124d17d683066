"""Runs ftool bundles with onnxruntime, numpy and tokenizers alone.

import ftool_runtime as ft

model = ft.load("bundle")
model("make the screen brighter").label
"""

from typing import TYPE_CHECKING, Any

from ftool_runtime.errors import (
    BundleError,
    ClosedError,
    DeviceError,
    FtoolError,
    InputError,
    OtherProcessError,
    RuntimeMissingError,
)
from ftool_runtime.loading import load
from ftool_runtime.manifest import Manifest
from ftool_runtime.tasks import Classification, LabelScore, TextClassifier

if TYPE_CHECKING:
    from ftool_runtime.timing import BenchReport, bench
    from ftool_runtime.verifying import VerifyReport, verify

__version__ = "0.1.0"

__all__ = [
    "BenchReport",
    "BundleError",
    "Classification",
    "ClosedError",
    "DeviceError",
    "FtoolError",
    "InputError",
    "LabelScore",
    "Manifest",
    "OtherProcessError",
    "RuntimeMissingError",
    "TextClassifier",
    "VerifyReport",
    "__version__",
    "bench",
    "load",
    "verify",
]

# Imported when first asked for: an app that embeds a model needs neither, and starts sooner without.
_LATER = {
    "BenchReport": "ftool_runtime.timing",
    "VerifyReport": "ftool_runtime.verifying",
    "bench": "ftool_runtime.timing",
    "verify": "ftool_runtime.verifying",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LATER[name]), name)
