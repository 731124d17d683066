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
    from ftool_runtime.bundle.generation_golden import GenerationGolden
    from ftool_runtime.bundle.manifest import Manifest
    from ftool_runtime.bundle.verify import VerifyReport, verify
    from ftool_runtime.decoding.config import GenerationConfig
    from ftool_runtime.decoding.results import GeneratedRow, Generation, LongGeneration
    from ftool_runtime.decoding.stream import TextStream
    from ftool_runtime.loading import load
    from ftool_runtime.models.chat_session import ChatSession
    from ftool_runtime.models.classifier import Classification, LabelScore, Score, TextClassifier
    from ftool_runtime.models.embedder import Embedder, Embedding
    from ftool_runtime.models.reader import Answer, Candidate, Reader
    from ftool_runtime.models.seq2seq_generator import Seq2SeqGenerator
    from ftool_runtime.models.tagger import Entities, TokenTagger
    from ftool_runtime.models.text_generator import TextGenerator
    from ftool_runtime.postprocessing.entities import Entity
    from ftool_runtime.tools.bench import BenchReport, bench
    from ftool_runtime.tools.generation_bench import GenerationBenchReport

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
    "Answer": "ftool_runtime.models.reader",
    "BenchReport": "ftool_runtime.tools.bench",
    "Candidate": "ftool_runtime.models.reader",
    "ChatSession": "ftool_runtime.models.chat_session",
    "Classification": "ftool_runtime.models.classification",
    "Embedder": "ftool_runtime.models.embedder",
    "Embedding": "ftool_runtime.models.embedder",
    "Entities": "ftool_runtime.models.tagger",
    "Entity": "ftool_runtime.postprocessing.entities",
    "GeneratedRow": "ftool_runtime.decoding.results",
    "Generation": "ftool_runtime.decoding.results",
    "GenerationBenchReport": "ftool_runtime.tools.generation_bench",
    "GenerationConfig": "ftool_runtime.decoding.config",
    "GenerationGolden": "ftool_runtime.bundle.generation_golden",
    "LabelScore": "ftool_runtime.models.classification",
    "LongGeneration": "ftool_runtime.decoding.results",
    "Manifest": "ftool_runtime.bundle.manifest",
    "Reader": "ftool_runtime.models.reader",
    "Score": "ftool_runtime.models.classification",
    "Seq2SeqGenerator": "ftool_runtime.models.seq2seq_generator",
    "TextClassifier": "ftool_runtime.models.classifier",
    "TextGenerator": "ftool_runtime.models.text_generator",
    "TextStream": "ftool_runtime.decoding.stream",
    "TokenTagger": "ftool_runtime.models.tagger",
    "VerifyReport": "ftool_runtime.bundle.verify",
    "bench": "ftool_runtime.tools.bench",
    "load": "ftool_runtime.loading",
    "verify": "ftool_runtime.bundle.verify",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LATER[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
