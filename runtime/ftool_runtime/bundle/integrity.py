"""Whether a bundle's files are those that its manifest lists: by size to load, by hash to verify."""

from collections.abc import Mapping
from pathlib import Path

from ftool_runtime.bundle.manifest import FileRecord, Manifest
from ftool_runtime.bundle.paths import path_inside
from ftool_runtime.errors import BundleError


def file_record(path: Path) -> FileRecord:
    """Size and hash of the file at `path`, as a manifest lists them. Raises OSError as reading does."""
    import hashlib  # brings OpenSSL, which loading a model does not need

    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileRecord(bytes=path.stat().st_size, sha256=digest)


def check_sizes(folder: Path, manifest: Manifest, needed: tuple[str, ...]) -> None:
    """Check that every file of the bundle is there and of its size, before anything reads it.

    Args:
        folder: the bundle.
        manifest: its manifest.
        needed: the files that the task can't do without.

    Raises:
        BundleError: a file is missing, truncated or lies outside; the first one found is named.
    """
    for name in needed:
        if name not in manifest.files:
            raise BundleError(f"{folder} can't be run: its manifest lists no {name}")
    for name, record in manifest.files.items():
        problem = _size_problem(path_inside(folder, name), record)
        if problem:
            raise BundleError(f"{folder / name} {problem}; copy or export the bundle again")


def altered_files(folder: Path, manifest: Manifest) -> Mapping[str, str]:
    """What is wrong with each file that is not as the manifest lists it, by its name; empty where all are.

    Raises BundleError where a name leads outside the bundle.
    """
    problems = {}
    for name, record in manifest.files.items():
        path = path_inside(folder, name)
        problem = _size_problem(path, record) or _hash_problem(path, record)
        if problem:
            problems[name] = problem
    return problems


def _size_problem(path: Path, record: FileRecord) -> str | None:
    try:
        size = path.stat().st_size
    except OSError:
        return "is missing"
    if size == record.bytes:
        return None
    how = "truncated" if size < record.bytes else "too long"
    return f"is {how}: {size} bytes, and the manifest says {record.bytes}"


def _hash_problem(path: Path, record: FileRecord) -> str | None:
    try:
        same = file_record(path).sha256 == record.sha256
    except OSError as error:
        return f"can't be read: {error.strerror}"
    return None if same else "has its size but was altered: its SHA-256 is not the manifest's"
