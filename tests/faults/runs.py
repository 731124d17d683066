"""Run a command in a forked process, which has torch imported already, with a fault on the way."""

import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.faults.system import COUNT, Counter, new_process_numbers, obey_permissions

LONGEST_S: Final = 120.0
_LONGEST_STEP_S: Final = 1.0  # a longer time between two looks is one in which the whole machine was stopped
KILLED: Final = (137, -signal.SIGKILL)
_counter = Counter()


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What happens to a run.

    Attributes:
        mode: a mode of the shim: see `tests.faults.system`.
        at: the change of files, from 1, at which it happens.
        after_s: the seconds after which the run is killed; None for never.
        numbered: whether the run is process number 1 of its own namespace.
        weak: whether the run obeys the permissions of files, even as root.
    """

    mode: int = COUNT
    at: int = 0
    after_s: float | None = None
    numbered: bool = False
    weak: bool = False


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended: exit status, standard error, number of changes of files, seconds, and most bytes on the disk."""

    status: int
    said: str
    changes: int
    seconds: float
    bytes: int

    @property
    def killed(self) -> bool:
        """Whether the fault has ended the run."""
        return self.status in KILLED


def run(trial: Path, cli: str, arguments: Sequence[str], fault: Fault | None = None) -> Outcome:
    """Run a command of `ftool` or `ftool_runtime` in the folder `trial`/work. Raises TimeoutError if it hangs."""
    fault = fault or Fault()
    last, elapsed, most = time.monotonic(), 0.0, 0
    with tempfile.TemporaryFile() as said:
        child = os.fork()
        if child == 0:
            _in_child(trial, cli, arguments, fault, said.fileno())
        with suppress(OSError):  # it has ended already
            os.setpgid(child, child)  # as the child does, whoever is first
        while True:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                break
            now = time.monotonic()
            elapsed += min(now - last, _LONGEST_STEP_S)
            last = now
            if elapsed > min(LONGEST_S, fault.after_s or LONGEST_S):
                os.killpg(child, signal.SIGKILL)
                _wait_for_all()
                status = signal.SIGKILL
                if elapsed > LONGEST_S:
                    raise TimeoutError(f"{' '.join(arguments)}: no end after {LONGEST_S:.0f} s")
                break
            most = max(most, used_bytes(trial))
            time.sleep(0.001)
        said.seek(0)
        text = said.read().decode("utf-8", "replace")
    return Outcome(
        status=os.waitstatus_to_exitcode(status),
        said=text,
        changes=_counter.value,
        seconds=elapsed,
        bytes=most,
    )


def _wait_for_all() -> None:
    """Wait for a killed process, and for process number 1 of its namespace, which holds locks until it ends too."""
    with suppress(ChildProcessError):
        while True:
            os.wait()


def used_bytes(folder: Path) -> int:
    """Return the bytes in use on the disk of `folder`."""
    found = os.statvfs(folder)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


def _in_child(trial: Path, cli: str, arguments: Sequence[str], fault: Fault, said: int) -> None:
    status = 99
    try:
        os.setpgid(0, 0)
        if fault.numbered:
            assert new_process_numbers()
            inner = os.fork()
            if inner:
                _, ended = os.waitpid(inner, 0)
                os._exit(os.waitstatus_to_exitcode(ended))
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(said, 2)
        os.environ |= {"TMPDIR": str(trial / "tmp"), "FTOOL_CACHE": str(trial / "cache")}
        tempfile.tempdir = None
        os.chdir(trial / "work")
        if fault.weak:
            obey_permissions()
        _counter.arm(fault.mode, fault.at)
        status = _call(cli, arguments)
    except BaseException:  # noqa: BLE001  the parent reads it
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _call(cli: str, arguments: Sequence[str]) -> int:
    if cli == "ftool_runtime":
        from ftool_runtime.tools.cli import main as runtime_main

        return runtime_main(arguments)
    from ftool.cli import main

    try:
        main(list(arguments), prog_name="ftool")
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0
