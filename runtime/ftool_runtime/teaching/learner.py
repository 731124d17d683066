"""`Learner`: the lessons of a loaded model, in memory or in a file that several processes may write."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ftool_runtime.bundle.files import read_file
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.bundle.paths import REPLAY_FILE
from ftool_runtime.errors import BundleError, InputError
from ftool_runtime.locks import check_name, writing
from ftool_runtime.teaching.lessons import Lesson, Lessons
from ftool_runtime.teaching.taught_head import TaughtHead
from ftool_runtime.teaching.teacher import LARGEST_REPLAY, Teacher

_WRITER: Final = "a lesson"  # the writer's name in errors of other processes


class Learner:
    """Keeps the lessons of a model that can be taught, and the head that they have made. Thread-safe.

    Attributes:
        head: the model's head now. A call uses one head, even if another thread teaches meanwhile.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        """Read the replay of the bundle in `folder`, which can be taught. Raises BundleError."""
        if REPLAY_FILE not in manifest.files:
            raise BundleError(f"{folder}: its manifest does not list {REPLAY_FILE}; export the bundle again")
        self._teacher = Teacher(manifest, read_file(folder, REPLAY_FILE, LARGEST_REPLAY))
        self._path: Path | None = None
        self._lock = threading.Lock()
        self._take(self._teacher.none())

    @property
    def history(self) -> tuple[Lesson, ...]:
        """What is known of each lesson, in order."""
        return self._lessons.history

    def open(self, path: Path) -> None:
        """Take the lessons in the file at `path`, which need not exist, and write later lessons there.

        Raises InputError if the file can't be used, if its folder does not exist, or if there are lessons already.
        """
        check_name(path)
        if not path.absolute().parent.is_dir():
            raise InputError(f"the folder of {path} does not exist; create it")
        with self._lock:
            if self._path is not None or self._lessons.history:
                raise InputError(
                    "this model has lessons already; load it again to open another file of lessons"
                )
            self._take(self._read(path))
            self._path = path

    def teach(self, outputs: NDArray[np.float32], label: str, max_loss_rise: float) -> Lesson:
        """Learn the label of the text with these outputs; arguments and errors are those of `Teacher.teach`."""

        def more(lessons: Lessons) -> Lessons:
            return self._teacher.on(lessons.base).teach(lessons, outputs, label, max_loss_rise)

        return self._change(more).history[-1]

    def known(self) -> list[bool]:
        """Return, for each lesson, whether the model gives its text the label now, as later lessons have left it."""
        with self._lock:
            return self._teacher.known(self._lessons)

    def undo(self) -> Lesson:
        """Take back the latest lesson, and return it. Raises InputError if there is none."""
        undone: list[Lesson] = []

        def fewer(lessons: Lessons) -> Lessons:
            if not lessons.history:
                raise InputError("no lesson to undo: nothing was taught yet")
            undone.append(lessons.history[-1])
            return lessons.first(len(lessons.history) - 1)

        self._change(fewer)
        return undone[0]

    def share(self, path: Path, min_lessons: int) -> TaughtHead:
        """Write the rows of labels that were taught here, without the lessons; see `TextClassifier.share_head`."""
        if isinstance(min_lessons, bool) or not isinstance(min_lessons, int) or min_lessons < 1:
            raise InputError(f"min_lessons must be a number of at least 1, got {min_lessons!r}")
        with self._lock:
            head = self._teacher.share(self._lessons, min_lessons)
        try:
            head.write(path)
        except OSError as error:
            raise InputError(f"the head can't be written to {path}: {error.strerror}") from error
        return head

    def adopt(self, path: Path, max_loss_rise: float) -> tuple[Lesson, ...]:
        """Begin with the head in the file at `path`; see `TextClassifier.adopt_head`."""
        base = TaughtHead.read(path, self._teacher.bundle, self._teacher.shape.features)
        dropped: list[Lesson] = []

        def again(lessons: Lessons) -> Lessons:
            found, lost = self._teacher.on(base).again(lessons, max_loss_rise)
            dropped.extend(lost)
            return found

        self._change(again)
        return tuple(dropped)

    def reset(self) -> None:
        """Take back all lessons; the head that they began with stays."""
        self._change(lambda lessons: lessons.first(0))

    def _change(self, change: Callable[[Lessons], Lessons]) -> Lessons:
        """Change the lessons, in the file too, and return them. If anything fails, all stays as it was.

        Lessons that other processes have written to the file meanwhile are kept.
        """
        with self._lock:
            if self._path is None:
                found = change(self._lessons)
            else:
                with writing(self._path, _WRITER, wait=True):
                    found = change(self._read(self._path))
                    try:
                        found.write(self._path)
                    except OSError as error:
                        raise InputError(
                            f"the lesson can't be kept in {self._path}: {error.strerror}"
                        ) from error
            self._take(found)
            return found

    def _read(self, path: Path) -> Lessons:
        """Return the lessons in the file; if it does not exist, none, which begin with the head of this model now."""
        return Lessons.read(path, self._teacher.bundle, self._teacher.shape) or self._teacher.none()

    def _take(self, lessons: Lessons) -> None:
        self._teacher = self._teacher.on(lessons.base)
        self._lessons, self.head = lessons, self._teacher.head(lessons)
