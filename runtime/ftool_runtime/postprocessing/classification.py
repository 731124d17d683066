"""Convert logits to classification answers: probabilities, and the labels that apply."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ftool_runtime.errors import BundleError, InputError, is_one_of, nearest
from ftool_runtime.numerics import sigmoid, softmax

TextInput = str | tuple[str, str] | Mapping[str, str]  # a text, or a pair of texts for models that read pairs

DEFAULT_THRESHOLD = 0.5  # for multi-label models without tuned thresholds

NoneBelow = (
    float | Literal["fitted"]
)  # the probability below which no label applies; "fitted": the bundle's own
Thresholds = float | Mapping[str, float] | Sequence[float] | NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class LabelScore:
    """A label and its probability."""

    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Classification:
    """The answer of a classifier to one input.

    Attributes:
        label: the most probable label; None if the call asked for no label below a probability, and `score` is below.
        score: the probability of the most probable label.
        labels: the labels that apply, most probable first. For a single-label model, just `label`, or none if that is
            None; for a multi-label model, all labels at or above their thresholds, possibly none.
        scores: the probability of every label, in the manifest's order.
        top: the `top_k` most probable labels, best first; without `top_k`, the same labels as in `labels`.
        truncated: whether part of the input was cut off, because it was longer than the model reads.
        input: the given input; None if the answer was not made by a model's call.
    """

    label: str | None
    score: float
    labels: tuple[str, ...]
    scores: tuple[float, ...]
    top: tuple[LabelScore, ...]
    truncated: bool = False
    input: TextInput | None = field(default=None, compare=False, repr=False)

    def to_json(self, given: TextInput | None = None) -> dict[str, Any]:
        """Return the answer as JSON values, as `predict` prints it; `given`, if not None, replaces `input`."""
        return {
            **fields_of(given, self.input),
            "label": self.label,
            "score": self.score,
            "labels": list(self.labels),
            "top": [{"label": one.label, "score": one.score} for one in self.top],
            "truncated": self.truncated,
        }


@dataclass(frozen=True, slots=True)
class Score:
    """The answer of a regressor to one input, such as the similarity of two texts.

    Attributes:
        value: the number, on the scale of the training data.
        truncated: whether part of the input was cut off, because it was longer than the model reads.
        input: the given input; None if the answer was not made by a model's call.
    """

    value: float
    truncated: bool = False
    input: TextInput | None = field(default=None, compare=False, repr=False)

    def to_json(self, given: TextInput | None = None) -> dict[str, Any]:
        """Return the answer as JSON values, as `predict` prints it; `given`, if not None, replaces `input`."""
        return {**fields_of(given, self.input), "score": self.value, "truncated": self.truncated}


@dataclass(frozen=True, slots=True)
class Scores:
    """The answer to one input of a regressor with several outputs, such as the grades of an essay.

    Attributes:
        values: the number of each output by the output's name, on the scale of the training data.
        truncated: whether part of the input was cut off, because it was longer than the model reads.
        input: the given input; None if the answer was not made by a model's call.
    """

    values: Mapping[str, float]
    truncated: bool = False
    input: TextInput | None = field(default=None, compare=False, repr=False)

    def to_json(self, given: TextInput | None = None) -> dict[str, Any]:
        """Return the answer as JSON values, as `predict` prints it; `given`, if not None, replaces `input`."""
        return {**fields_of(given, self.input), "scores": dict(self.values), "truncated": self.truncated}


def fields_of(given: TextInput | None, known: TextInput | None) -> dict[str, str]:
    """Return the texts of the input `given`, or of `known` if `given` is None, under "text" and "text_pair"."""
    given = known if given is None else given
    if given is None:
        return {}
    if isinstance(given, str):
        return {"text": given}
    return dict(given) if isinstance(given, Mapping) else dict(zip(("text", "text_pair"), given, strict=True))


def probabilities(logits: ArrayLike, *, multi_label: bool) -> NDArray[np.float64]:
    """Return the probability of each label: a softmax over the labels, or a sigmoid for each label if `multi_label`.

    Args:
        logits: any float array (batch, labels).
        multi_label: whether several labels may apply to the same input.

    Returns:
        float64 (batch, labels). Each row is independent of the others.
    """
    return sigmoid(logits) if multi_label else softmax(logits)


def classify(
    logits: ArrayLike,
    labels: Sequence[str],
    *,
    multi_label: bool = False,
    thresholds: Thresholds | None = None,
    top_k: int | None = None,
    truncated: Sequence[bool] | None = None,
) -> list[Classification]:
    """Convert logits, from PyTorch or ONNX, to answers.

    Args:
        logits: any float array (batch, labels).
        labels: the label names, in the order of the logits.
        multi_label: whether several labels may apply to one text.
        thresholds: multi-label only, see `resolve_thresholds`.
        top_k: the largest number of labels in `Classification.top`; None for the labels that apply.
        truncated: for each row, whether its text was cut; None if no text was cut.

    Returns:
        One answer for each row. Among equally probable labels, the earlier one comes first.

    Raises:
        InputError: `top_k` or `thresholds` is invalid.
        BundleError: a logit is not a finite number.
    """
    values = np.asarray(logits)
    if not np.isfinite(values).all():
        row = int((~np.isfinite(values)).any(axis=-1).argmax())
        raise BundleError(
            f"the model's output for text {row} is not a finite number; run `ftool parity` on its checkpoint"
        )
    check_options(top_k, thresholds, multi_label)
    limits = resolve_thresholds(thresholds, labels) if multi_label else None
    scores = probabilities(values, multi_label=multi_label)
    cut = truncated if truncated is not None else [False] * len(values)
    return [
        classification(row, probability, labels, limits, top_k, truncated=was_cut)
        for row, probability, was_cut in zip(values, scores, cut, strict=True)
    ]


def classification(
    logits: NDArray[np.floating],  # (labels,)
    scores: NDArray[np.float64],  # (labels,)
    labels: Sequence[str],
    thresholds: NDArray[np.float64] | None,  # (labels,)
    top_k: int | None,
    *,
    truncated: bool,
    given: TextInput | None = None,
    none_below: float | None = None,
) -> Classification:
    """Return the answer for one row of logits; `scores` are the labels' probabilities.

    If `thresholds` is None, exactly one label applies, or none if its probability is below `none_below`. `given` is the
    input, which the answer keeps.
    """
    plain = scores.tolist()
    if none_below is not None and plain[best := int(logits.argmax())] < none_below:
        order = [] if top_k is None else np.argsort(-logits, kind="stable").tolist()[:top_k]
        top = tuple(LabelScore(labels[i], plain[i]) for i in order)
        return Classification(None, plain[best], (), tuple(plain), top, truncated, given)
    if thresholds is None and top_k in (None, 1):  # the common case needs no sorting
        best = int(logits.argmax())
        top = (LabelScore(labels[best], plain[best]),)
        return Classification(labels[best], plain[best], (labels[best],), tuple(plain), top, truncated, given)
    order = np.argsort(
        -logits, kind="stable"
    ).tolist()  # sorted by logit, since probabilities near 1 may be equal
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
        input=given,
    )


def check_options(top_k: int | None, thresholds: Thresholds | None, multi_label: bool) -> None:
    """Raise InputError if `top_k` or `thresholds` is not valid for this kind of classifier."""
    if top_k is not None and (isinstance(top_k, bool) or not isinstance(top_k, int) or top_k < 1):
        raise InputError(f"top_k must be a whole number of at least 1, got {top_k!r}")
    if thresholds is not None and not multi_label:
        raise InputError("thresholds are for multi-label models; this one gives every text exactly one label")


def resolve_none_below(
    none_below: NoneBelow | None, fitted: float | None, *, multi_label: bool
) -> float | None:
    """Return the probability below which no label applies; None if a label always applies.

    Args:
        none_below: the option of a call.
        fitted: the probability that training has fitted; None if it has fitted none.
        multi_label: whether several labels may apply to the same text.

    Raises:
        InputError: the model is multi-label, training has fitted no probability, or a number outside 0 to 1.
    """
    if none_below is None:
        return None
    if multi_label:
        raise InputError(
            "none_below is for single-label models; in a multi-label model, thresholds say what applies"
        )
    if is_one_of(none_below, ("fitted",)):
        if fitted is None:
            raise InputError(
                "none_below: this model was trained without examples that no label fits, so it has no fitted "
                "probability; give a number between 0 and 1, or train with data.none_label"
            )
        return fitted
    limit = _number(none_below)
    if not 0 <= limit <= 1:
        raise InputError(f'none_below is a probability between 0 and 1, or "fitted"; got {none_below!r}')
    return limit


def resolve_thresholds(
    thresholds: Thresholds | None, labels: Sequence[str], default: Sequence[float] | None = None
) -> NDArray[np.float64]:
    """Return the probability from which each label applies, float64 (labels,).

    Args:
        thresholds: one number for all labels, a number for each label, a mapping from some labels to numbers, or None.
        labels: the label names.
        default: the thresholds of labels that `thresholds` does not set, one for each label; None for 0.5 each.

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
    return float(threshold) if 0 <= threshold <= 1 else math.nan  # a whole number can be beyond any float


def _index(label: str, labels: Sequence[str]) -> int:
    if is_one_of(label, labels):
        return labels.index(label)
    near = nearest(label, labels)
    hint = f"; did you mean {near!r}?" if near else ""
    raise InputError(f"thresholds: the model has no label {label!r}{hint}")
