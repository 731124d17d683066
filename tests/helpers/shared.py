"""Build what is slow once for all pytest-xdist workers of a run."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

Build = Callable[[Path], None]
BuiltOnce = Callable[[str, Build], Path]


def built_once(factory: pytest.TempPathFactory) -> BuiltOnce:
    """Return a function that builds a folder on its first call for a name, in whichever worker that comes.

    The folder is shared: a test that changes it copies it first. If `build` raises, nothing is left, and the next call
    tries again.
    """
    base = factory.getbasetemp()
    in_worker = base.name.startswith("popen-")
    shared = (base.parent if in_worker else base) / "shared"

    def once(name: str, build: Build) -> Path:
        from filelock import FileLock  # not installed where only the runtime is

        folder = shared / name
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not folder.exists():
                draft = folder.with_name(f"{folder.name}.draft")
                shutil.rmtree(draft, ignore_errors=True)
                draft.mkdir()
                build(draft)
                draft.rename(folder)
        return folder

    return once
