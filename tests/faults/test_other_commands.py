"""Commands that are killed, or find no space or a read-only folder, leave the old or the new, and can be repeated."""

from pathlib import Path

import pytest

from tests.faults.short import on_linux, tallies


@on_linux
@pytest.mark.timeout(300)
def test_no_promise_of_a_quick_command_is_broken(tmp_path: Path) -> None:
    commands = ("adapt", "index, words only", "index, embedder", "predict", "predict, runtime")
    found = tallies(tmp_path, *commands, points=3, disks=2)
    assert {name: one["broken"] for name, one in found.items()} == {name: [] for name in commands}
    assert all(one["kills"] == 3 and one["full"] == 2 and one["read_only"] == 1 for one in found.values())


@on_linux
@pytest.mark.timeout(300)
def test_no_promise_of_an_export_is_broken(tmp_path: Path) -> None:
    assert tallies(tmp_path, "export", points=1, disks=0)["export"]["broken"] == []
