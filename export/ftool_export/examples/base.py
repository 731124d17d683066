"""Examples of a task: inputs, and the comparison of a model's answers with PyTorch's, for every kind of answer."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, Final, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ftool_export.checkpoints.encoder import LoadedEncoder, all_rows, compute_outputs
from ftool_export.checkpoints.windowed import WindowedEncoder
from ftool_runtime.bundle.golden import largest_difference
from ftool_runtime.session.encoder_engine import Outputs
from ftool_runtime.text.encode import Tokens
from ftool_runtime.text.windows import Window

T = TypeVar("T")
AnswerKind = Literal["labels", "spans", "vectors", "text"]

_SINGLE: Final = 512  # inputs that the model also answers one at a time
_SAMPLE: Final = 128  # inputs on which two graphs are compared number by number


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Differences between a model's answers and a reference's answers to the same inputs.

    Attributes:
        examples: the number of inputs.
        compared: the unit of `count` and `agreement`: "answers", or "next tokens", each predicted after the reference's
            preceding tokens.
        count: the number of compared answers or next tokens.
        agreement: the share of answers or next tokens that are the same; each label of a multi-label answer counts.
        differing: the number of inputs with an answer that differs in any part.
        distances: float64 (examples,): the largest change of a probability in each input's answer, 0 to 1.
        output_difference: the largest absolute difference between the networks' outputs, such as logits.
        scores: the main metric of the reference and of the model; None for inputs without labels.
    """

    examples: int
    compared: Literal["answers", "next tokens"]
    count: int
    agreement: float
    differing: int
    distances: NDArray[np.float64]
    output_difference: float
    scores: tuple[float, float] | None

    @property
    def probability_difference(self) -> float:
        """The largest change of a probability, over all inputs."""
        return float(self.distances.max(initial=0.0))


@dataclass(frozen=True, slots=True)
class SameAnswers:
    """How many whole generated answers of a model and PyTorch are the same, token for token.

    Attributes:
        answers: the number of answers compared.
        same: the number of answers that are the same.
        ties: the number of answers that differ only because two choices of PyTorch are equally good up to rounding.
    """

    answers: int
    same: int
    ties: int

    @property
    def share(self) -> float:
        """The share of answers that are the same or differ only because of a tie."""
        return (self.same + self.ties) / self.answers

    def to_json(self) -> dict[str, Any]:
        """Return the counts as JSON values."""
        return {"answers": self.answers, "same": self.same, "ties": self.ties}


@dataclass(frozen=True, kw_only=True)
class Examination:
    """The differences that parity reports between a bundle's answers and PyTorch's.

    Attributes:
        comparison: the comparison of the answers to all inputs.
        batch_effect: the largest change of a probability between running an input singly and in a batch.
        changed_by_batch: the number of inputs with other generated answers singly than in a batch; None for encoders.
        ties: the number of next tokens that differ while PyTorch's two best logits are equal up to rounding; None for
            encoders.
        whole_answers: the agreement of whole generated answers, by way of decoding ("greedy" or "beams"); empty for
            encoders.
    """

    comparison: Comparison
    batch_effect: float
    changed_by_batch: int | None = None
    ties: int | None = None
    whole_answers: Mapping[str, SameAnswers] = field(default_factory=lambda: MappingProxyType({}))


class Examples(Protocol):
    """Inputs of one task, with labels if known, on which a model's answers are compared with PyTorch's."""

    kind: ClassVar[AnswerKind]  # the kind of answer, which decides the tolerances

    @property
    def inputs(self) -> Sequence[Any]:
        """The inputs, as JSON values in the form that the runtime's model takes; token ids for generators."""

    @property
    def metric(self) -> str | None:
        """The name of the task's main metric (higher is better); None for inputs without labels."""

    def compare(self, loaded: Any, model: Any) -> Comparison:
        """Compare a model's answers with PyTorch's.

        Args:
            loaded: the checkpoint; its answers are computed once and kept for further calls.
            model: a bundle loaded by the runtime, or any object with the same methods.

        Raises:
            BundleError: the model turns an input into another number of rows or tokens than the checkpoint does.
        """

    def examine(self, loaded: Any, model: Any) -> Examination:
        """Compare answers as `compare` does, and make parity's other comparisons, such as single with batched."""

    def numbers(self, model: Any, answers: Any = None) -> tuple[list[NDArray[np.float32]], Any]:
        """Compute the raw outputs of a model's graphs, such as logits, for a sample of the inputs.

        Args:
            model: a bundle loaded by the runtime.
            answers: for the first of several models None; for each further model the second result of the first
                call, so that the outputs of all models are comparable.

        Returns:
            The outputs as float32 arrays, and the value to pass as `answers` for further models.
        """


@dataclass(frozen=True, kw_only=True)
class EncoderExamples(ABC):
    """Examples for an encoder.

    "Outputs" in methods are the graph's outputs for all token rows of all inputs, in order (`LoadedEncoder.rows`).
    The runtime's own post-processing turns outputs into answers.

    Attributes:
        inputs: the inputs, as JSON values in the form that the runtime's model takes.
        metric: the main metric's name; None for inputs without labels.
    """

    kind: ClassVar[AnswerKind]
    inputs: Sequence[Any]
    metric: str | None = None
    _torch: list[tuple[LoadedEncoder, Outputs]] = field(
        default_factory=list, init=False, repr=False, compare=False
    )

    @abstractmethod
    def score(self, outputs: Outputs) -> float:
        """Return the main metric of the answers that `outputs` give; called only if `metric` is not None."""

    @abstractmethod
    def same(self, reference: Outputs, other: Outputs) -> NDArray[np.bool_]:
        """Return whether answers agree, bool (inputs, parts); an answer has several parts if it has several labels."""

    @abstractmethod
    def distances(self, reference: Outputs, other: Outputs) -> NDArray[np.float64]:
        """Return the largest change of a probability in the answer to each input, float64 (inputs,), 0 to 1."""

    def compare(self, loaded: LoadedEncoder, model: Any) -> Comparison:
        """Compare a model's answers with PyTorch's. See `Examples.compare`."""
        return self._comparison(self.reference(loaded), model.outputs(self.inputs))

    def examine(self, loaded: LoadedEncoder, model: Any) -> Examination:
        """Compare answers as `compare` does, and answers to up to 512 inputs run singly with answers in batches."""
        outputs = model.outputs(self.inputs)
        comparison = self._comparison(self.reference(loaded), outputs)
        single = self._some_single(loaded, model, outputs)
        return Examination(
            comparison=comparison, batch_effect=float(self.distances(outputs, single).max(initial=0.0))
        )

    def numbers(self, model: Any, answers: Any = None) -> tuple[list[NDArray[np.float32]], Any]:
        """Return a model's outputs for up to 128 inputs, and `answers` unchanged. See `Examples.numbers`."""
        return list(model.outputs(spread(self.inputs, _SAMPLE))), answers

    def reference(self, loaded: LoadedEncoder) -> Outputs:
        """Return PyTorch's outputs for the rows of all inputs; computed once per checkpoint."""
        for known, outputs in self._torch:
            if known is loaded:
                return outputs
        outputs = compute_outputs(loaded, all_rows(loaded, self.inputs))
        self._torch[:] = [(loaded, outputs)]
        return outputs

    def _comparison(self, reference: Outputs, outputs: Outputs) -> Comparison:
        difference = largest_difference(reference, outputs)  # raises if the rows of tokens differ
        same = self.same(reference, outputs)
        scored = self.metric is not None
        return Comparison(
            examples=len(self.inputs),
            compared="answers",
            count=len(self.inputs),
            agreement=float(same.mean()),
            differing=int((~same).any(axis=1).sum()),
            distances=self.distances(reference, outputs),
            output_difference=difference,
            scores=(self.score(reference), self.score(outputs)) if scored else None,
        )

    def _some_single(self, loaded: LoadedEncoder, model: Any, outputs: Outputs) -> Outputs:
        """Return `outputs`, but for up to 512 inputs the outputs of running the model on each input alone."""
        starts = np.cumsum([0, *(len(rows) for rows in loaded.rows(self.inputs))])
        mixed = list(outputs)
        for position in spread(range(len(self.inputs)), _SINGLE):
            mixed[starts[position] : starts[position + 1]] = list(model.outputs([self.inputs[position]]))
        return mixed


@dataclass(frozen=True, kw_only=True)
class WindowExamples(EncoderExamples):
    """Examples of an encoder whose rows are windows.

    Attributes:
        loaded: the checkpoint, which defines how inputs are cut into windows.
    """

    loaded: WindowedEncoder

    @cached_property
    def windows(self) -> list[list[Window]]:
        """The windows of every input."""
        return self.loaded.windows(self.inputs)

    @property
    def rows(self) -> list[Tokens]:
        """The token rows of the windows of all inputs, in order."""
        return [window.tokens for windows in self.windows for window in windows]


def shown(given: Any, longest: int = 100) -> str:
    """Return an input for a message: on one line, in quotes, cut to `longest` characters."""
    text = given if isinstance(given, str) else " | ".join(str(value) for value in given.values())
    return repr(text[:longest])


def spread(texts: Sequence[T], count: int) -> list[T]:
    """Return `count` items at even distances in `texts`, which may be sorted by label; all items if there are fewer."""
    if len(texts) <= count:
        return list(texts)
    return [texts[position * len(texts) // count] for position in range(count)]
