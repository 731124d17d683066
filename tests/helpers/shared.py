"""Build folders that take long to build only once for all pytest-xdist workers of a test run."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

Build = Callable[[Path], None]
BuiltOnce = Callable[[str, Build], Path]


def built_once(factory: pytest.TempPathFactory) -> BuiltOnce:
    """Return a function that takes a name and a function `build`, and returns a folder that all workers share.

    The first call for a name, in any worker, creates the folder with `build`; all later calls return the same folder. A
    test that changes files copies the folder first. If `build` raises an error, no folder is left, and the next call
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
