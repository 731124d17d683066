"""What Linux offers to a test: a shim that counts changes of files, namespaces, small disks, and fewer rights."""

import ctypes
import mmap
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

COUNT, END, FULL = 0, 1, 2  # the shim's modes: only count, end the process, let calls fail as on a full disk
_PRELOAD: Final = "LD_PRELOAD"
_NEW_PIDS, _NEW_MOUNTS = 0x20000000, 0x00020000
_PRIVATE, _RECURSIVE, _REMOUNT = 1 << 18, 1 << 14, 1 << 5
_SET_CHILD_SUBREAPER = 36
_CAPABILITIES_VERSION = 0x20080522
_OVERRIDES: Final = 0b1110  # the rights to ignore the permissions and the owners of files

_libc = ctypes.CDLL(None, use_errno=True)


def start_with_shim() -> None:
    """Build the shim, and start this program again with it, unless it has been started so."""
    if _PRELOAD in os.environ:
        return
    library = Path(tempfile.mkdtemp(prefix="faults-")) / "shim.so"
    source = Path(__file__).with_name("shim.c")
    command = ["cc", "-O2", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True)
    os.environ |= {_PRELOAD: str(library), "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    os.execv(sys.executable, [sys.executable, "-m", "tests.faults", *sys.argv[1:]])


@contextmanager
def shim_folder() -> Iterator[Path]:
    """Yield the folder of the shim, for the files of a run; both are removed at the end."""
    folder = Path(os.environ[_PRELOAD]).parent
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Counter:
    """A number in memory that is shared with forked processes: the changes of files so far."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)
        self._number = ctypes.c_long.from_buffer(self._memory)

    @property
    def value(self) -> int:
        """The number of changes."""
        return self._number.value

    def arm(self, mode: int, at: int) -> None:
        """Begin to count in this process; `mode` says what happens at the change number `at`, from 1."""
        self._number.value = 0
        shim = ctypes.CDLL(os.environ[_PRELOAD])
        shim.faults_arm(mode, ctypes.c_long(at), ctypes.byref(self._number))


def own_mounts() -> bool:
    """Let this process mount file systems that no other sees; False if it may not."""
    if _libc.unshare(_NEW_MOUNTS) != 0:
        return False
    return bool(_libc.mount(b"none", b"/", None, _PRIVATE | _RECURSIVE, None) == 0)


def mount_disk(folder: Path, size: int) -> None:
    """Mount an empty disk of `size` bytes, in memory, at `folder`."""
    _checked(_libc.mount(b"faults", os.fsencode(folder), b"tmpfs", 0, f"size={size}".encode()))


def resize_disk(folder: Path, size: int) -> None:
    """Change the size of a disk that `mount_disk` has mounted."""
    _checked(_libc.mount(b"faults", os.fsencode(folder), b"tmpfs", _REMOUNT, f"size={size}".encode()))


def unmount(folder: Path) -> None:
    """Remove a disk that `mount_disk` has mounted, with what it holds."""
    _checked(_libc.umount(os.fsencode(folder)))


def new_process_numbers() -> bool:
    """Give the next child the process number 1, in a namespace of its own; False if this process may not."""
    return bool(_libc.unshare(_NEW_PIDS) == 0)


def adopt_orphans() -> None:
    """Become the parent of every process below this one whose own parent ends, so that it can be waited for."""
    _checked(_libc.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0))


def obey_permissions() -> None:
    """Take root's right to ignore permissions from this process, so that a read-only folder is read-only for it."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_VERSION, 0)
    sets = (
        ctypes.c_uint32 * 6
    )()  # effective, permitted and inheritable, of the lower and the higher capabilities
    _checked(_libc.capget(header, sets))
    for index in range(3):
        sets[index] &= ~_OVERRIDES
    _checked(_libc.capset(header, sets))


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
