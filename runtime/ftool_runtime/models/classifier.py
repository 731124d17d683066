"""Text classification: logits to probabilities, probabilities to labels."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.errors import BundleError, InputError, nearest
from ftool_runtime.models.classification import Answer, Classification, Input, LabelScore, Score, pair_of
from ftool_runtime.models.encoder_model import EncoderModel
from ftool_runtime.models.inputs import cut, listed
from ftool_runtime.session.encoder_engine import Engine, Outputs
from ftool_runtime.text.encode import Tokens

__all__ = [
    "DEFAULT_THRESHOLD",
    "Classification",
    "LabelScore",
    "Score",
    "TextClassifier",
    "Thresholds",
    "classify",
    "probabilities",
    "resolve_thresholds",
]

DEFAULT_THRESHOLD = 0.5  # multi-label, where nothing was tuned: more likely than not

Thresholds = float | Mapping[str, float] | Sequence[float] | NDArray[np.floating]


class TextClassifier(EncoderModel):
    """A loaded classifier. Call it on one input or on many; several threads may do so at once.

    An input is a text. Of a model for pairs it is two: a tuple of them, or a dict of "text" and "text_pair". Answers
    are `Classification`, or `Score` where `regression` says that the model gives a number; there are no `labels` then.
    """

    call_options: ClassVar[tuple[str, ...]] = ("top_k", "thresholds")

    def __init__(self, folder: Path, engine: Engine) -> None:
        """Wrap the engine of the bundle in `folder`."""
        super().__init__(folder, engine)
        self._thresholds = engine.manifest.thresholds
        self.labels = engine.manifest.labels
        self.multi_label = engine.manifest.multi_label
        self.regression = engine.manifest.regression
        self.pairs = engine.manifest.pairs

    @classmethod
    def width(cls, manifest: Manifest) -> int:
        """A logit for every label, or one number."""
        return 1 if manifest.regression else len(manifest.labels)

    @property
    def input_fields(self) -> tuple[str, ...]:
        """The names of an input's texts."""
        return ("text", "text_pair") if self.pairs else ("text",)

    def __call__(
        self,
        texts: Any,
        text_pair: str | None = None,
        *,
        top_k: int | None = None,
        thresholds: Thresholds | None = None,
    ) -> Any:
        """Classify one input, or many in one call.

        Args:
            texts: a string, or strings; of a model for pairs a tuple or a dict, or these in a list. An answer does
                not depend on the others.
            text_pair: of a model for pairs the second text, where `texts` is the first of one pair.
            top_k: how many labels `Classification.top` holds; None: those that apply.
            thresholds: multi-label only: the probability from which a label applies, one for all labels,
                one a label, or a mapping that changes some; None: the bundle's own.

        Returns:
            One answer, a Classification or a Score, for one input; for several a list in the same order.

        Raises:
            InputError: a text is no string, blank or not Unicode, or comes without its pair (`row` tells which), or
                an option is wrong.
            ClosedError: after `close()`.
            OtherProcessError: in a child of the process that loaded the model.
        """
        limits = self._limits(top_k, thresholds)
        if text_pair is not None:
            texts = self._pair(texts, text_pair)
        if isinstance(texts, str) or (self.pairs and isinstance(texts, tuple | Mapping)):
            return self._answers([texts], 0, top_k, limits)[0]
        return self._answers(listed(texts), 0, top_k, limits)

    def predict_iter(
        self,
        texts: Iterable[Input],
        *,
        batch_size: int = 64,
        top_k: int | None = None,
        thresholds: Thresholds | None = None,
    ) -> Iterator[Answer]:
        """Classify a stream of texts, in order, with at most `batch_size` of them in memory.

        Texts are taken from `texts` only as answers are asked for. Raises InputError at once where an option
        is wrong, and as `__call__` does on the way; a text's `row` counts from the start of the stream.
        """
        answers = self.predict_batches(cut(texts, batch_size), top_k=top_k, thresholds=thresholds)
        return itertools.chain.from_iterable(answers)

    def predict_batches(
        self,
        batches: Iterable[Sequence[Input]],
        *,
        top_k: int | None = None,
        thresholds: Thresholds | None = None,
    ) -> Iterator[list[Answer]]:
        """Classify a stream of lists of texts, as long as the caller makes them: the answers of each list.

        Raises as `predict_iter`; a text's `row` counts from the start of the stream.
        """
        return self._stream(batches, top_k, self._limits(top_k, thresholds))

    def logits(self, texts: Iterable[Input]) -> NDArray[np.float32]:
        """The graph's own output, float32 (texts, labels), no softmax or sigmoid. Raises as `__call__`."""
        return self._logits(self._rows(listed(texts), 0))

    def outputs(self, inputs: Iterable[Input]) -> Outputs:
        """As `logits`."""
        return self.logits(inputs)

    def _limits(self, top_k: int | None, thresholds: Thresholds | None) -> NDArray[np.float64] | None:
        """Check the options before any text is read; the threshold of every label where several may apply."""
        if self.regression and (top_k is not None or thresholds is not None):
            raise InputError("top_k and thresholds are for labels; this model gives a number")
        _check_options(top_k, thresholds, self.multi_label)
        return resolve_thresholds(thresholds, self.labels, self._thresholds) if self.multi_label else None

    def _pair(self, text: Any, text_pair: Any) -> tuple[str, str]:
        if not self.pairs:
            raise InputError("this model takes one text at a time; give several in a list")
        if not isinstance(text, str) or not isinstance(text_pair, str):
            raise InputError("this model takes a pair as two strings, or pairs in a list")
        return text, text_pair

    def _stream(
        self, batches: Iterable[Sequence[Input]], top_k: int | None, limits: NDArray[np.float64] | None
    ) -> Iterator[list[Answer]]:
        first_row = 0
        for batch in batches:
            yield self._answers(batch, first_row, top_k, limits)
            first_row += len(batch)

    def _rows(self, texts: Sequence[Any], first_row: int) -> list[Tokens]:
        encode = self._engine.tokens.encode
        if not self.pairs:
            return [encode(text, row) for row, text in enumerate(texts, first_row)]
        pairs = [pair_of(given, row) for row, given in enumerate(texts, first_row)]
        return [encode(text, row, pair) for row, (text, pair) in enumerate(pairs, first_row)]

    def _logits(self, rows: Sequence[Tokens]) -> NDArray[np.float32]:  # (rows, labels)
        return np.asarray(self._engine.outputs(rows))

    def _answers(
        self, texts: Sequence[Input], first_row: int, top_k: int | None, limits: NDArray[np.float64] | None
    ) -> list[Answer]:
        rows = self._rows(texts, first_row)
        truncated = [row.truncated for row in rows]
        if self.regression:
            values = _finite(self._logits(rows))[:, 0].tolist()
            return [Score(value, cut) for value, cut in zip(values, truncated, strict=True)]
        return [
            *classify(
                self._logits(rows),
                self.labels,
                multi_label=self.multi_label,
                thresholds=limits,
                top_k=top_k,
                truncated=truncated,
            )
        ]


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
    values = _finite(np.asarray(logits))
    _check_options(top_k, thresholds, multi_label)
    limits = resolve_thresholds(thresholds, labels) if multi_label else None
    scores = probabilities(values, multi_label=multi_label)
    cut = truncated if truncated is not None else [False] * len(values)
    return [_answer(*row, labels, limits, top_k) for row in zip(values, scores, cut, strict=True)]


def _finite(values: NDArray[Any]) -> NDArray[Any]:
    if not np.isfinite(values).all():
        row = int((~np.isfinite(values)).any(axis=-1).argmax())
        raise BundleError(
            f"the model's answer to text {row} is not a finite number; run `ftool parity` on its checkpoint"
        )
    return values


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
    near = nearest(label, labels)
    hint = f"; did you mean {near!r}?" if near else ""
    raise InputError(f"thresholds: the model has no label {label!r}{hint}")
