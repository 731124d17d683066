"""Readers: encoders that find the answer to a question in a context."""

from .checkpoint import LoadedReader, create_reader, load_reader, save_reader
from .examples import QuestionExamples
from .network import SpanReader
from .windows import make_windows

__all__ = [
    "LoadedReader",
    "QuestionExamples",
    "SpanReader",
    "create_reader",
    "load_reader",
    "make_windows",
    "save_reader",
]
