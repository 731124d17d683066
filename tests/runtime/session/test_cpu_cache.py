"""The size of a run follows from the second-level cache, as artificial /sys trees describe it."""

import sys
from pathlib import Path

import pytest

from ftool_runtime.session.cpu_cache import l2_bytes, linux_l2, tokens_in_cache

KIB, MIB = 1 << 10, 1 << 20


def cpu(root: Path, *, size: str, shared: str, siblings: str = "1") -> Path:
    folder = root / "sys/devices/system/cpu/cpu0"
    for name, content in {
        "topology/thread_siblings": siblings,
        "cache/index0/level": "1",
        "cache/index0/size": "32K",
        "cache/index2/level": "2",
        "cache/index2/size": size,
        "cache/index2/shared_cpu_map": shared,
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content + "\n")
    return root


@pytest.mark.parametrize(
    ("size", "shared", "siblings", "expected"),
    [
        ("1024K", "1", "1", MIB),
        ("2M", "00000000,00000003", "00000000,00000003", 2 * MIB),  # two hyper-threads are one core
        ("4096K", "f0", "10", MIB),  # four efficiency cores share a cache
    ],
)
def test_a_cores_share_of_the_cache_is_read(
    tmp_path: Path, size: str, shared: str, siblings: str, expected: int
) -> None:
    assert linux_l2(0, cpu(tmp_path, size=size, shared=shared, siblings=siblings)) == expected


@pytest.mark.parametrize("size", ["", "many"])
def test_an_unreadable_size_is_unknown(tmp_path: Path, size: str) -> None:
    assert linux_l2(0, cpu(tmp_path, size=size, shared="1")) is None
    assert linux_l2(0, tmp_path / "nowhere") is None


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /sys")
def test_this_machine_has_a_cache_of_a_plausible_size() -> None:
    assert 64 * KIB <= l2_bytes() <= 64 * MIB


@pytest.mark.parametrize(
    ("cache", "width", "tokens"),
    [
        (MIB, 1536, 170),  # 170 * 1536 float32 values are just below 1 MiB
        (MIB, None, 170),
        (MIB, 3072, 85),
        (2 * MIB, 1536, 341),
        (256 * KIB, 4096, 64),  # at least 64
        (MIB, 128, 1024),  # at most 1024
    ],
)
def test_the_widest_activation_of_a_run_fits_into_the_cache(
    cache: int, width: int | None, tokens: int
) -> None:
    assert tokens_in_cache(cache, width) == tokens
