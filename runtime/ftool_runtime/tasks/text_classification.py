"""Text classification: logits to probabilities, probabilities to labels."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ftool_runtime.engine import Engine, Outputs
from ftool_runtime.errors import BundleError, InputError
from ftool_runtime.manifest import Manifest
from ftool_runtime.tasks.encoder_model import EncoderModel
from ftool_runtime.tasks.many_texts import cut, listed
from ftool_runtime.token_encoder import Tokens

DEFAULT_THRESHOLD = 0.5  # multi-label, where nothing was tuned: more likely than not

Thresholds = float | Mapping[str, float] | Sequence[float] | NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class LabelScore:
    """A label and its probability."""

    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Classification:
    """What the model says of one text.

    Attributes:
        label: the most probable label.
        score: its probability.
        labels: the labels that apply, most probable first. Single-label: the best one. Multi-label: those at
            or above their thresholds, perhaps none.
        scores: the probability of every label, in the manifest's order.
        top: as many of the best labels as `top_k` asked for, best first; without `top_k` those of `labels`.
        truncated: the text was longer than the model takes and its end was not read.
    """

    label: str
    score: float
    labels: tuple[str, ...]
    scores: tuple[float, ...]
    top: tuple[LabelScore, ...]
    truncated: bool = False

    def to_json(self, text: str) -> dict[str, Any]:
        """The answer to `text` as `predict` prints it: JSON values."""
        return {
            "text": text,
            "label": self.label,
            "score": self.score,
            "labels": list(self.labels),
            "top": [{"label": one.label, "score": one.score} for one in self.top],
            "truncated": self.truncated,
        }


class TextClassifier(EncoderModel):
    """A loaded classifier. Call it on one text or on many; several threads may do so at once."""

    call_options: ClassVar[tuple[str, ...]] = ("top_k", "thresholds")

    def __init__(self, folder: Path, engine: Engine) -> None:
        """Wrap the engine of the bundle in `folder`."""
        super().__init__(folder, engine)
        self._thresholds = engine.manifest.thresholds
        self.labels = engine.manifest.labels
        self.multi_label = engine.manifest.multi_label

    @classmethod
    def width(cls, manifest: Manifest) -> int:
        """A logit for every label."""
        return len(manifest.labels)

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a str is Iterable[str] too, and the first overload wins
        self, texts: str, *, top_k: int | None = None, thresholds: Thresholds | None = None
    ) -> Classification: ...

    @overload
    def __call__(
        self, texts: Iterable[str], *, top_k: int | None = None, thresholds: Thresholds | None = None
    ) -> list[Classification]: ...

    def __call__(
        self, texts: str | Iterable[str], *, top_k: int | None = None, thresholds: Thresholds | None = None
    ) -> Classification | list[Classification]:
        """Classify one text, or many in one call.

        Args:
            texts: a string, or strings; an answer does not depend on the others.
            top_k: how many labels `Classification.top` holds; None: those that apply.
            thresholds: multi-label only: the probability from which a label applies, one for all labels,
                one a label, or a mapping that changes some; None: the bundle's own.

        Returns:
            One answer for a string; for strings a list of answers in the same order.

        Raises:
            InputError: a text is no string, blank or not Unicode (`row` tells which), or an option is wrong.
            ClosedError: after `close()`.
            OtherProcessError: in a child of the process that loaded the model.
        """
        limits = self._limits(top_k, thresholds)
        if isinstance(texts, str):
            return self._answers([texts], 0, top_k, limits)[0]
        return self._answers(listed(texts), 0, top_k, limits)

    def predict_iter(
        self,
        texts: Iterable[str],
        *,
        batch_size: int = 64,
        top_k: int | None = None,
        thresholds: Thresholds | None = None,
    ) -> Iterator[Classification]:
        """Classify a stream of texts, in order, with at most `batch_size` of them in memory.

        Texts are taken from `texts` only as answers are asked for. Raises InputError at once where an option
        is wrong, and as `__call__` does on the way; a text's `row` counts from the start of the stream.
        """
        answers = self.predict_batches(cut(texts, batch_size), top_k=top_k, thresholds=thresholds)
        return itertools.chain.from_iterable(answers)

    def predict_batches(
        self,
        batches: Iterable[Sequence[str]],
        *,
        top_k: int | None = None,
        thresholds: Thresholds | None = None,
    ) -> Iterator[list[Classification]]:
        """Classify a stream of lists of texts, as long as the caller makes them: the answers of each list.

        Raises as `predict_iter`; a text's `row` counts from the start of the stream.
        """
        return self._stream(batches, top_k, self._limits(top_k, thresholds))

    def logits(self, texts: Iterable[str]) -> NDArray[np.float32]:
        """The graph's own output, float32 (texts, labels), no softmax or sigmoid. Raises as `__call__`."""
        return self._logits(self._rows(listed(texts), 0))

    def outputs(self, inputs: Iterable[str]) -> Outputs:
        """As `logits`."""
        return self.logits(inputs)

    def _limits(self, top_k: int | None, thresholds: Thresholds | None) -> NDArray[np.float64] | None:
        """Check the options before any text is read; the threshold of every label where several may apply."""
        _check_options(top_k, thresholds, self.multi_label)
        return resolve_thresholds(thresholds, self.labels, self._thresholds) if self.multi_label else None

    def _stream(
        self, batches: Iterable[Sequence[str]], top_k: int | None, limits: NDArray[np.float64] | None
    ) -> Iterator[list[Classification]]:
        first_row = 0
        for batch in batches:
            yield self._answers(batch, first_row, top_k, limits)
            first_row += len(batch)

    def _rows(self, texts: Sequence[str], first_row: int) -> list[Tokens]:
        return [self._engine.tokens.encode(text, row) for row, text in enumerate(texts, first_row)]

    def _logits(self, rows: Sequence[Tokens]) -> NDArray[np.float32]:  # (rows, labels)
        return np.asarray(self._engine.outputs(rows))

    def _answers(
        self, texts: Sequence[str], first_row: int, top_k: int | None, limits: NDArray[np.float64] | None
    ) -> list[Classification]:
        rows = self._rows(texts, first_row)
        return classify(
            self._logits(rows),
            self.labels,
            multi_label=self.multi_label,
            thresholds=limits,
            top_k=top_k,
            truncated=[row.truncated for row in rows],
        )


def probabilities(logits: ArrayLike, *, multi_label: bool) -> NDArray[np.float64]:
    """Softmax over the labels, or a sigmoid for each of them where several may apply.

    Args:
        logits: any float array (batch, labels).
        multi_label: whether labels are independent of each other.

    Returns:
        float64 array (batch, labels). A row's numbers do not depend on the other rows.
    """
    values = np.asarray(logits, dtype=np.float64)
    if multi_label:
        # exp of a negative number only, so that nothing overflows
        small = np.exp(-np.abs(values))
        result: NDArray[np.float64] = np.where(values >= 0, 1.0, small) / (1.0 + small)
        return result
    exponentials = np.exp(values - values.max(axis=-1, keepdims=True))
    softmax: NDArray[np.float64] = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return softmax


def classify(
    logits: ArrayLike,
    labels: Sequence[str],
    *,
    multi_label: bool = False,
    thresholds: Thresholds | None = None,
    top_k: int | None = None,
    truncated: Sequence[bool] | None = None,
) -> list[Classification]:
    """Turn logits into answers. The torch reference and the ONNX run both end here.

    Args:
        logits: any float array (batch, labels).
        labels: the label names, in the order of the logits.
        multi_label: whether several labels may apply to one text.
        thresholds: multi-label only, see `resolve_thresholds`.
        top_k: how many labels `Classification.top` holds, all if there are fewer; None: those that apply.
        truncated: for every row, whether its text was cut; None: none was.

    Returns:
        One answer a row. Of equally probable labels the earlier comes first.

    Raises:
        InputError: `top_k` or `thresholds` makes no sense.
        BundleError: a logit is not a finite number.
    """
    values = np.asarray(logits)
    if not np.isfinite(values).all():
        row = int((~np.isfinite(values)).any(axis=-1).argmax())
        raise BundleError(
            f"the model's answer to text {row} is not a finite number; run `ftool parity` on its checkpoint"
        )
    _check_options(top_k, thresholds, multi_label)
    limits = resolve_thresholds(thresholds, labels) if multi_label else None
    scores = probabilities(values, multi_label=multi_label)
    cut = truncated if truncated is not None else [False] * len(values)
    return [_answer(*row, labels, limits, top_k) for row in zip(values, scores, cut, strict=True)]


def _answer(
    logits: NDArray[np.floating],  # (labels,)
    scores: NDArray[np.float64],  # (labels,)
    truncated: bool,
    labels: Sequence[str],
    thresholds: NDArray[np.float64] | None,  # (labels,)
    top_k: int | None,
) -> Classification:
    plain = scores.tolist()
    if thresholds is None and top_k in (None, 1):  # the common case needs no sorting
        best = int(logits.argmax())
        top = (LabelScore(labels[best], plain[best]),)
        return Classification(labels[best], plain[best], (labels[best],), tuple(plain), top, truncated)
    order = np.argsort(-logits, kind="stable").tolist()  # by logit: probabilities near 1 may be equal
    if thresholds is None:
        applying = order[:1]
    else:
        reached = (scores >= thresholds).tolist()
        applying = [i for i in order if reached[i]]
    shown = applying if top_k is None else order[:top_k]
    return Classification(
        label=labels[order[0]],
        score=plain[order[0]],
        labels=tuple(labels[i] for i in applying),
        scores=tuple(plain),
        top=tuple(LabelScore(labels[i], plain[i]) for i in shown),
        truncated=truncated,
    )


def _check_options(top_k: int | None, thresholds: Thresholds | None, multi_label: bool) -> None:
    if top_k is not None and (isinstance(top_k, bool) or not isinstance(top_k, int) or top_k < 1):
        raise InputError(f"top_k must be a whole number of at least 1, got {top_k!r}")
    if thresholds is not None and not multi_label:
        raise InputError("thresholds are for multi-label models; this one gives every text exactly one label")


def resolve_thresholds(
    thresholds: Thresholds | None, labels: Sequence[str], default: Sequence[float] | None = None
) -> NDArray[np.float64]:
    """The probability from which each label applies, float64 (labels,).

    Args:
        thresholds: one number for all labels, one a label, a mapping from some labels to numbers, or None.
        labels: the label names.
        default: one number a label, for those that `thresholds` does not name; None: 0.5 each.

    Raises:
        InputError: an unknown label, a wrong count, or a number outside 0 to 1.
    """
    limits = (
        np.full(len(labels), DEFAULT_THRESHOLD) if default is None else np.array(default, dtype=np.float64)
    )
    if isinstance(thresholds, Mapping):
        for label, threshold in thresholds.items():
            limits[_index(label, labels)] = _number(threshold)
    elif isinstance(thresholds, Sequence | np.ndarray):
        if len(thresholds) != len(labels):
            raise InputError(f"thresholds: got {len(thresholds)} numbers for {len(labels)} labels")
        limits = np.array([_number(threshold) for threshold in thresholds])
    elif thresholds is not None:
        limits = np.full(len(labels), _number(thresholds))
    if not ((limits >= 0) & (limits <= 1)).all():
        raise InputError(f"thresholds are probabilities between 0 and 1, got {thresholds!r}")
    return limits


def _number(threshold: object) -> float:
    if isinstance(threshold, bool) or not isinstance(threshold, int | float | np.number):
        raise InputError(f"a threshold is a number between 0 and 1, got {threshold!r}")
    return float(threshold)


def _index(label: str, labels: Sequence[str]) -> int:
    if label in labels:
        return labels.index(label)
    import difflib

    near = difflib.get_close_matches(str(label), labels, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise InputError(f"thresholds: the model has no label {label!r}{hint}")
