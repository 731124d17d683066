"""Labelled texts, pairs of texts and conversations from files, folders, the hub and the wheel, checked and split."""

from .generation import Example, GenerationData, GenerationSplit, Message
from .load import load_dataset, load_split, load_texts
from .load_generation import load_generation_data, load_generation_split
from .sources import find_tables
from .types import ClassificationData, DataError, Split

__all__ = [
    "ClassificationData",
    "DataError",
    "Example",
    "GenerationData",
    "GenerationSplit",
    "Message",
    "Split",
    "find_tables",
    "load_dataset",
    "load_generation_data",
    "load_generation_split",
    "load_split",
    "load_texts",
]
