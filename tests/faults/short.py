"""A few faults of some commands, for pytest: one process for all, because torch's import takes seconds."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.paths import REPOSITORY

on_linux = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None, reason="needs Linux and a C compiler"
)


def tallies(place: Path, *commands: str, points: int, disks: int) -> dict[str, dict[str, Any]]:
    """Run the faults of `commands`, and return what happened to each."""
    chosen = [part for name in commands for part in ("--command", name)]
    numbers = ["--points", str(points), "--disks", str(disks), "--json", str(place / "found.json")]
    environment = {name: value for name, value in os.environ.items() if name != "FTOOL_CACHE"}
    run = subprocess.run(
        [sys.executable, "-m", "tests.faults", *numbers, *chosen],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (place / "found.json").is_file(), run.stderr
    found = json.loads((place / "found.json").read_text())["commands"]
    assert [one["command"] for one in found] == list(commands)
    return {one["command"]: one for one in found}
