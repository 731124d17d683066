"""Examples of a task: inputs, and the comparison of a model's answers with PyTorch's, for every kind of answer."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Final, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ftool_export.checkpoints.encoder import LoadedEncoder, all_rows, compute_outputs
from ftool_export.checkpoints.windowed import WindowedEncoder
from ftool_export.examples.comparison import (
    BatchEffect,
    Compared,
    Comparison,
    Examination,
    LatencyCall,
    ShapeDifference,
    WorstInput,
)
from ftool_export.graph.probes import probe_rows
from ftool_runtime.bundle.golden import largest_difference
from ftool_runtime.session.encoder_engine import Outputs
from ftool_runtime.text.encode import Tokens, text_problem
from ftool_runtime.text.windows import Window

T = TypeVar("T")
AnswerKind = Literal["labels", "spans", "vectors", "text"]

_SINGLE: Final = 512  # inputs that the model also answers one at a time
_SAMPLE: Final = 128  # inputs on which two graphs are compared number by number
_CHOSEN: Final = 16  # inputs of different lengths, for golden answers and latency
_TIMED_ROUNDS: Final = 5


class Examples(Protocol):
    """Inputs of one task, with labels if known, on which a model's answers are compared with PyTorch's."""

    kind: ClassVar[AnswerKind]  # the kind of answer, which decides the tolerances

    @property
    def inputs(self) -> Sequence[Any]:
        """The inputs, as JSON values in the form that the runtime's model takes; token ids for generators."""

    @property
    def metric(self) -> str | None:
        """The name of the task's main metric (higher is better); None for inputs without labels."""

    @property
    def cross_fitted(self) -> bool:
        """Whether the metric is computed with tuned numbers that, for each input, were tuned on other inputs."""

    def compare(self, loaded: Any, model: Any) -> Comparison:
        """Compare a model's answers with PyTorch's.

        Args:
            loaded: the checkpoint; its answers are computed once and kept for further calls.
            model: a bundle loaded by the runtime, or any object with the same methods.

        Raises:
            BundleError: the model turns an input into another number of rows or tokens than the checkpoint does.
        """

    def examine(
        self, loaded: Any, model: Any, comparison: Comparison, *, whole_answers: bool = True
    ) -> Examination:
        """Make all comparisons that `compare` does not make, such as single with batched.

        Args:
            loaded: the checkpoint.
            model: a bundle loaded by the runtime.
            comparison: the result of `compare`, which becomes part of the examination.
            whole_answers: whether generators also answer with greedy decoding and with four beams.
        """

    def latency_call(self, model: Any) -> LatencyCall:
        """Return the call whose latency is recorded in a bundle's manifest."""

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
        cross_fitted: whether numbers such as thresholds were tuned on these inputs, so that the metric is computed with
            numbers that were tuned, for each input, on others.
        uncertainty: computes one standard error of the difference between the scores of two sets of answers, each as
            `scored` returns them; None if the metric is a mean over the inputs, each of which is right or wrong.
    """

    kind: ClassVar[AnswerKind]
    compared: ClassVar[Compared] = "answers"
    inputs: Sequence[Any]
    metric: str | None = None
    cross_fitted: bool = False
    uncertainty: Callable[[Any, Any], float] | None = None
    _torch: list[tuple[LoadedEncoder, Outputs]] = field(
        default_factory=list, init=False, repr=False, compare=False
    )

    @abstractmethod
    def score(self, outputs: Outputs) -> float:
        """Return the main metric of the answers that `outputs` give, nan if it is undefined for these inputs.

        Called only if `metric` is not None.
        """

    def scored(self, outputs: Outputs) -> Any:
        """Return what the main metric is computed from: the outputs as an array, unless a subclass makes answers."""
        return np.asarray(outputs)

    @abstractmethod
    def same(self, reference: Outputs, other: Outputs) -> NDArray[np.bool_]:
        """Return whether answers agree, bool (inputs, parts); an answer has several parts if it has several labels."""

    @abstractmethod
    def distances(self, reference: Outputs, other: Outputs) -> NDArray[np.float64]:
        """Return the largest change of a probability in the answer to each input, float64 (inputs,), 0 to 1."""

    def compare(self, loaded: LoadedEncoder, model: Any) -> Comparison:
        """Compare a model's answers with PyTorch's. See `Examples.compare`."""
        return self._comparison(self.reference(loaded), model.outputs(self.inputs))

    def batch_effect(self, model: Any) -> BatchEffect:
        """Compare a model's answers to up to 512 inputs run singly and in batches."""
        some = replace(self, inputs=spread(self.inputs, _SINGLE))
        single = [row for given in some.inputs for row in model.outputs([given])]
        return BatchEffect(float(some.distances(model.outputs(some.inputs), single).max(initial=0.0)))

    def examine(
        self, loaded: LoadedEncoder, model: Any, comparison: Comparison, *, whole_answers: bool = True
    ) -> Examination:
        """Compare outputs for batches of several shapes, and inputs run singly and in batches.

        See `Examples.examine`. `whole_answers` is ignored, since encoders generate no answers.
        """
        del whole_answers
        row = int(comparison.distances.argmax())
        return Examination(
            comparison=comparison,
            batch=self.batch_effect(model),
            grid=tuple(
                ShapeDifference(
                    shape, largest_difference(compute_outputs(loaded, rows), model.token_outputs(rows))
                )
                for shape, rows in probe_rows(loaded, all_rows(loaded, self.inputs)).items()
            ),
            worst=WorstInput(row, shown(self.inputs[row]), comparison.probability_difference),
        )

    def latency_call(self, model: Any) -> LatencyCall:
        """Return a call of the model with one input. See `Examples.latency_call`."""
        return LatencyCall(
            model, choose_inputs(self.inputs), _TIMED_ROUNDS, "one input at a time on the exporting machine"
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
        scores = None if self.metric is None else (self.score(reference), self.score(outputs))
        if (
            scores is not None and np.isnan(scores).any()
        ):  # a correlation of one example, say, decides nothing
            scores = None
        error = None
        if scores is not None and self.uncertainty is not None:
            error = self.uncertainty(self.scored(reference), self.scored(outputs))
        return Comparison(
            examples=len(self.inputs),
            compared=self.compared,
            count=len(self.inputs),
            agreement=float(same.mean()),
            differing=int((~same).any(axis=1).sum()),
            distances=self.distances(reference, outputs),
            output_difference=difference,
            scores=scores,
            score_error=error,
        )


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


def choose_inputs(inputs: Sequence[Any]) -> list[Any]:
    """Return at most 16 different inputs that are not blank, evenly spread from the shortest to the longest."""
    different = {json.dumps(given, ensure_ascii=False): given for given in inputs if not _blank(given)}
    by_length = [different[text] for text in sorted(different, key=len)]
    if len(by_length) <= _CHOSEN:
        return by_length
    return [by_length[place] for place in np.linspace(0, len(by_length) - 1, _CHOSEN).round().astype(int)]


def _blank(given: Any) -> bool:
    texts = [given] if isinstance(given, str) else list(given.values()) if isinstance(given, dict) else []
    return any(text_problem(text) for text in texts if isinstance(text, str))
