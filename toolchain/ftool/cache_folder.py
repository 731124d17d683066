"""Folder of ftool's caches."""

import os
import sys
from pathlib import Path


def cache_folder(kind: str = "features") -> Path:
    """The folder for cached `kind`s ("features", "bundles"): in $FTOOL_CACHE, or in the user's cache folder."""
    if own := os.environ.get("FTOOL_CACHE"):
        return Path(own) / kind
    if sys.platform == "win32":
        root = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "ftool" / kind
