"""Average the heads that several devices have taught."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ftool_runtime.bundle.contracts import MAX_LOSS_RISE
from ftool_runtime.bundle.files import read_file
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.bundle.paths import REPLAY_FILE
from ftool_runtime.errors import InputError, LessonError
from ftool_runtime.teaching.taught_head import TaughtHead
from ftool_runtime.teaching.teacher import LARGEST_REPLAY, Teacher


@dataclass(frozen=True)
class Merged:
    """The average of several devices' heads.

    Attributes:
        head: the average.
        loss_rise: by how much it raises the mean cross-entropy of the bundle's replay, in nats.
        loss_rises: the same for each device's head, by the name of its file.
    """

    head: TaughtHead
    loss_rise: float
    loss_rises: Mapping[str, float]


def merge_files(
    bundle: Path, files: Sequence[Path], base: Path | None = None, *, max_loss_rise: float = MAX_LOSS_RISE
) -> Merged:
    """Return the average of the heads in `files`, which devices with the same bundle have shared; see `merge`.

    Args:
        bundle: the folder of the bundle, which can be taught.
        files: what `share_head` has written on each device.
        base: the file of the head that they all began with; None if that was the bundle's own.
        max_loss_rise: the most by which each head, and their average, may raise the mean cross-entropy of the bundle's
            replay, in nats.

    Raises:
        BundleError: the bundle can't be read.
        InputError: the bundle can't be taught, or a file can't be used or merged.
        LessonError: a head, or the average, raises the loss by more than `max_loss_rise`.
    """
    manifest = Manifest.read(bundle)
    if manifest.teaching is None:
        raise InputError(f"{bundle} was not exported to be taught; export it with `ftool export --teachable`")
    teacher = Teacher(manifest, read_file(bundle, REPLAY_FILE, LARGEST_REPLAY))
    features = manifest.teaching.features
    first = None if base is None else TaughtHead.read(base, teacher.bundle, features)
    heads = {str(file): TaughtHead.read(file, teacher.bundle, features) for file in files}
    if len(heads) < len(files):
        twice = next(file for number, file in enumerate(files) if file in files[:number])
        raise InputError(f"{twice} is given twice: name each device's head once")
    rises = {
        name: _rise(teacher, merge({name: head}, first), name, max_loss_rise) for name, head in heads.items()
    }
    merged = merge(heads, first)
    return Merged(merged, _rise(teacher, merged, "their average", max_loss_rise), rises)


def _rise(teacher: Teacher, head: TaughtHead, name: str, most: float) -> float:
    """Return by how much a head raises the loss of the replay. Raises LessonError if that is more than `most`."""
    rise = teacher.on(head).loss_rise()
    if not rise <= most:
        raise LessonError(
            f"not merged: {name} would make the model forget too much: the loss on its replay would rise by "
            f"{rise:.3f}, and max_loss_rise is {most:g}; leave it out, or allow more"
        )
    return rise


def merge(heads: Mapping[str, TaughtHead], base: TaughtHead | None = None) -> TaughtHead:
    """Return the average of heads that several devices have taught, for all of them to go on with.

    The row of a label is the mean of the devices' that have taught it, weighted by their lessons of it (federated
    averaging; McMahan et al. 2017, Algorithm 1, with the weights of each label by itself, since a device sends only the
    rows that it has taught). A label that no device has taught keeps its row of `base`.

    Args:
        heads: the devices' heads by name, such as the names of their files; of one bundle.
        base: the head that they all began with; None if that was the bundle's own.

    Raises InputError if there are no heads, one is given twice, or one began with another head.
    """
    if not heads:
        raise InputError("there are no heads to merge; name the files that devices have shared")
    _check(heads, None if base is None else base.digest)
    taught = {label for head in heads.values() for label in head.labels}
    before = (
        {} if base is None else dict(zip(base.labels, zip(base.lessons, base.rows, strict=True), strict=True))
    )
    labels = (*before, *sorted(taught - before.keys()))
    rows, lessons = [], []
    for label in labels:
        known = before[label][0] if label in before else 0
        found = [(head, head.labels.index(label)) for head in heads.values() if label in head.labels]
        if not found:
            rows.append(before[label][1])
            lessons.append(known)
            continue
        counts = [head.lessons[place] for head, place in found]
        rows.append(np.average([head.rows[place] for head, place in found], axis=0, weights=counts))
        lessons.append(known + sum(counts))
    first = next(iter(heads.values()))
    return TaughtHead(
        first.bundle,
        None if base is None else base.digest,
        labels,
        tuple(lessons),
        len(heads),
        np.array(rows),
    )


def _check(heads: Mapping[str, TaughtHead], base: str | None) -> None:
    """Raise InputError if heads can't be merged."""
    seen: dict[str, str] = {}
    for name, head in heads.items():
        if head.base != base:
            began = "the bundle's own head" if head.base is None else f"the head {head.base[:12]}"
            wanted = "the bundle's own" if base is None else base[:12]
            raise InputError(
                f"{name} began with {began}, and the others with {wanted}: name what they all began with as the base, "
                "and merge only heads of one round"
            )
        if head.digest in seen:
            raise InputError(f"{name} is the same head as {seen[head.digest]}: name each device's once")
        seen[head.digest] = name
