"""Taggers: encoders that find entities in texts."""

from ftool_export.tagger.checkpoint import LoadedTagger, create_tagger, load_tagger, save_tagger
from ftool_export.tagger.examples import TaggingExamples
from ftool_export.tagger.network import TokenTagger
from ftool_export.tagger.windows import make_windows

__all__ = [
    "LoadedTagger",
    "TaggingExamples",
    "TokenTagger",
    "create_tagger",
    "load_tagger",
    "make_windows",
    "save_tagger",
]
