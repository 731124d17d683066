"""Defaults of `ask`, in a module that imports nothing, so that command lines can name them before they load numpy."""

from typing import Final

MODES: Final = ("bm25", "embeddings", "fused")
