"""`WorkerThreads`: keep the threads of a session off the CPU of the thread that calls it, on Linux.

After a pause, a session's threads sleep. On a machine with two CPUs, Linux often wakes them on the CPU of the calling
thread. They then share that CPU while the other one is idle, and two threads are slower than one. docs/performance.md
has the measurement.
"""

import contextlib
import ctypes
import os
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

_TASKS = Path("/proc/self/task")


def thread_ids() -> frozenset[int]:
    """Return the numbers that Linux gives to this process's threads; an empty set on other systems."""
    if sys.platform != "linux":
        return frozenset()
    try:
        return frozenset(int(task.name) for task in _TASKS.iterdir())
    except OSError:
        return frozenset()


class WorkerThreads:
    """The threads that a session has started, which help the thread that calls the session.

    As a context manager it surrounds a run. The threads may then run on the CPUs that they had at first, except the one
    on which the calling thread runs. They stay where they are if another run is in progress, and for good if their CPUs
    were changed from outside, or if the system forbids it.
    """

    def __init__(self, started: Iterable[int], expected: int) -> None:
        """Hold the threads `started`, numbers from `thread_ids`.

        They are left alone unless their number is `expected` (otherwise a part of the app has started threads at the
        same moment, and it is unknown whose they are), and unless each can have a CPU of its own.
        """
        self._threads = tuple(started)
        self._lock = threading.Lock()
        self._runs = 0
        self._avoided = -1
        self._current_cpu: Callable[[], int] | None = None  # None if the threads are left alone
        if 0 < len(self._threads) == expected:
            with contextlib.suppress(OSError):
                self._allowed = self._set = frozenset(os.sched_getaffinity(self._threads[0]))
                if len(self._allowed) > expected:
                    # PyDLL keeps Python's lock, which another thread may take for milliseconds.
                    self._current_cpu = getattr(ctypes.PyDLL(None), "sched_getcpu", None)

    def __enter__(self) -> None:
        current_cpu = self._current_cpu
        if current_cpu is None:
            return
        with self._lock:
            self._runs += 1
            if self._runs == 1:
                self._avoid(current_cpu())

    def __exit__(self, *_: object) -> None:
        if self._current_cpu is not None:
            with self._lock:
                self._runs -= 1

    def _avoid(self, cpu: int) -> None:
        if cpu == self._avoided:
            return
        others = self._allowed - {cpu}
        try:
            if os.sched_getaffinity(self._threads[0]) != self._set:
                self._current_cpu = None
                return
            for thread in self._threads:
                os.sched_setaffinity(thread, others)
        except OSError:
            self._current_cpu = None
            return
        self._set, self._avoided = others, cpu
