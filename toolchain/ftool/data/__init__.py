"""Labelled texts from files, folders, the hub and the wheel, checked and split."""

from .load import load_dataset, load_split, load_texts
from .sources import find_tables
from .types import ClassificationData, DataError, Split

__all__ = [
    "ClassificationData",
    "DataError",
    "Split",
    "find_tables",
    "load_dataset",
    "load_split",
    "load_texts",
]
