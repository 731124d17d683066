"""PyInstaller's entry point: where the hook of this package is."""

from pathlib import Path


def hook_dirs() -> list[str]:
    """Return the folder of `hook-ftool_runtime.py`, which PyInstaller reads when an app imports ftool_runtime."""
    return [str(Path(__file__).parent)]
