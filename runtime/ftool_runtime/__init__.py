"""Runs ftool bundles with onnxruntime, numpy and tokenizers alone.

import ftool_runtime as ft

model = ft.load("bundle")
model("turn the lights off").label
"""

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
