"""Compare a bundle's files with its manifest: names and sizes when loading, hashes when verifying."""

import mmap
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from ftool_runtime.bundle.files import open_bundled
from ftool_runtime.bundle.manifest import FileRecord, Manifest, manifest_problem
from ftool_runtime.bundle.paths import MANIFEST_FILE, SIGNATURE_FILE, path_inside
from ftool_runtime.errors import BundleError
from ftool_runtime.regular_files import not_regular

_UNLISTED: Final = "is not in the manifest's list of files"
_LITTER: Final = (".DS_Store", "Thumbs.db", "desktop.ini")  # files that file managers create
_GRAPH: Final = ".onnx"
_LITTER_PREFIX: Final = "._"  # prefix of files in which macOS stores extended attributes


def file_record(path: Path) -> FileRecord:
    """Return the size and hash of the file at `path`.

    Raises OSError if the file can't be read, and BundleError if it is not a regular file.
    """
    import hashlib  # brings OpenSSL, which `import ftool_runtime` does not need

    with open_bundled(path) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileRecord(bytes=path.stat().st_size, sha256=digest)


def check_files(folder: Path, manifest: Manifest, needed: tuple[str, ...]) -> None:
    """Check the names and sizes of a bundle's files, without reading the files.

    Args:
        folder: the bundle.
        manifest: the bundle's manifest.
        needed: the names of files that the task needs.

    Raises:
        BundleError: a file is missing, has another size, is outside the bundle, or is not listed in the manifest.
    """
    for name in needed:
        if name not in manifest.files:
            raise BundleError(
                f"{folder} can't be run: its manifest does not list {name}; export the bundle again"
            )
    for name, record in manifest.files.items():
        problem = _size_problem(path_inside(folder, name), record)
        if problem:
            raise BundleError(f"{folder / name} {problem}; copy or export the bundle again")
    for name in unlisted_files(folder, manifest):
        raise BundleError(f"{folder / name} {_UNLISTED}; remove it, or copy or export the bundle again")


def check_hashes(folder: Path, manifest: Manifest) -> None:
    """Check that the manifest and all files are as exported, by reading and hashing every file.

    Raises BundleError, which names the first file that is altered, missing or not listed.
    """
    for name, problem in _problems(folder, manifest):
        raise BundleError(f"{folder / name} {problem}; copy or export the bundle again")


def altered_files(folder: Path, manifest: Manifest) -> Mapping[str, str]:
    """Return, by file name, the problem with each file that is not as exported; empty if there is no such file.

    Raises BundleError if a name points outside the bundle.
    """
    return dict(_problems(folder, manifest))


def unlisted_files(folder: Path, manifest: Manifest) -> list[str]:
    """Return the files of a bundle that its manifest does not list, as POSIX paths, sorted.

    onnxruntime reads weights from files in a graph's folder, so an unlisted file could change answers. Two kinds of
    files are ignored: hidden files and folders at the top (`.git`, `.gitattributes`), and, in all folders, files that
    file managers create (`.DS_Store`, `Thumbs.db`, `desktop.ini`, `._*`), unless a graph names them.
    """
    beside = (MANIFEST_FILE, SIGNATURE_FILE)  # neither can be in the list
    return sorted(name for name in _files(folder) if name not in beside and name not in manifest.files)


def _problems(folder: Path, manifest: Manifest) -> Iterator[tuple[str, str]]:
    problem = manifest_problem(folder)
    if problem:
        yield MANIFEST_FILE, problem
    for name in unlisted_files(folder, manifest):
        yield name, _UNLISTED
    for name, record in manifest.files.items():
        path = path_inside(folder, name)
        problem = _size_problem(path, record) or _hash_problem(path, record)
        if problem:
            yield name, problem


def _files(folder: Path) -> Iterator[str]:
    for at, folders, files in os.walk(folder):
        top = Path(at) == folder
        if top:
            folders[:] = [name for name in folders if not name.startswith(".")]
        links = [name for name in folders if Path(at, name).is_symlink()]  # os.walk does not enter links
        for name in (*files, *links):
            litter = name in _LITTER or name.startswith("." if top else _LITTER_PREFIX)
            if not litter or (not top and _named_by_a_graph(folder, name)):
                yield Path(at, name).relative_to(folder).as_posix()


def _named_by_a_graph(folder: Path, name: str) -> bool:
    """Whether a graph may read weights from a file `name`: graphs name it, in letters of any case.

    A name with letters that file systems write in several ways is taken for one. onnxruntime reads no weights from
    folders above the graph's, so that hidden files at the top don't matter.
    """
    wanted = re.compile(re.escape(name.encode(errors="replace")), re.IGNORECASE)
    return not name.isascii() or any(_holds(path, wanted) for path in folder.glob(f"*/*{_GRAPH}"))


def _holds(path: Path, wanted: re.Pattern[bytes]) -> bool:
    try:
        with open_bundled(path) as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return wanted.search(content) is not None
    except (OSError, ValueError, BundleError):  # an empty file gives a ValueError
        return False


def _size_problem(path: Path, record: FileRecord) -> str | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"can't be read: {error.strerror}"
    if (problem := not_regular(found)) is not None:
        return problem
    size = found.st_size
    if size == record.bytes:
        return None
    how = "truncated" if size < record.bytes else "too long"
    return f"is {how}: {size} bytes, and the manifest says {record.bytes}"


def _hash_problem(path: Path, record: FileRecord) -> str | None:
    try:
        same = file_record(path).sha256 == record.sha256
    except (OSError, BundleError) as error:
        return f"can't be read: {getattr(error, 'strerror', error)}"
    return None if same else "has the right size but was altered: its SHA-256 is not the manifest's"
