"""`Teacher`: one lesson at a time, a model learns a text's label, and what it knew is kept within a bound."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ftool_runtime.bundle.contracts import MAX_LOSS_RISE
from ftool_runtime.bundle.manifest import Manifest, digest_of
from ftool_runtime.errors import InputError, LessonError
from ftool_runtime.numerics import sigmoid, softmax
from ftool_runtime.schema import show
from ftool_runtime.teaching.head import Head
from ftool_runtime.teaching.lessons import Lesson, Lessons, Shape
from ftool_runtime.teaching.logistic import Examples, Ridge, fit_row, log_sum_exp
from ftool_runtime.teaching.replay import Replay, rounded
from ftool_runtime.teaching.taught_head import TaughtHead, is_label

_RIDGE: Final = 1e-4  # of the squared length of a row of weights
_SHARES: Final = (0.75, 1.0, 2.0, 4.0, 8.0)  # of an average label's replay, that a label's lessons count as
LARGEST_REPLAY: Final = 2**28  # bytes of the file
SURE: Final = 0.5  # the probability from which a taught label applies, in multi-label models


class Teacher:
    """Teaches the model of one bundle. It holds no lessons itself: methods take them, and return new ones."""

    def __init__(self, manifest: Manifest, replay: bytes, base: TaughtHead | None = None) -> None:
        """Make the teacher of the bundle with `manifest`, whose file `replay.bin` has the content `replay`.

        Lessons begin with the head `base`, and with the bundle's own if that is None.
        """
        assert manifest.teaching is not None
        self._manifest, self._content, self._base = manifest, replay, base
        self._shape = Shape(manifest.teaching.features, len(manifest.labels))
        self.bundle = digest_of(manifest.to_json())

    @cached_property
    def replay(self) -> Replay:
        """The bundle's replay. Raises BundleError if it is damaged."""
        assert self._manifest.teaching is not None
        return Replay.read(self._content, self._manifest.teaching, self._shape.labels)

    def on(self, base: TaughtHead | None) -> "Teacher":
        """Return a teacher of the same bundle, whose lessons begin with the head `base`."""
        return self if base is self._base else Teacher(self._manifest, self._content, base)

    @property
    def shape(self) -> Shape:
        """The numbers of the bundle's features and labels."""
        return self._shape

    def none(self) -> Lessons:
        """Return no lessons."""
        return Lessons.none(self.bundle, self._shape, self._base)

    def head(self, lessons: Lessons) -> Head:
        """Return the head of the model with `lessons`."""
        base = self._base
        rows = {} if base is None else dict(zip(base.labels, base.rows, strict=True))
        rows |= {lesson.label: row for lesson, row in zip(lessons.history, lessons.rows, strict=True)}
        known = self._manifest.labels
        labels = (*known, *(label for label in rows if label not in known))
        thresholds = None
        if self._manifest.multi_label:
            own = self._manifest.thresholds or (SURE,) * len(known)
            thresholds = (*own, *(SURE,) * (len(labels) - len(known)))
        columns = np.array([labels.index(label) for label in rows], np.int64)
        width = self._shape.features + 1
        return Head(labels, len(known), thresholds, columns, np.array([*rows.values()]).reshape(-1, width))

    def again(self, lessons: Lessons, max_loss_rise: float) -> tuple[Lessons, list[Lesson]]:
        """Teach lessons that began with another head once more, in order, on this teacher's.

        Returns the lessons, and those that can't be learnt with at most `max_loss_rise`, which are left out.
        """
        found, lost = self.none(), []
        for lesson, *outputs in zip(lessons.history, lessons.logits, lessons.features, strict=True):
            try:
                found = self.teach(found, np.concatenate(outputs), lesson.label, max_loss_rise)
            except LessonError:
                lost.append(lesson)
                continue
            latest = replace(found.history[-1], before=lesson.before, taught=lesson.taught)
            found = replace(found, history=(*found.history[:-1], latest))
        return found, lost

    def share(self, lessons: Lessons, min_lessons: int) -> TaughtHead:
        """Return the rows of labels that have had at least `min_lessons` of `lessons`. Raises InputError for none."""
        counts = Counter(lesson.label for lesson in lessons.history)
        rows = dict(
            zip((one.label for one in lessons.history), lessons.rows, strict=True)
        )  # the latest of each
        labels = [label for label in rows if counts[label] >= min_lessons]
        if not labels:
            raise InputError(
                f"nothing to share: no label has had {min_lessons} lessons here"
                if rows
                else "nothing to share: nothing was taught yet"
            )
        base = None if lessons.base is None else lessons.base.digest
        taught = tuple(counts[label] for label in labels)
        return TaughtHead(
            self.bundle, base, tuple(labels), taught, 1, np.array([rows[label] for label in labels])
        )

    def loss_rise(self) -> float:
        """Return by how much the head without lessons raises the mean cross-entropy of the bundle's replay, in nats."""
        values = np.hstack([self.replay.logits, self.replay.features])
        return self._loss(self.head(self.none()).logits(values)) - self._loss(self.replay.logits)

    def teach(
        self, lessons: Lessons, outputs: NDArray[np.float32], label: str, max_loss_rise: float = MAX_LOSS_RISE
    ) -> Lessons:
        """Return `lessons` and one more, after which the model gives a text the label `label`.

        One row of the head changes, that of `label`: all other logits stay as they are, bit by bit. The row minimises
        the cross-entropy of the replay, whose targets are what the bundle's own head says (Li and Hoiem 2016), and of
        all lessons. The lessons of a label count as much as three quarters of an average label's replay, and more if
        the text does not get its label otherwise.

        Args:
            lessons: the lessons so far, of this bundle.
            outputs: the graph's logits and features for the text, float32 (labels + features,).
            label: one of the model's labels, or a new one.
            max_loss_rise: the most by which all lessons together may raise the mean cross-entropy of the replay, in
                nats.

        Raises:
            InputError: the label is not a text, or the text was taught before.
            LessonError: the model can't learn the label without forgetting more than `max_loss_rise` allows.
        """
        _check(label, max_loss_rise)
        graph, features = outputs[: self._shape.labels], rounded(outputs[None, self._shape.labels :])[0]
        self._check_repeated(lessons, features, label)
        draft = _Draft(self, lessons, label, graph, features, outputs)
        row = draft.learn()
        logits = draft.logits(row)
        rise = self._loss(logits[: len(self.replay.logits)]) - self._loss(self.replay.logits)
        if rise > max_loss_rise:
            raise LessonError(
                f"not learnt: to call this text {label!r}, the model would forget too much: the loss on its replay "
                f"would rise by {rise:.3f}, and max_loss_rise is {max_loss_rise:g}; allow more, or teach a clearer text"
            )
        return lessons.with_lesson(draft.lesson(row, rise), features, graph, row)

    def known(self, lessons: Lessons) -> list[bool]:
        """Return, for each lesson, whether the model with all of them gives its text the label."""
        head = self.head(lessons)
        logits = head.logits(np.hstack([lessons.logits, lessons.features]))
        return [
            gives(row, head.labels.index(lesson.label), head.thresholds)
            for row, lesson in zip(logits, lessons.history, strict=True)
        ]

    def probabilities(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the probability of each label, float64 of the shape of `logits`."""
        return sigmoid(logits) if self._manifest.multi_label else softmax(logits)

    def _loss(self, logits: NDArray[np.floating]) -> float:
        """Return the mean cross-entropy of the replay, given its logits, (rows, labels), which may have new labels."""
        values, targets = logits.astype(np.float64), self.replay.targets
        hits = np.where(targets, values[:, : targets.shape[1]], 0.0).sum(axis=1)
        if self._manifest.multi_label:
            return float((np.logaddexp(0.0, values).sum(axis=1) - hits).mean())
        return float((log_sum_exp(values) - hits).mean())

    def _check_repeated(self, lessons: Lessons, features: NDArray[np.float32], label: str) -> None:
        for number, lesson in enumerate(lessons.history, 1):
            if not np.array_equal(lessons.features[number - 1], features):
                continue
            if lesson.label == label:
                raise InputError(f"this text was taught as {label!r} before, in lesson {number}")
            if not self._manifest.multi_label:
                raise InputError(
                    f"this text was taught as {lesson.label!r} before, in lesson {number}, and a text has one label; "
                    "undo that lesson first"
                )


class _Draft:
    """One lesson that is being learnt: a row is fitted to the replay's texts, the lessons' and this one.

    A row is what is added to the graph's logit of the label, float64 (features + 1,).
    """

    def __init__(
        self,
        teacher: Teacher,
        lessons: Lessons,
        label: str,
        graph: NDArray[np.float32],
        features: NDArray[np.float32],
        outputs: NDArray[np.float32],
    ) -> None:
        """Gather what the row of `label` is fitted to.

        `graph` and `features` are the text's logits and rounded features, `outputs` the logits and features as they
        are, on which a call gives the text its label.
        """
        self._teacher, self._label = teacher, label
        self._taught = [*(one.label for one in lessons.history), label]
        self._head = teacher.head(lessons)
        self._multi = self._head.thresholds is not None
        self._new = label not in self._head.labels
        self._column = len(self._head.labels) if self._new else self._head.labels.index(label)
        self._centre = _row_of(teacher.head(lessons.first(0)), self._column)  # where lessons began
        replay = teacher.replay
        stacked = np.vstack([replay.features, lessons.features, features]).astype(np.float64)
        self._features = np.hstack([stacked, np.ones((len(stacked), 1))])
        known = np.vstack([replay.logits, lessons.logits, graph]).astype(np.float64)
        self._logits = np.zeros((len(known), len(self._head.labels) + self._new))
        self._logits[:, : known.shape[1]] = known
        self._base = self._logits[
            :, self._column
        ].copy()  # what the graph gives the label; 0 for a taught one
        self._logits[:, self._head.columns] += (
            self._features @ self._head.rows.T if len(self._head.rows) else 0.0
        )

        self._outputs = outputs[graph.shape[0] :].astype(np.float64)
        self._before = self._head.logits(outputs[None])[0].astype(np.float64)  # of the text

    def learn(self) -> NDArray[np.float64]:
        """Return the row that gives the text its label, with the smallest share that does. Raises LessonError."""
        row = self._start()
        for share in _SHARES:
            row = self._fit(share, row)
            if self._learned(self._after(row)):
                return row
        raise LessonError(
            f"not learnt: the model can't tell this text from those with other labels; teach {self._label!r} by "
            "another text"
        )

    def logits(self, row: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the logits of all texts, (texts, labels), if the label has this row."""
        logits = self._logits.copy()
        logits[:, self._column] = self._base + self._features @ row
        return logits

    def lesson(self, row: NDArray[np.float64], rise: float) -> Lesson:
        """Return what is known of the lesson that has ended with `row`; `rise` is that of the loss."""
        return Lesson(
            label=self._label,
            new=self._new,
            before=self._answer(self._before),
            score=float(self._teacher.probabilities(self._after(row))[self._column]),
            loss_rise=rise,
            taught=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def _after(self, row: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the logits that a call gives for the text, if the label has this row."""
        logits = np.append(self._before, [0.0] * self._new)
        logits[self._column] = self._base[-1] + self._outputs @ row[:-1] + row[-1]
        return logits

    def _fit(self, share: float, start: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the label's row, if its lessons count as `share` of an average label's replay."""
        others = np.delete(self._logits, self._column, axis=1)
        offsets = (0.0 if self._multi else log_sum_exp(others)) - self._base
        examples = Examples(self._features, offsets, self._targets(), self._weights(share))
        return fit_row(examples, start, Ridge(_RIDGE, self._centre))

    def _targets(self) -> NDArray[np.float64]:
        """Return the label's wanted probability for each text: the bundle's of the replay, 0 or 1 of a lesson.

        In a multi-label model a lesson in one label says nothing about another.
        """
        logits = self._teacher.replay.logits
        known = self._column < logits.shape[1]
        kept = self._teacher.probabilities(logits)[:, self._column] if known else np.zeros(len(logits))
        return np.concatenate([kept, [float(label == self._label) for label in self._taught]])

    def _weights(self, share: float) -> NDArray[np.float64]:
        """Return weights: 1 in all for the replay, and `share` of a label's part of that for a label's lessons."""
        rows, labels = self._teacher.replay.logits.shape
        lessons = [
            share / (labels * self._taught.count(label)) * (not self._multi or label == self._label)
            for label in self._taught
        ]
        return np.concatenate([np.full(rows, 1 / rows), lessons])

    def _start(self) -> NDArray[np.float64]:
        row = _row_of(self._head, self._column)
        if self._column in self._head.columns:
            return row
        if self._new and not self._multi:
            row[-1] = log_sum_exp(self._logits[-1, : self._column])  # the text's probability is then one half
        return row

    def _learned(self, logits: NDArray[np.float64]) -> bool:
        thresholds = self._head.thresholds
        return gives(
            logits, self._column, (*thresholds, SURE) if thresholds is not None and self._new else thresholds
        )

    def _answer(self, logits: NDArray[np.float64]) -> str | None:
        best, thresholds = int(logits.argmax()), self._head.thresholds
        applies = thresholds is None or sigmoid(logits)[best] >= thresholds[best]
        return self._head.labels[best] if applies else None


def _row_of(head: Head, column: int) -> NDArray[np.float64]:
    """Return the row of a label, float64 (features + 1,); zeros if it was not taught."""
    places = np.flatnonzero(head.columns == column)
    return head.rows[places[0]].copy() if len(places) else np.zeros(head.rows.shape[1])


def gives(logits: NDArray[np.floating], column: int, thresholds: Sequence[float] | None) -> bool:
    """Return whether a text with these logits, (labels,), gets the label at `column`."""
    if thresholds is None:
        return int(logits.argmax()) == column
    return bool(sigmoid(logits[column]) >= thresholds[column])


def _check(label: Any, max_loss_rise: Any) -> None:
    if not is_label(label):
        raise InputError(f"a label is a text of 1 to 500 printable characters, got {show(label)}")
    number = isinstance(max_loss_rise, int | float) and not isinstance(max_loss_rise, bool)
    if not number or not max_loss_rise >= 0:
        raise InputError(f"max_loss_rise must be a number of at least 0, got {max_loss_rise!r}")
