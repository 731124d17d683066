"""A few of the faults of `make test-faults`: after a kill, a full disk or a read-only folder no promise is broken."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.commands import COMMANDS
from tests.helpers.paths import REPOSITORY

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the shim is for Linux"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler"),
]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "command", [one.name for one in COMMANDS if one.name not in ("train, LoRA", "train, full")]
)
def test_no_promise_is_broken(command: str, tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    run = [sys.executable, "-m", "tests.faults", "--points", "2", "--disks", "1", "--command", command]
    environment = {name: value for name, value in os.environ.items() if name != "FTOOL_CACHE"}
    told = subprocess.run(
        [*run, "--json", str(found)],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.is_file(), told.stderr
    (tally,) = json.loads(found.read_text())["commands"]
    assert tally["broken"] == []
    assert tally["kills"] == 2
