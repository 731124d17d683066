"""A training that is killed, or finds no space or a read-only folder, keeps the old run/ and can be run again."""

from pathlib import Path

import pytest

from tests.faults.short import on_linux, tallies


@on_linux
@pytest.mark.timeout(300)
def test_no_promise_of_a_training_is_broken(tmp_path: Path) -> None:
    found = tallies(tmp_path, "train, head", "train, resumed", points=2, disks=1)
    assert {name: one["broken"] for name, one in found.items()} == {"train, head": [], "train, resumed": []}
    assert all(one["kills"] == 2 and one["full"] == one["read_only"] == 1 for one in found.values())
