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

if TYPE_CHECKING:
    from ftool_runtime.entities import Entity
    from ftool_runtime.generation.answers import GeneratedRow, Generation, LongGeneration
    from ftool_runtime.generation.config import GenerationConfig
    from ftool_runtime.generation.golden import GenerationGolden
    from ftool_runtime.generation.stream import TextStream
    from ftool_runtime.generation_timing import GenerationBenchReport
    from ftool_runtime.loading import load
    from ftool_runtime.manifest import Manifest
    from ftool_runtime.tasks import (
        Answer,
        Candidate,
        Classification,
        Embedder,
        Embedding,
        Entities,
        LabelScore,
        Reader,
        Score,
        Seq2SeqGenerator,
        TextClassifier,
        TextGenerator,
        TokenTagger,
    )
    from ftool_runtime.tasks.chat import ChatSession
    from ftool_runtime.timing import BenchReport, bench
    from ftool_runtime.verifying import VerifyReport, verify

__version__ = "0.1.0"

__all__ = [
    "Answer",
    "BenchReport",
    "BundleError",
    "Candidate",
    "ChatSession",
    "Classification",
    "ClosedError",
    "DeviceError",
    "Embedder",
    "Embedding",
    "Entities",
    "Entity",
    "FtoolError",
    "GeneratedRow",
    "Generation",
    "GenerationBenchReport",
    "GenerationConfig",
    "GenerationGolden",
    "InputError",
    "LabelScore",
    "LongGeneration",
    "Manifest",
    "OtherProcessError",
    "Reader",
    "RuntimeMissingError",
    "Score",
    "Seq2SeqGenerator",
    "TextClassifier",
    "TextGenerator",
    "TextStream",
    "TokenTagger",
    "VerifyReport",
    "__version__",
    "bench",
    "load",
    "verify",
]

# Imported when first asked for: an app imports this package when it starts, and loads a model when it needs one.
_LATER = {
    "Answer": "ftool_runtime.tasks",
    "BenchReport": "ftool_runtime.timing",
    "Candidate": "ftool_runtime.tasks",
    "ChatSession": "ftool_runtime.tasks.chat",
    "Classification": "ftool_runtime.tasks",
    "Embedder": "ftool_runtime.tasks",
    "Embedding": "ftool_runtime.tasks",
    "Entities": "ftool_runtime.tasks",
    "Entity": "ftool_runtime.entities",
    "GeneratedRow": "ftool_runtime.generation.answers",
    "Generation": "ftool_runtime.generation.answers",
    "GenerationBenchReport": "ftool_runtime.generation_timing",
    "GenerationConfig": "ftool_runtime.generation.config",
    "GenerationGolden": "ftool_runtime.generation.golden",
    "LabelScore": "ftool_runtime.tasks",
    "LongGeneration": "ftool_runtime.generation.answers",
    "Manifest": "ftool_runtime.manifest",
    "Reader": "ftool_runtime.tasks",
    "Score": "ftool_runtime.tasks",
    "Seq2SeqGenerator": "ftool_runtime.tasks",
    "TextClassifier": "ftool_runtime.tasks",
    "TextGenerator": "ftool_runtime.tasks",
    "TextStream": "ftool_runtime.generation.stream",
    "TokenTagger": "ftool_runtime.tasks",
    "VerifyReport": "ftool_runtime.verifying",
    "bench": "ftool_runtime.timing",
    "load": "ftool_runtime.loading",
    "verify": "ftool_runtime.verifying",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LATER[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
