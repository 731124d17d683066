"""`WorkerThreads`: keep the threads of a session off the CPU of the thread that calls it, on Linux.

After a pause, a session's threads sleep. On a machine with two CPUs, Linux often wakes them on the CPU of the calling
thread. They then share that CPU while the other one is idle, and two threads are slower than one. docs/performance.md
has the measurement.
"""

import ctypes
import os
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

_TASKS = Path("/proc/self/task")


def thread_ids() -> frozenset[int]:
    """Return the operating system's numbers of this process's threads; none where there is no Linux /proc."""
    if sys.platform != "linux":
        return frozenset()
    try:
        return frozenset(int(task.name) for task in _TASKS.iterdir())
    except OSError:
        return frozenset()


class WorkerThreads:
    """The threads that a session has started, which help the thread that calls the session."""

    def __init__(self, started: Iterable[int], expected: int) -> None:
        """Hold the threads `started`, numbers from `thread_ids`.

        `avoid_current_cpu` does nothing unless their number is `expected` (otherwise a part of the app has started
        threads at the same moment, and it is unknown whose they are), and unless each can have a CPU of its own.
        """
        self._threads = tuple(started)
        self._lock = threading.Lock()
        self._avoided = -1
        self._current_cpu: Callable[[], int] | None = None  # None if the threads are left alone
        if 0 < len(self._threads) == expected:
            self._allowed = self._set = frozenset(os.sched_getaffinity(self._threads[0]))
            if len(self._allowed) > expected:
                self._current_cpu = getattr(ctypes.CDLL(None), "sched_getcpu", None)

    def avoid_current_cpu(self) -> None:
        """Let the threads run on the CPUs that they had at first, except the one that the calling thread runs on.

        Leaves them alone for good if their CPUs were changed from outside, or if the system forbids it.
        """
        current_cpu = self._current_cpu
        if current_cpu is None:
            return
        cpu = current_cpu()
        if cpu == self._avoided or not self._lock.acquire(blocking=False):
            return
        try:
            self._move(self._allowed - {cpu})
            self._avoided = cpu
        except OSError:
            self._current_cpu = None
        finally:
            self._lock.release()

    def _move(self, cpus: frozenset[int]) -> None:
        if os.sched_getaffinity(self._threads[0]) != self._set:
            self._current_cpu = None
            return
        for thread in self._threads:
            os.sched_setaffinity(thread, cpus)
        self._set = cpus
