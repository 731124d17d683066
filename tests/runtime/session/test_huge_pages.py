"""Huge pages for weights: requested if the system gives huge pages only on request; without effect on other systems."""

import ctypes
import mmap
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ftool_runtime.session import huge_pages

MAPS = """\
10000000-10400000 rw-p 00000000 00:00 0 
20000000-20400000 rw-p 00000000 00:00 0                                  [heap]
30000000-30400000 r--p 00000000 00:00 0 
40000000-40400000 rw-p 00000000 08:01 77                                 /usr/lib/libc.so
50000000-50100000 rw-p 00000000 00:00 0 
60000000-60400000 rw-p 00000000 00:00 0                                  [stack]
"""  # noqa: W291


def huge_kb(address: int) -> int:
    """Kilobytes in huge pages of the mapping that holds `address`."""
    held = 0
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if found := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            inside = int(found[1], 16) <= address < int(found[2], 16)
        elif inside and line.startswith("AnonHugePages:"):
            held = int(line.split()[1])
    return held


def test_large_anonymous_memory_is_found_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "maps").write_text(MAPS)
    assert huge_pages.large_mappings(tmp_path / "maps") == [
        (0x10000000, 0x10400000),
        (0x20000000, 0x20400000),
    ]
    assert huge_pages.large_mappings(tmp_path / "none") == []


@pytest.mark.parametrize(
    ("switch", "allowed"), [("always [madvise] never", True), ("always madvise [never]", False)]
)
def test_the_systems_switch_is_obeyed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, switch: str, allowed: bool
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    (tmp_path / "enabled").write_text(switch)
    assert huge_pages._allowed(tmp_path / "enabled") is allowed
    assert not huge_pages._allowed(tmp_path / "none")


@pytest.mark.skipif(not huge_pages._allowed(), reason="this system gives no huge pages to who asks")
def test_memory_taken_in_the_block_gets_them_and_keeps_its_content() -> None:
    with huge_pages.huge_pages():
        memory = mmap.mmap(-1, 32 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        array = np.frombuffer(memory, np.uint8)
        array[:] = 7
    if not huge_kb(array.ctypes.data):
        pytest.skip("no huge page was free, or the kernel is older than 6.1")
    assert (array == 7).all()


def test_both_ways_of_asking_are_used_on_whole_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int, int]] = []

    def madvise(first: ctypes.c_void_p, length: ctypes.c_size_t, advice: int) -> int:
        asked.append((first.value or 0, length.value, advice))
        return 0

    ranges = iter([[(0x1000, 0x900000)], [(0x1000, 0x900000), (0xA01000, 0xF01000)]])
    monkeypatch.setattr(huge_pages, "_allowed", lambda: True)
    monkeypatch.setattr(huge_pages, "large_mappings", lambda: next(ranges))
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: SimpleNamespace(madvise=madvise))
    with huge_pages.huge_pages():
        pass
    assert asked == [(0xC00000, 0x200000, 14), (0xC00000, 0x200000, 25)]


def test_an_error_within_passes_through() -> None:
    with pytest.raises(ValueError, match="mine"), huge_pages.huge_pages():
        raise ValueError("mine")
