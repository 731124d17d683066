"""`TaughtHead`: the rows of a head that lessons made, without the lessons."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from ftool_runtime.errors import InputError
from ftool_runtime.schema import show
from ftool_runtime.teaching.sealed import SealError, arrays_of, read_sealed, sealed, write_sealed

_MAGIC: Final = b"ftool head 1\n"
_LONGEST_LABEL: Final = 500  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadHeader:
    """What a file says of a taught head, beside its rows; see `TaughtHead`."""

    bundle: str
    base: str | None
    labels: tuple[str, ...]
    lessons: tuple[int, ...]
    devices: int


@dataclass(frozen=True)
class TaughtHead:
    """What lessons have added to the logits of labels, on one device or on the average of many.

    Attributes:
        bundle: the digest of the bundle's manifest.
        base: the digest of the head that the lessons began with; None if they began with the bundle's own.
        labels: the labels that were taught.
        lessons: how many lessons each has had, since the bundle's own head.
        devices: on how many devices, in the latest average; 1 for a device's own.
        rows: weights of the features and a bias for each label, float64 (labels, features + 1).
    """

    bundle: str
    base: str | None
    labels: tuple[str, ...]
    lessons: tuple[int, ...]
    devices: int
    rows: NDArray[np.float64] = field(repr=False)

    @property
    def header(self) -> HeadHeader:
        """All but the rows."""
        return HeadHeader(
            bundle=self.bundle,
            base=self.base,
            labels=self.labels,
            lessons=self.lessons,
            devices=self.devices,
        )

    @property
    def digest(self) -> str:
        """The SHA-256 of the file's content, in hexadecimal digits."""
        return self.to_bytes()[-32:].hex()

    def to_bytes(self) -> bytes:
        """Return the content of a file that `read` reads."""
        return sealed(_MAGIC, header_json(self.header), self.rows.astype("<f8").tobytes())

    def write(self, path: Path) -> None:
        """Replace the file at `path`, whole or not at all. Raises OSError."""
        write_sealed(path, self.to_bytes())

    @classmethod
    def read(cls, path: Path, bundle: str, features: int) -> Self:
        """Return the head in the file at `path`.

        Args:
            path: the file.
            bundle: the digest of the manifest of the bundle that it must be of.
            features: the number of the bundle's features.

        Raises InputError, which names the file, if it does not exist, is not a taught head, is damaged, or is of
        another bundle.
        """
        if not path.exists():
            raise InputError(f"{path} does not exist")
        try:
            header, arrays = read_sealed(path, _MAGIC, "a taught head", HeadHeader)
            return cls.build(header, arrays, bundle, features)
        except SealError as error:
            raise error.of(path) from error

    @classmethod
    def build(cls, header: HeadHeader, rows: bytes, bundle: str, features: int) -> Self:
        """Return the head with this header and these rows. Raises SealError, as for `read`."""
        count = len(header.labels)
        if header.bundle != bundle:
            raise SealError("is of another bundle, or of an earlier export, whose features differ")
        wrong = next((label for label in header.labels if not is_label(label)), None)
        if wrong is not None or len(set(header.labels)) != count:
            raise SealError(f"has labels that can't be used ({show(wrong or header.labels)})")
        if len(header.lessons) != count or min(header.lessons, default=1) < 1 or header.devices < 1:
            raise SealError("does not say how many lessons each label has had")
        (content,) = arrays_of(rows, [8 * count * (features + 1)], f"{count} labels of {features} features")
        found = np.frombuffer(content, "<f8").reshape(count, features + 1).astype(np.float64)
        if not np.isfinite(found).all():
            raise SealError("holds numbers that are not finite")
        return cls(bundle, header.base, header.labels, header.lessons, header.devices, found)


def header_json(header: HeadHeader) -> dict[str, Any]:
    """Return a header as JSON values."""
    return {
        "bundle": header.bundle,
        "base": header.base,
        "labels": list(header.labels),
        "lessons": list(header.lessons),
        "devices": header.devices,
    }


def is_label(label: Any) -> bool:
    """Return whether a label can be taught: a text of 1 to 500 printable characters."""
    return (
        isinstance(label, str)
        and bool(label.strip())
        and len(label) <= _LONGEST_LABEL
        and label.isprintable()
    )
