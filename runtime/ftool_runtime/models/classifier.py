"""`TextClassifier`: text classification, which finds the labels of a text or of a pair of texts."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from ftool_runtime.bundle.contracts import FEATURES_OUTPUT, MAX_LOSS_RISE
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.errors import InputError, naming_bundle
from ftool_runtime.models.text_model import TextModel
from ftool_runtime.postprocessing.classification import (
    Classification,
    NoneBelow,
    TextInput,
    Thresholds,
    check_options,
    classification,
    probabilities,
    resolve_none_below,
    resolve_thresholds,
)
from ftool_runtime.session.deadline import time_limit
from ftool_runtime.session.encoder_engine import EncoderEngine, Outputs
from ftool_runtime.teaching.head import Head
from ftool_runtime.text.encode import Tokens

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from ftool_runtime.teaching.learner import Learner
    from ftool_runtime.teaching.lessons import Lesson
    from ftool_runtime.teaching.taught_head import TaughtHead


class _Options(NamedTuple):
    top_k: int | None
    limits: NDArray[np.float64] | None  # multi-label: the threshold of each label, (labels,)
    head: Head
    none_below: float | None  # single-label: the probability below which no label applies


class TextClassifier(TextModel[Classification]):
    """A loaded classifier. Call it with one input or many; several threads can call it at the same time.

    An input is a text. For models that read pairs, an input is a tuple of two texts, or a dict of "text" and
    "text_pair".
    """

    tasks: ClassVar[tuple[str, ...]] = ("text-classification",)
    call_options: ClassVar[tuple[str, ...]] = ("top_k", "thresholds", "none_below")

    def __init__(self, folder: Path, engine: EncoderEngine, tokenizer: "Tokenizer") -> None:
        """Make a model from `engine`, which runs the bundle in `folder`, and the bundle's tokenizer."""
        super().__init__(folder, engine, tokenizer)
        manifest = engine.manifest
        self._learner = _learner(folder, manifest) if manifest.teaching is not None else None
        self._untaught = Head(manifest.labels, len(manifest.labels), manifest.thresholds)
        self.multi_label = engine.manifest.multi_label
        self.none_below = engine.manifest.none_below  # what training has fitted; None if nothing

    @classmethod
    def runs(cls, manifest: Manifest) -> bool:
        """Return whether this class runs bundles with this manifest."""
        return super().runs(manifest) and not manifest.regression

    @classmethod
    def width(cls, manifest: Manifest) -> int:
        """Return the number of outputs for each row: one logit for each label, and features for lessons."""
        return len(manifest.labels) + (manifest.teaching.features if manifest.teaching else 0)

    @classmethod
    def also(cls, manifest: Manifest) -> tuple[str, ...]:
        """Return the names of further outputs: "features" of models that can be taught."""
        return (FEATURES_OUTPUT,) if manifest.teaching else ()

    @property
    def labels(self) -> tuple[str, ...]:
        """The model's labels: the bundle's, and then those that it was taught."""
        return self._head.labels

    @property
    def teachable(self) -> bool:
        """Whether `teach` works: whether the bundle was exported with `--teachable`."""
        return self._learner is not None

    @property
    def lessons(self) -> "tuple[Lesson, ...]":
        """What the model was taught, in order."""
        return self._learner.history if self._learner else ()

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a str is Iterable[str] too, and the first overload wins
        self,
        texts: TextInput,
        text_pair: str | None = None,
        *,
        top_k: int | None = None,
        thresholds: Thresholds | None = None,
        none_below: NoneBelow | None = None,
    ) -> Classification: ...

    @overload
    def __call__(
        self,
        texts: Iterable[TextInput],
        *,
        top_k: int | None = None,
        thresholds: Thresholds | None = None,
        none_below: NoneBelow | None = None,
    ) -> list[Classification]: ...

    def __call__(
        self,
        texts: TextInput | Iterable[TextInput],
        text_pair: str | None = None,
        *,
        top_k: int | None = None,
        thresholds: Thresholds | None = None,
        none_below: NoneBelow | None = None,
    ) -> Classification | list[Classification]:
        """Classify one input, or many in one call.

        Args:
            texts: one input, or several in a list or another iterable. Each answer is independent of the other inputs.
            text_pair: for models that read pairs, the second text, if `texts` is the first text of a single pair.
            top_k: the largest number of labels in `Classification.top`; None for the labels that apply.
            thresholds: for multi-label models, the probability from which a label applies: one number for all labels,
                one for each label, or a mapping that changes some; None for the bundle's thresholds.
            none_below: for single-label models, the probability below which no label applies, so that the answer's
                `label` is None; "fitted" for the one that training has fitted; None if a label always applies.

        Returns:
            One answer for one input; for several inputs a list of answers in the same order.

        Raises:
            InputError: a text is not a string, blank, not Unicode, or lacks its pair (`row` says which); or a wrong
                option.
            ClosedError: after `close()`.
            OtherProcessError: in a child of the process that loaded the model.
        """
        return self._one_or_many(
            texts, text_pair, self._settle(top_k=top_k, thresholds=thresholds, none_below=none_below)
        )

    def open_lessons(self, path: Path | str) -> None:
        """Take the lessons in the file at `path`, which need not exist yet, and keep later lessons there.

        The bundle itself is not changed, and can be read-only. Several processes can teach with one file: none loses
        another's lessons, and each sees the others' with its own next lesson.

        Raises InputError if the bundle can't be taught, this model has lessons already, or the file is damaged, not one
        of lessons, or of another bundle.
        """
        self._require_learner().open(Path(path))

    def teach(self, text: TextInput, label: str, *, max_loss_rise: float = MAX_LOSS_RISE) -> "Lesson":
        """Teach the model that a text has a label, which may be new, and return what came of it.

        Only the label's logit changes, for every text; all other logits stay as they are. Without `open_lessons`, the
        model knows its lessons until it is closed.

        Args:
            text: one input, as for a call.
            label: one of the model's labels, or a new one. Multi-label models learn that it applies besides others.
            max_loss_rise: the most by which all lessons together may raise the mean cross-entropy of the bundle's
                replay (features of some of its training texts), in nats.

        Raises:
            LessonError: the label can't be learnt, or only by forgetting too much; the model stays as it was.
            InputError: the bundle can't be taught, the text or label is none, or the text was taught before.
        """
        learner = self._require_learner()
        with time_limit(self._limits.call_seconds), naming_bundle(self._folder):
            return learner.teach(np.asarray(self.graph_outputs([text]))[0], label, max_loss_rise)

    def lessons_known(self) -> list[bool]:
        """Return, for each of `lessons`, whether its text gets the label now; later lessons may have changed that."""
        return self._learner.known() if self._learner else []

    def undo(self) -> "Lesson":
        """Take back the latest lesson, and return it; answers are then what they were before it, bit by bit.

        Raises InputError if there is none.
        """
        return self._require_learner().undo()

    def reset(self) -> None:
        """Take back all lessons; a head that was adopted stays. Raises InputError if the bundle can't be taught."""
        self._require_learner().reset()

    def share_head(self, path: Path | str, *, min_lessons: int = 1) -> "TaughtHead":
        """Write the rows of the head that were taught here to a file, for `ftool merge`, and return them.

        The file holds labels, how many lessons each has had, and rows of weights; no texts, features or lessons. From
        the row of a label with few lessons much of their texts can be guessed (docs/teaching.md).

        Args:
            path: the file to write.
            min_lessons: labels with fewer lessons are left out.

        Raises InputError if the bundle can't be taught, there is nothing to share, or the file can't be written.
        """
        return self._require_learner().share(Path(path), min_lessons)

    def adopt_head(self, path: Path | str, *, max_loss_rise: float = MAX_LOSS_RISE) -> "tuple[Lesson, ...]":
        """Begin with a head that `ftool merge` has averaged, and learn this device's lessons once more on it, in order.

        Returns the lessons that can't be learnt on it with at most `max_loss_rise` (as for `teach`); they are dropped.

        Raises InputError if the bundle can't be taught, or the file can't be used; the model then stays as it was.
        """
        return self._require_learner().adopt(Path(path), max_loss_rise)

    def logits(self, texts: Iterable[TextInput]) -> NDArray[np.float32]:
        """Return the logits, float32 (texts, labels), before softmax or sigmoid. Raises the errors of a call."""
        return np.asarray(self.outputs(texts))

    def _settle(
        self,
        *,
        top_k: int | None = None,
        thresholds: Thresholds | None = None,
        none_below: NoneBelow | None = None,
    ) -> _Options:
        check_options(top_k, thresholds, self.multi_label)
        head = self._head
        known = resolve_thresholds(thresholds, head.labels, head.thresholds) if self.multi_label else None
        limit = resolve_none_below(none_below, self.none_below, multi_label=self.multi_label)
        return _Options(top_k, known, head, limit)

    @property
    def _head(self) -> Head:
        return self._learner.head if self._learner else self._untaught

    def _require_learner(self) -> "Learner":
        if self._learner is None:
            raise InputError(
                f"{self._folder} was not exported to be taught; export it with `ftool export --teachable`"
            )
        return self._learner

    def _finished(self, outputs: Outputs, options: _Options) -> Outputs:
        return options.head.logits(outputs) if self._learner else outputs

    def _decode(
        self, given: TextInput, encoded: Tokens, outputs: NDArray[np.float32], options: _Options
    ) -> Classification:
        return self._decode_all([given], [encoded], [outputs], options)[0]

    def _decode_all(
        self,
        inputs: Sequence[TextInput],
        encoded: Sequence[Tokens],
        outputs: Iterable[NDArray[np.float32]],
        options: _Options,
    ) -> list[Classification]:
        logits = np.asarray(outputs, dtype=np.float32).reshape(-1, len(options.head.labels))
        scores = probabilities(logits, multi_label=self.multi_label)  # of all rows at once, which costs less
        return [
            classification(
                row,
                probability,
                options.head.labels,
                options.limits,
                options.top_k,
                truncated=tokens.truncated,
                given=given,
                none_below=options.none_below,
            )
            for row, probability, tokens, given in zip(logits, scores, encoded, inputs, strict=True)
        ]


def _learner(folder: Path, manifest: Manifest) -> "Learner":
    from ftool_runtime.teaching.learner import Learner  # not needed by other bundles

    return Learner(folder, manifest)
