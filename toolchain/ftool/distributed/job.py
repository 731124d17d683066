"""`Job`: everything that decides what a batch of files is answered with, planned before anything is scored."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from ftool.data.inputs import check_columns, data_files, known_columns, read_rows
from ftool.distributed.blocks import bytes_per_token
from ftool.errors import ClusterError
from ftool_runtime.bundle.manifest import Manifest, digest_of
from ftool_runtime.errors import InputError
from ftool_runtime.models.base import Model
from ftool_runtime.text.files import Columns

BLOCK_TOKENS: Final = 65_536
_ANSWERING: Final = ("onnxruntime", "numpy", "tokenizers")  # packages on which answers can depend


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A batch of files and what answers it. Equal jobs give equal answers.

    Attributes:
        bundle: the path of the bundle, the same on every node.
        digest: the digest of the bundle's manifest.
        files: the path and the size in bytes of each file, in the order of the answers.
        column: the column that holds the text, or the column of each field of an input.
        names: the names of the columns of files without a header; None if the files name them.
        options: the options of a call of the model.
        block_tokens: about how many tokens a block has.
        bytes_per_token: by which tokens are estimated.
        versions: the version of each package on which answers can depend.
    """

    bundle: str
    digest: str
    files: tuple[tuple[str, int], ...]
    column: Columns
    names: tuple[str, ...] | None
    options: Mapping[str, Any]
    block_tokens: int
    bytes_per_token: float
    versions: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """Return the job as JSON values."""
        values = asdict(self)
        values["files"] = [{"path": path, "bytes": size} for path, size in self.files]
        values["names"] = None if self.names is None else list(self.names)
        return values


def plan(
    model: Model[Any, Any],
    bundle: Path,
    data: Path,
    *,
    column: Columns,
    names: Sequence[str] | None = None,
    options: Mapping[str, Any] | None = None,
    block_tokens: int = BLOCK_TOKENS,
    trained: Callable[[], Mapping[str, str]] = dict,
) -> Job:
    """Return the job of answering the files in `data` with a model.

    Args:
        model: the model, loaded from `bundle`.
        bundle: the folder of the bundle.
        data: a file, or a folder of files.
        column: the column that holds the text, or the column of each field of an input.
        names: the names of the columns of files without a header.
        options: the options of a call.
        block_tokens: about how many tokens a block has.
        trained: returns the column of each field of an input in the training data; called if the first file lacks a
            column of `column`.

    Raises FtoolError if an option is wrong, or a file can't be read or lacks a column.
    """
    if block_tokens < 1:
        raise InputError(f"a block has at least 1 token, got {block_tokens}")
    asked = dict(options or {})
    list(model.predict_batches([], **asked))  # raises for a wrong option
    paths = data_files(data)
    found = known_columns(paths[0], column, names, trained)
    for path in paths:
        check_columns(path, found, names, like=paths[0])
    return Job(
        bundle=str(bundle.absolute()),
        digest=bundle_digest(bundle),
        files=tuple((str(path.absolute()), path.stat().st_size) for path in paths),
        column=found,
        names=None if names is None else tuple(names),
        options=asked,
        block_tokens=block_tokens,
        bytes_per_token=bytes_per_token(model, read_rows(paths[0], found, names)),
        versions=versions(),
    )


def bundle_digest(folder: Path) -> str:
    """Return the digest of a bundle's manifest, which covers the hash of every file. Raises BundleError."""
    return digest_of(Manifest.read(folder).to_json())


def versions() -> dict[str, str]:
    """Return the version here of every package on which answers can depend."""
    ours = {name: version(name) for name in ("ftool", "ftool-runtime")}
    return ours | {name: str(import_module(name).__version__) for name in _ANSWERING}


def check_worker(job: Job) -> None:
    """Raise ClusterError if this process would not give the answers of the one that planned the job."""
    here = versions()
    others = [
        f"{name} {here[name]} instead of {job.versions[name]}"
        for name in here
        if here[name] != job.versions[name]
    ]
    if others:
        raise ClusterError(f"has {', '.join(others)}; install the same versions on every node")
    if not os.path.isdir(job.bundle):  # noqa: PTH112
        raise ClusterError(
            f"has no bundle at {job.bundle}; put it at the same path on every node, or in a folder that all nodes share"
        )
    if (digest := bundle_digest(Path(job.bundle))) != job.digest:
        raise ClusterError(
            f"has another bundle at {job.bundle}, with the digest {digest[:12]} instead of {job.digest[:12]}; put the "
            "same bundle on every node"
        )
