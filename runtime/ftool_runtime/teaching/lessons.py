"""`Lessons`: what a model was taught on a device, in a file of its own beside the bundle.

The file is a magic line, the length of a header in 4 bytes, the header in JSON, the arrays of all lessons, and the
SHA-256 of everything before it. The sizes of the arrays follow from the header, and are checked before they are read.
"""

import json
import struct
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ftool_runtime.atomic import replacing_binary
from ftool_runtime.bundle.files import read_file
from ftool_runtime.errors import BundleError, InputError
from ftool_runtime.json_reader import JsonError, read_json
from ftool_runtime.schema import JSON
from ftool_runtime.teaching.replay import packed, parts, unpacked

_MAGIC: Final = b"ftool lessons 1\n"
_NUMBER: Final = struct.Struct("<I")
_DIGEST_BYTES: Final = 32
_LARGEST: Final = 2**28  # bytes of a file


class Shape(NamedTuple):
    """The numbers of a bundle's features and labels."""

    features: int
    labels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """One lesson: a text whose label the model was taught.

    Attributes:
        label: the label that the text has.
        new: whether the model did not know the label before.
        before: the label that the model gave the text before; None if none reached its threshold.
        score: the probability of `label` after the lesson.
        loss_rise: by how much all lessons so far have raised the mean cross-entropy of the bundle's replay, in nats.
        taught: when, ISO 8601 in UTC.
    """

    label: str
    new: bool
    before: str | None
    score: float
    loss_rise: float
    taught: str

    def to_json(self) -> dict[str, Any]:
        """Return the lesson as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Lessons:
    """The lessons of one model, in order.

    Attributes:
        bundle: the digest of the bundle's manifest, whose features the lessons are made of.
        history: what is known of each lesson.
        features: the model's features of each lesson's text, float32 (lessons, features), rounded to 255 levels.
        logits: the graph's logits for each lesson's text, float32 (lessons, labels of the bundle).
        rows: the row of the lesson's label after the lesson, float64 (lessons, features + 1).
    """

    bundle: str
    history: tuple[Lesson, ...]
    features: NDArray[np.float32] = field(repr=False)
    logits: NDArray[np.float32] = field(repr=False)
    rows: NDArray[np.float64] = field(repr=False)

    @classmethod
    def none(cls, bundle: str, shape: Shape) -> Self:
        """Return no lessons, for the bundle whose manifest has the digest `bundle`."""
        empty = np.empty((0, shape.features), np.float32), np.empty((0, shape.labels), np.float32)
        return cls(bundle, (), *empty, np.empty((0, shape.features + 1)))

    @property
    def shape(self) -> Shape:
        """The numbers of the bundle's features and labels."""
        return Shape(self.features.shape[1], self.logits.shape[1])

    def with_lesson(
        self,
        lesson: Lesson,
        features: NDArray[np.float32],
        logits: NDArray[np.float32],
        row: NDArray[np.float64],
    ) -> Self:
        """Return these lessons and one more; the arrays are one row each of the attributes."""
        return type(self)(
            self.bundle,
            (*self.history, lesson),
            np.vstack([self.features, features]),
            np.vstack([self.logits, logits]),
            np.vstack([self.rows, row]),
        )

    def first(self, count: int) -> Self:
        """Return the first `count` lessons."""
        return type(self)(
            self.bundle,
            self.history[:count],
            self.features[:count],
            self.logits[:count],
            self.rows[:count],
        )

    @classmethod
    def read(cls, path: Path, bundle: str, shape: Shape) -> Self | None:
        """Return the lessons in the file at `path`; None if the file does not exist.

        Args:
            path: the file.
            bundle: the digest of the manifest of the bundle that the lessons must be of.
            shape: the numbers of the bundle's features and labels.

        Raises InputError, which names the file, if it is not a file of lessons, damaged, or of another bundle.
        """
        if not path.exists():
            return None
        try:
            content = read_file(path.parent, path.name, _LARGEST)
        except BundleError as error:
            raise InputError(str(error)) from error
        try:
            header, arrays = _split(content)
            if header.bundle != bundle:
                raise _FileError(
                    "holds lessons of another bundle, or of an earlier export, whose features differ"
                )
            return cls(bundle, header.lessons, *_arrays(arrays, len(header.lessons), shape))
        except _FileError as error:
            raise InputError(
                f"{path} {error}; it is left as it is: name another file, or remove it"
            ) from error

    def write(self, path: Path) -> None:
        """Replace the file at `path`, whole or not at all. Raises OSError."""
        import hashlib  # brings OpenSSL, which `import ftool_runtime` does not need

        values = {"bundle": self.bundle, "lessons": [one.to_json() for one in self.history]}
        header = json.dumps(values, ensure_ascii=False, allow_nan=False).encode()
        content = (
            _MAGIC
            + _NUMBER.pack(len(header))
            + header
            + packed(self.features)
            + self.logits.astype("<f4").tobytes()
            + self.rows.astype("<f8").tobytes()
        )
        with replacing_binary(path) as file:
            file.write(content + hashlib.sha256(content).digest())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    bundle: str
    lessons: tuple[Lesson, ...]


class _FileError(Exception):
    """Raised if a file can't be used; the message is what the file does, such as "is damaged"."""


def _split(content: bytes) -> tuple[_Header, bytes]:
    """Return a file's header and its arrays. Raises _FileError."""
    import hashlib

    if not content.startswith(_MAGIC):
        raise _FileError("is not a file of lessons")
    begin = len(_MAGIC) + _NUMBER.size
    covered, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
    if len(covered) < begin or hashlib.sha256(covered).digest() != digest:
        raise _FileError("is damaged: its content does not match its SHA-256")
    (length,) = _NUMBER.unpack(content[len(_MAGIC) : begin])
    try:
        values: Any = read_json(covered[begin : begin + length])
        return JSON.build(_Header, values), covered[begin + length :]
    except (JsonError, BundleError) as error:
        raise _FileError(f"has a header that can't be used: {error}") from error


def _arrays(
    content: bytes, count: int, shape: Shape
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]:
    """Return features, logits and rows. Raises _FileError."""
    width, labels = shape
    sizes = (4 * count, count * width, 4 * count * labels, 8 * count * (width + 1))
    if len(content) != sum(sizes):
        raise _FileError(f"has arrays of another size than {count} lessons of {width} features")
    scales, levels, logits, rows = parts(content, sizes)
    found = (
        unpacked(scales, levels, width),
        np.frombuffer(logits, "<f4").reshape(count, labels).astype(np.float32),
        np.frombuffer(rows, "<f8").reshape(count, width + 1).astype(np.float64),
    )
    if not all(np.isfinite(array).all() for array in found):
        raise _FileError("holds numbers that are not finite")
    return found
