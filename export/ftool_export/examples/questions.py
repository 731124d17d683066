"""Examples for readers: questions with contexts, and the comparison and scoring of the answers' spans."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ftool_export.checkpoints.reader import LoadedReader
from ftool_export.examples.base import AnswerKind, WindowExamples
from ftool_runtime.models.reader import Answer, QuestionInput, read_answer
from ftool_runtime.numerics import softmax
from ftool_runtime.postprocessing.spans import Spans, find_spans
from ftool_runtime.session.encoder_engine import Outputs


@dataclass(frozen=True, kw_only=True)
class QuestionExamples(WindowExamples):
    """Questions for a reader.

    Attributes:
        loaded: the reader, which defines how contexts are cut into windows and answers are chosen.
        inputs: dicts of "question" and "context".
        scorer: computes the main metric from the best spans for each question.
    """

    kind: ClassVar[AnswerKind] = "spans"
    loaded: LoadedReader
    inputs: Sequence[QuestionInput]
    scorer: Callable[[Sequence[Spans]], float] | None = None

    def spans(self, outputs: Outputs) -> list[Spans]:
        """Return the best spans for each question, found by the runtime's own code."""
        rows = iter(outputs)
        return [
            find_spans(
                given["context"],
                windows,
                [next(rows) for _ in windows],
                max_answer_length=self.loaded.max_answer_length,
            )
            for given, windows in zip(self.inputs, self.windows, strict=True)
        ]

    def answers(self, outputs: Outputs) -> list[Answer]:
        """Return the answer that the runtime gives to each question for these outputs."""
        return [
            read_answer(given["context"], spans, self.loaded.no_answer_threshold)
            for given, spans in zip(self.inputs, self.spans(outputs), strict=True)
        ]

    def score(self, outputs: Outputs) -> float:
        """Return the main metric of the best spans that are found from `outputs`."""
        assert self.scorer is not None, "these questions have no reference answers"
        return self.scorer(self.scored(outputs))

    def scored(self, outputs: Outputs) -> list[Spans]:
        """Return the best spans for each question."""
        return self.spans(outputs)

    def same(self, reference: Outputs, other: Outputs) -> NDArray[np.bool_]:
        """Return whether both answers are the same span, or both are "no answer": bool (questions, 1)."""
        pairs = zip(self.answers(reference), self.answers(other), strict=True)
        return np.array(
            [[one.start == two.start and one.end == two.end] for one, two in pairs], dtype=np.bool_
        )

    def distances(self, reference: Outputs, other: Outputs) -> NDArray[np.float64]:
        """Return the largest change of a start or end probability for each question, float64 (questions,).

        The probabilities of the tokens of one window sum to 1.
        """
        pairs = zip(reference, other, strict=True)
        changes = iter(
            [float(np.abs(softmax(one, axis=0) - softmax(two, axis=0)).max()) for one, two in pairs]
        )
        return np.array([max(next(changes) for _ in windows) for windows in self.windows], dtype=np.float64)
