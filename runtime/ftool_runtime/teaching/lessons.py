"""`Lessons`: what a model was taught on a device, in a file of its own beside the bundle."""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ftool_runtime.teaching.replay import packed, unpacked
from ftool_runtime.teaching.sealed import SealError, arrays_of, read_sealed, sealed, write_sealed
from ftool_runtime.teaching.taught_head import HeadHeader, TaughtHead, header_json

_MAGIC: Final = b"ftool lessons 1\n"


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
        base: the average of many devices' heads that the lessons began with; None if that was the bundle's own head.
    """

    bundle: str
    history: tuple[Lesson, ...]
    features: NDArray[np.float32] = field(repr=False)
    logits: NDArray[np.float32] = field(repr=False)
    rows: NDArray[np.float64] = field(repr=False)
    base: TaughtHead | None = None

    @classmethod
    def none(cls, bundle: str, shape: Shape, base: TaughtHead | None = None) -> Self:
        """Return no lessons, for the bundle whose manifest has the digest `bundle`, and the head `base`."""
        empty = np.empty((0, shape.features), np.float32), np.empty((0, shape.labels), np.float32)
        return cls(bundle, (), *empty, np.empty((0, shape.features + 1)), base)

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
        return replace(
            self,
            history=(*self.history, lesson),
            features=np.vstack([self.features, features]),
            logits=np.vstack([self.logits, logits]),
            rows=np.vstack([self.rows, row]),
        )

    def first(self, count: int) -> Self:
        """Return the first `count` lessons."""
        return replace(
            self,
            history=self.history[:count],
            features=self.features[:count],
            logits=self.logits[:count],
            rows=self.rows[:count],
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
            header, arrays = read_sealed(path, _MAGIC, "a file of lessons", _Header)
            if header.bundle != bundle:
                raise SealError(
                    "holds lessons of another bundle, or of an earlier export, whose features differ"
                )
            size = 8 * len(header.base.labels) * (shape.features + 1) if header.base else 0
            base = None
            if header.base is not None:
                base = TaughtHead.build(header.base, arrays[:size], bundle, shape.features)
            return cls(bundle, header.lessons, *_arrays(arrays[size:], len(header.lessons), shape), base)
        except SealError as error:
            raise error.of(path) from error

    def write(self, path: Path) -> None:
        """Replace the file at `path`, whole or not at all. Raises OSError."""
        base = self.base
        header = {
            "bundle": self.bundle,
            "lessons": [one.to_json() for one in self.history],
            **({} if base is None else {"base": header_json(base.header)}),
        }
        arrays = (
            (b"" if base is None else base.rows.astype("<f8").tobytes())
            + packed(self.features)
            + self.logits.astype("<f4").tobytes()
            + self.rows.astype("<f8").tobytes()
        )
        write_sealed(path, sealed(_MAGIC, header, arrays))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    bundle: str
    lessons: tuple[Lesson, ...]
    base: HeadHeader | None = None


def _arrays(
    content: bytes, count: int, shape: Shape
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]:
    """Return features, logits and rows. Raises SealError."""
    width, labels = shape
    sizes = (4 * count, count * width, 4 * count * labels, 8 * count * (width + 1))
    scales, levels, logits, rows = arrays_of(content, sizes, f"{count} lessons of {width} features")
    found = (
        unpacked(scales, levels, width),
        np.frombuffer(logits, "<f4").reshape(count, labels).astype(np.float32),
        np.frombuffer(rows, "<f8").reshape(count, width + 1).astype(np.float64),
    )
    if not all(np.isfinite(array).all() for array in found):
        raise SealError("holds numbers that are not finite")
    return found
