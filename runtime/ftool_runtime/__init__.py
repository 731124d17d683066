"""Run ftool bundles with nothing but onnxruntime, numpy and tokenizers.

import ftool_runtime as ft

model = ft.TextClassifier.load("bundle")
model("make the screen brighter").label
"""

from typing import Any

from ftool_runtime.errors import (
    BundleError,
    ClosedError,
    DeviceError,
    FtoolError,
    InputError,
    LessonError,
    OtherProcessError,
    RuntimeMissingError,
    SignatureError,
    TimeLimitError,
)

__version__ = "0.1.0"

# The public names by module, imported on first use: an app imports this package when it starts and loads a model when
# it needs one. Type checkers read the same names in __init__.pyi.
_LATER = {
    "ftool_runtime.bundle.golden": ("GenerationGolden", "Golden"),
    "ftool_runtime.bundle.manifest": ("Manifest",),
    "ftool_runtime.bundle.verify": ("VerifyReport", "verify"),
    "ftool_runtime.decoding.config": ("GenerationConfig",),
    "ftool_runtime.decoding.results": ("GeneratedRow", "Generation", "LongGeneration"),
    "ftool_runtime.decoding.stream": ("TextStream",),
    "ftool_runtime.limits": ("Limits",),
    "ftool_runtime.loading": ("load",),
    "ftool_runtime.models.base": ("Model",),
    "ftool_runtime.models.chat_session": ("ChatSession",),
    "ftool_runtime.models.classifier": ("TextClassifier",),
    "ftool_runtime.models.embedder": ("Embedder", "Embedding"),
    "ftool_runtime.models.reader": ("Answer", "Candidate", "Reader"),
    "ftool_runtime.models.regressor": ("MultiRegressor", "TextRegressor"),
    "ftool_runtime.models.seq2seq_generator": ("Seq2SeqGenerator",),
    "ftool_runtime.models.tagger": ("Entities", "TokenTagger"),
    "ftool_runtime.models.text_generator": ("TextGenerator",),
    "ftool_runtime.postprocessing.entities": ("Entity",),
    "ftool_runtime.postprocessing.classification": ("Classification", "LabelScore", "Score", "Scores"),
    "ftool_runtime.teaching.lessons": ("Lesson",),
    "ftool_runtime.tools.bench": ("BenchReport", "GenerationBenchReport", "bench"),
}
_MODULE_OF = {name: module for module, names in _LATER.items() for name in names}
_ERRORS = (
    BundleError,
    ClosedError,
    DeviceError,
    FtoolError,
    InputError,
    LessonError,
    OtherProcessError,
    RuntimeMissingError,
    SignatureError,
    TimeLimitError,
)

__all__ = sorted([*_MODULE_OF, *(error.__name__ for error in _ERRORS), "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
