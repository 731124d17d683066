"""What a text classifier takes and what it answers: a text or two, labels or a number."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ftool_runtime.errors import InputError

Input = str | tuple[str, str] | Mapping[str, str]  # a text; of a model for pairs two of them


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

    def to_json(self, given: Input) -> dict[str, Any]:
        """The answer to `given` as `predict` prints it: JSON values."""
        return {
            **fields_of(given),
            "label": self.label,
            "score": self.score,
            "labels": list(self.labels),
            "top": [{"label": one.label, "score": one.score} for one in self.top],
            "truncated": self.truncated,
        }


@dataclass(frozen=True, slots=True)
class Score:
    """What a model says whose answer is a number, such as how alike two texts are.

    Attributes:
        value: the number, in the scale of the data that it was trained on.
        truncated: the text was longer than the model takes and its end was not read.
    """

    value: float
    truncated: bool = False

    def to_json(self, given: Input) -> dict[str, Any]:
        """The answer to `given` as `predict` prints it: JSON values."""
        return {**fields_of(given), "score": self.value, "truncated": self.truncated}


Answer = Classification | Score


def fields_of(given: Input) -> dict[str, str]:
    """The texts of an input by their names."""
    if isinstance(given, str):
        return {"text": given}
    return dict(given) if isinstance(given, Mapping) else dict(zip(("text", "text_pair"), given, strict=True))


def pair_of(given: object, row: int) -> tuple[str, str]:
    """The two texts of an input. Raises InputError where there are not two."""
    if isinstance(given, Mapping) and given.keys() == {"text", "text_pair"}:
        return given["text"], given["text_pair"]
    if isinstance(given, tuple | list) and len(given) == 2:
        return given[0], given[1]
    raise InputError(
        f'input {row}: this model takes two texts, as a tuple or as a dict of "text" and "text_pair"', row=row
    )
