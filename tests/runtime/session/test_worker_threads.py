"""A session's threads stay off the CPU of the thread that calls it, unless somebody else decides where they run."""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import ftool_runtime as ft
from ftool_runtime.session.worker_threads import WorkerThreads, thread_ids

CPUS = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else []

pytestmark = pytest.mark.skipif(len(CPUS) < 2, reason="needs Linux and two CPUs")


@pytest.fixture
def loaded(shared_bundle: Path) -> Iterator[tuple[ft.TextClassifier, int]]:
    """Yield a model with two threads, and the number of the one that the session has started."""
    before = thread_ids()
    with ft.TextClassifier.load(shared_bundle, threads=2) as model:
        (worker,) = started_since(before, 1)
        try:
            yield model, worker
        finally:
            os.sched_setaffinity(0, CPUS)


def started_since(before: frozenset[int], count: int) -> frozenset[int]:
    """Return the threads that have started since `before`, once the one that loaded the graph has ended."""
    end = time.monotonic() + 10
    while len(found := thread_ids() - before) != count:
        assert time.monotonic() < end, found
        time.sleep(0.001)
    return found


def call_on(cpu: int, model: ft.TextClassifier) -> None:
    os.sched_setaffinity(0, {cpu})
    model("good movie")


def test_the_worker_leaves_the_callers_cpu_and_may_use_all_others(
    loaded: tuple[ft.TextClassifier, int],
) -> None:
    model, worker = loaded
    for cpu in (CPUS[0], CPUS[1], CPUS[0]):
        call_on(cpu, model)
        assert os.sched_getaffinity(worker) == set(CPUS) - {cpu}


def test_cpus_set_from_outside_are_kept(loaded: tuple[ft.TextClassifier, int]) -> None:
    model, worker = loaded
    call_on(CPUS[0], model)
    os.sched_setaffinity(worker, {CPUS[0]})  # as `taskset --all-tasks --pid` does
    call_on(CPUS[1], model)
    call_on(CPUS[0], model)
    assert os.sched_getaffinity(worker) == {CPUS[0]}


def test_a_second_run_at_the_same_time_does_not_move_them() -> None:
    with own_thread() as thread:
        workers = WorkerThreads({thread}, expected=1)
        try:
            os.sched_setaffinity(0, {CPUS[0]})
            with workers:
                os.sched_setaffinity(0, {CPUS[1]})
                with workers:
                    assert os.sched_getaffinity(thread) == set(CPUS) - {CPUS[0]}
            with workers:
                assert os.sched_getaffinity(thread) == set(CPUS) - {CPUS[1]}
        finally:
            os.sched_setaffinity(0, CPUS)


def test_a_sandbox_that_hides_a_threads_cpus_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with own_thread() as thread, monkeypatch.context() as patched:
        patched.setattr(os, "sched_getaffinity", forbidden)
        with WorkerThreads({thread}, expected=1):
            pass
    assert thread not in thread_ids() or os.sched_getaffinity(thread) == set(CPUS)


def forbidden(_: int) -> frozenset[int]:
    raise PermissionError


def test_more_threads_than_cpus_share_all_cpus(shared_bundle: Path) -> None:
    before = thread_ids()
    with ft.TextClassifier.load(shared_bundle, threads=len(CPUS) + 1) as model:
        workers = started_since(before, len(CPUS))
        model("good movie")
        assert all(os.sched_getaffinity(worker) == set(CPUS) for worker in workers)


def test_threads_of_unknown_origin_are_left_alone() -> None:
    with own_thread() as first, own_thread() as second:
        with WorkerThreads({first, second}, expected=1):
            pass
        assert os.sched_getaffinity(first) == os.sched_getaffinity(second) == set(CPUS)


def test_a_thread_that_has_ended_is_no_error() -> None:
    with own_thread() as thread:
        workers = WorkerThreads({thread}, expected=1)
    while thread in thread_ids():
        time.sleep(0.001)
    with workers:
        pass
    assert thread not in thread_ids()


@contextlib.contextmanager
def own_thread() -> Iterator[int]:
    """Yield the number of a thread that waits, and end it afterwards."""
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    assert thread.native_id is not None
    try:
        yield thread.native_id
    finally:
        end.set()
        thread.join()
