"""Defaults of `ask`, in a module that imports nothing, so that command lines can name them before they load numpy."""

from typing import Final

MODES: Final = ("bm25", "embeddings", "fused")
# The lowest score of the best passage, in the mode "fused", with which `ask` answers: see docs/search.md.
MIN_SCORE: Final = 0.1
