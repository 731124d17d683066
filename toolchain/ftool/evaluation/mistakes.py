"""A classifier's costliest confusions and most confident mistakes, and labels of the data that are likely wrong."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from ftool.data.rows.labels import LabelledText
from ftool.extras import require
from ftool.terminal import format_table
from ftool_runtime.postprocessing.classification import probabilities, resolve_thresholds

MOST_CONFUSIONS: Final = 30  # confusions whose cost is computed
_MOST_MISTAKES: Final = 100  # confident mistakes and label errors in JSON
MOST_READ: Final = 50  # wrong answers that are kept to be read
_SHOWN: Final = 10  # of each in the report as text
_CHARACTERS: Final = 70  # of a text in the report as text
_CERTAIN: Final = 20.0  # logit of an answer that was corrected
FEWEST: Final = 5  # a label with at most this many examples is too rare to be judged

EXAMPLES: Final = "examples"  # what the confusions of a classifier count
NOTHING: Final = (
    "(not given)"  # in place of a label of a multi-label model, which has been missed or is too much
)


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """Examples with one label that the model gave another label.

    Attributes:
        truth: the examples' label; `NOTHING` if a multi-label model gave a label too many.
        answer: the model's answer; `NOTHING` if a multi-label model missed the label.
        count: the number of these examples.
        cost: how much higher the main metric would be if all of them were right.
    """

    truth: str
    answer: str
    count: int
    cost: float

    def to_json(self) -> dict[str, Any]:
        """Return the confusion as plain JSON."""
        return {"truth": self.truth, "answer": self.answer, "count": self.count, "cost": self.cost}


@dataclass(frozen=True, kw_only=True)
class Doubt:
    """An example whose label differs from a model's answer.

    Attributes:
        split: the name of the example's split.
        row: the example's row in its source.
        text: the text, or both texts.
        labels: the example's labels in the data.
        answer: the model's labels.
        confidence: the probability that the model gives its answer; of several labels, the surest that is wrong.
            Of other answers than labels, see `WrongAnswers.measure`.
    """

    split: str
    row: int
    text: str
    labels: tuple[str, ...]
    answer: tuple[str, ...]
    confidence: float

    def to_json(self) -> dict[str, Any]:
        """Return the example as plain JSON."""
        return {
            "split": self.split,
            "row": self.row,
            "text": self.text,
            "labels": list(self.labels),
            "answer": list(self.answer),
            "confidence": self.confidence,
        }


@dataclass(frozen=True, kw_only=True)
class WrongAnswers:
    """Wrong answers to read, which tell more than a metric.

    Attributes:
        order: how they are ordered, such as "the most confident first".
        measure: what `Doubt.confidence` is, such as "confidence".
        total: the number of all wrong answers.
        found: the first of them.
        what: what is counted as wrong, as the rest of a sentence that begins with `total`: for one, and for several.
        right: what the other examples are, as the rest of a sentence that begins with their number, if `total` counts
            examples; else None.
        share: whether `Doubt.confidence` is a share, to be shown in percent.
    """

    order: str
    measure: str
    total: int
    found: Sequence[Doubt]
    what: tuple[str, str] = ("answer holds a mistake", "answers hold a mistake")
    right: str | None = None
    share: bool = True

    @classmethod
    def of(cls, mistakes: "Mistakes") -> Self:
        """Return the wrong answers of a model that gives labels."""
        found = mistakes.confident
        return cls(
            order="the most confident first",
            measure="confidence",
            right="were labelled correctly" if mistakes.counted == EXAMPLES else None,
            total=len(found),
            found=found[:MOST_READ],
        )

    def to_json(self) -> dict[str, Any]:
        """Return the answers as plain JSON."""
        return {
            "order": self.order,
            "measure": self.measure,
            "what": self.what[self.total != 1],
            "right": self.right,
            "share": self.share,
            "total": self.total,
            "found": [one.to_json() for one in self.found],
        }


@dataclass(frozen=True, kw_only=True)
class LabelErrors:
    """Examples whose label in the data is likely wrong, the most likely first.

    Attributes:
        checked: the number of examples that were checked.
        how: how the probabilities were made.
        found: the examples, with the answer that a model which never saw them gives instead.
        counted: what `checked` counts.
        agreement: the share of the examples that the models give exactly the labels of the data; the lower, the less
            the models can judge. None if it was not measured.
        not_judged: the kinds of entity whose labels were not judged, because the models find too few of them.
    """

    checked: int
    how: str
    found: Sequence[Doubt]
    counted: str = "examples"
    agreement: float | None = None
    not_judged: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Mistakes:
    """A model's mistakes on one split.

    Attributes:
        metric: the name of the main metric.
        confusions: the confusions, the costliest first.
        confident: the wrong answers, the most confident first.
        label_errors: labels of the data that are likely wrong; None if they were not looked for.
        counted: what the confusions count.
    """

    metric: str
    confusions: Sequence[Confusion]
    confident: Sequence[Doubt]
    label_errors: LabelErrors | None = field(default=None)
    counted: str = EXAMPLES

    def to_json(self) -> dict[str, Any]:
        """Return the mistakes as plain JSON."""
        errors = self.label_errors
        return {
            "metric": self.metric,
            "counted": self.counted,
            "confusions": [one.to_json() for one in self.confusions],
            "confident": [one.to_json() for one in self.confident[:_MOST_MISTAKES]],
            "wrong_answers": len(self.confident),
            "label_errors": None
            if errors is None
            else {
                f"{errors.counted}_checked": errors.checked,
                "how": errors.how,
                "likely": len(errors.found),
                "agreement": errors.agreement,
                "not_judged": list(errors.not_judged),
                "shown": [one.to_json() for one in errors.found[:_MOST_MISTAKES]],
            },
        }

    def text(self, metric_name: str) -> str:
        """Return the mistakes as text; `metric_name` is the main metric's name for people."""
        if not self.confident:
            parts = ["no mistakes"]
        else:
            rows = [["costliest confusions: label", "answer", self.counted, f"cost in {metric_name}"]]
            rows += [
                [one.truth, one.answer, str(one.count), f"{one.cost:.4f}"] for one in self.confusions[:_SHOWN]
            ]
            sure = _lines(self.confident)
            parts = [format_table(rows), "\n".join([f"surest of {len(self.confident)} mistakes:", *sure])]
        if (errors := self.label_errors) is not None:
            checked = f"{errors.checked} {errors.counted}"
            how = (
                errors.how
                if errors.agreement is None
                else f"{errors.how}; they agree with {errors.agreement:.0%}"
            )
            title = f"labels that are likely wrong: {len(errors.found)} of {checked} ({how})"
            parts.append("\n".join([title, *_lines(errors.found), *_not_judged(errors)]))
        return "\n\n".join(parts)


def find_mistakes(
    logits: NDArray[np.float32],
    targets: NDArray[Any],
    labels: Sequence[str],
    examples: Sequence[LabelledText],
    *,
    split: str,
    metric: str,
    score: Callable[[NDArray[np.float32]], float],
    multi_label: bool,
    thresholds: Sequence[float] | None = None,
) -> Mistakes:
    """Return the mistakes of a model whose answers are given by logits.

    Args:
        logits: the model's outputs, float (examples, labels).
        targets: the index of each example's label, int (examples,), or 0 and 1, (examples, labels).
        labels: the labels in the order of the outputs.
        examples: the examples.
        split: the name of the examples' split.
        metric: the name of the main metric.
        score: returns the main metric of logits.
        multi_label: whether an example can have several labels.
        thresholds: the threshold of each label of a multi-label model.
    """
    wanted = targets > 0 if multi_label else targets[:, None] == np.arange(len(labels))
    scores = probabilities(logits, multi_label=multi_label)
    given = _given(scores, labels, thresholds, multi_label=multi_label)
    before = score(logits)
    confusions = []
    for truth, answer, rows in _confused(wanted, given, multi_label=multi_label)[:MOST_CONFUSIONS]:
        label = slice(None) if not multi_label else answer if truth is None else truth
        corrected = logits.copy()
        corrected[rows, label] = np.where(wanted[rows, label], _CERTAIN, -_CERTAIN)
        confusions.append(
            Confusion(
                truth=NOTHING if truth is None else labels[truth],
                answer=NOTHING if answer is None else labels[answer],
                count=len(rows),
                cost=score(corrected) - before,
            )
        )
    confusions.sort(key=lambda one: (-one.cost, -one.count, one.truth, one.answer))
    wrong = np.flatnonzero((wanted != given).any(axis=1))
    doubts = _doubts(wrong, scores, given, wanted, labels, [(split, one) for one in examples])
    return Mistakes(
        metric=metric, confusions=confusions, confident=sorted(doubts, key=lambda one: -one.confidence)
    )


def find_label_errors(
    logits: NDArray[np.float32],
    targets: NDArray[Any],
    labels: Sequence[str],
    examples: Sequence[tuple[str, LabelledText]],
    *,
    how: str,
    multi_label: bool,
) -> LabelErrors:
    """Return the examples whose labels are likely wrong, by confident learning (cleanlab; Northcutt et al. 2021).

    Args:
        logits: outputs of models that did not learn from the example, float (examples, labels).
        targets: the index of each example's label, int (examples,), or 0 and 1, (examples, labels).
        labels: the labels in the order of the outputs.
        examples: the examples, each with the name of its split.
        how: how the logits were made.
        multi_label: whether an example can have several labels.
    """
    require("data-checks")
    from cleanlab.filter import find_label_issues
    from cleanlab.multilabel_classification.filter import find_label_issues as find_multi_label_issues

    scores = probabilities(logits, multi_label=multi_label)
    ranked = {"return_indices_ranked_by": "self_confidence", "n_jobs": 1}
    if multi_label:
        found = find_multi_label_issues([list(np.flatnonzero(row)) for row in targets], scores, **ranked)
    else:
        found = find_label_issues(targets, scores, min_examples_per_class=FEWEST, **ranked)
    wanted = targets > 0 if multi_label else targets[:, None] == np.arange(len(labels))
    given = _given(scores, labels, None, multi_label=multi_label)
    differing = [row for row in found if (wanted[row] != given[row]).any()]
    return LabelErrors(
        checked=len(examples),
        how=how,
        found=_doubts(differing, scores, given, wanted, labels, examples),
        agreement=float((wanted == given).all(axis=1).mean()),
    )


def _given(
    scores: NDArray[np.float64],
    labels: Sequence[str],
    thresholds: Sequence[float] | None,
    *,
    multi_label: bool,
) -> NDArray[np.bool_]:
    """Return whether the model gives each label to each example, bool (examples, labels)."""
    if multi_label:
        return np.asarray(scores >= resolve_thresholds(thresholds, labels))
    return np.asarray(scores.argmax(axis=1)[:, None] == np.arange(len(labels)))


def _confused(
    wanted: NDArray[np.bool_], given: NDArray[np.bool_], *, multi_label: bool
) -> list[tuple[int | None, int | None, NDArray[np.int64]]]:
    """Return (label, answer, rows) of each confusion, the most frequent first; None stands for `NOTHING`."""
    found: list[tuple[int | None, int | None, NDArray[np.int64]]] = []
    if multi_label:
        for label in range(wanted.shape[1]):
            found.append((label, None, np.flatnonzero(wanted[:, label] & ~given[:, label])))
            found.append((None, label, np.flatnonzero(~wanted[:, label] & given[:, label])))
    else:
        truths, answers = wanted.argmax(axis=1), given.argmax(axis=1)
        pairs: dict[tuple[int, int], list[int]] = {}
        for row in np.flatnonzero(truths != answers):
            pairs.setdefault((int(truths[row]), int(answers[row])), []).append(int(row))
        found += [(truth, answer, np.array(rows)) for (truth, answer), rows in pairs.items()]
    return sorted((one for one in found if len(one[2])), key=lambda one: -len(one[2]))


def _doubts(
    rows: Sequence[int] | NDArray[np.int64],
    scores: NDArray[np.float64],
    given: NDArray[np.bool_],
    wanted: NDArray[np.bool_],
    labels: Sequence[str],
    examples: Sequence[tuple[str, LabelledText]],
) -> list[Doubt]:
    return [
        Doubt(
            split=examples[row][0],
            row=examples[row][1].row,
            text=examples[row][1].key,
            labels=examples[row][1].labels,
            answer=tuple(labels[int(label)] for label in np.flatnonzero(given[row])),
            confidence=_sureness(scores[row], given[row], wanted[row]),
        )
        for row in rows
    ]


def _sureness(scores: NDArray[np.float64], given: NDArray[np.bool_], wanted: NDArray[np.bool_]) -> float:
    """Return the probability of the surest wrong label; if labels are only missing, 1 minus the lowest of theirs."""
    too_much = given & ~wanted
    return float(scores[too_much].max() if too_much.any() else (1 - scores[wanted & ~given]).max())


def _not_judged(errors: LabelErrors) -> list[str]:
    if not errors.not_judged:
        return []
    return [f"  not judged, because fewer than half are found: {', '.join(errors.not_judged)}"]


def _lines(doubts: Sequence[Doubt]) -> list[str]:
    """Return lines on the first examples; copies of a text with the same labels and answer share one."""
    copies: dict[tuple[Any, ...], list[Doubt]] = {}
    for one in doubts:
        copies.setdefault((one.text, one.labels, one.answer), []).append(one)
    return [_line(several[0], len(several) - 1) for several in list(copies.values())[:_SHOWN]]


def _line(one: Doubt, copies: int) -> str:
    more = f" and {copies} {'copy' if copies == 1 else 'copies'}" if copies else ""
    text = " ".join(one.text.split())
    text = text if len(text) <= _CHARACTERS else text[: _CHARACTERS - 1] + "…"
    labels, answer = (", ".join(names) or "none" for names in (one.labels, one.answer))
    judged = f"labelled {labels}; answered {answer} ({one.confidence:.0%})"
    return f"  {one.split} row {one.row}{more}: {text!r}\n    {judged}"
