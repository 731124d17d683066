"""The number of threads is determined correctly from artificial /proc and /sys trees."""

import os
import struct
import sys
from pathlib import Path

import pytest

import ftool_runtime as ft
from ftool_runtime.session import threads

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /sys")


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


def test_the_tightest_quota_on_the_way_up_counts(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        {
            "proc/self/cgroup": "0::/user/app\n",
            "sys/fs/cgroup/user/cpu.max": "150000 100000\n",
            "sys/fs/cgroup/user/app/cpu.max": "max 100000\n",
        },
    )
    assert threads.cpu_quota(root) == 1.5


def test_a_container_whose_path_is_the_hosts_reads_its_own_root(tmp_path: Path) -> None:
    root = tree(
        tmp_path, {"proc/self/cgroup": "0::/../../host/path\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"}
    )
    assert threads.cpu_quota(root) == 2


def test_version_1_quotas_are_read(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        {
            "proc/self/cgroup": "5:memory:/x\n4:cpu,cpuacct:/x\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "50000\n",
            "sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000\n",
        },
    )
    assert threads.cpu_quota(root) == 0.5


@pytest.mark.parametrize("content", ["max 100000\n", "nonsense\n", ""])
def test_no_quota_or_an_unreadable_one_does_not_limit(tmp_path: Path, content: str) -> None:
    root = tree(tmp_path, {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": content})
    assert threads.cpu_quota(root) is None
    assert threads.cpu_quota(tmp_path / "nowhere") is None


@on_linux
def test_hyper_threads_of_one_core_count_once(tmp_path: Path) -> None:
    siblings = {0: "0,4", 1: "1,5", 4: "0,4", 5: "1,5"}
    root = tree(
        tmp_path,
        {
            f"sys/devices/system/cpu/cpu{n}/topology/thread_siblings_list": f"{s}\n"
            for n, s in siblings.items()
        },
    )
    assert threads.physical_cores(frozenset(siblings), root) == 2
    assert threads.physical_cores(frozenset({0, 4}), root) == 1


@on_linux
def test_unknown_cores_do_not_limit(tmp_path: Path) -> None:
    assert threads.physical_cores(frozenset(range(6)), tmp_path) == 6


@pytest.mark.parametrize(("quota", "expected"), [(None, 4), (2.9, 2), (0.5, 1), (16.0, 4)])
def test_the_least_limit_wins_and_one_thread_is_left(
    monkeypatch: pytest.MonkeyPatch, quota: float | None, expected: int
) -> None:
    monkeypatch.setattr(threads, "allowed_cpus", lambda: frozenset(range(8)))
    monkeypatch.setattr(threads, "physical_cores", lambda allowed: 4)
    monkeypatch.setattr(threads, "cpu_quota", lambda: quota)
    assert threads.usable_threads() == expected


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no CPU affinity")
def test_affinity_limits() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert threads.usable_threads() == 1
    finally:
        os.sched_setaffinity(0, before)


def test_the_limit_is_four_times_the_logical_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert threads.resolve_threads(12) == 12
    with pytest.raises(ft.InputError, match=r"between 1 and 12.*3 logical CPUs.*got 13"):
        threads.resolve_threads(13)


def test_windows_records_are_counted_by_their_sizes() -> None:
    # GetLogicalProcessorInformationEx: records of a uint32 kind and a uint32 size that covers the whole record
    records = b"".join(struct.pack("<II", 0, size) + bytes(size - 8) for size in (48, 48, 64))
    assert threads.count_records(records) == 3
    assert threads.count_records(records + struct.pack("<II", 0, 0)) == 3
    assert threads.count_records(b"") == 0
