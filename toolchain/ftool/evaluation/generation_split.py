"""Splits on which generators are measured, by the probabilities of reference tokens and by generated answers."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ftool.data.rows.generation import GenerationExample
from ftool.data.table import Table
from ftool.evaluation.metrics.generation import ScoreFamily, text_metrics, token_metrics, token_statistics
from ftool.evaluation.results import Metrics
from ftool.evaluation.statistics import SummedStatistics
from ftool.training.generator_rows import TokenRow, is_plain_text

TokenScorer = Callable[[Sequence[Sequence[int]], Sequence[Sequence[int]]], Sequence[NDArray[np.float32]]]
Answerer = Callable[[Sequence[Sequence[int]]], Sequence[str]]

_ROWS_AT_A_TIME = 64  # rows whose logits are in memory at a time


@dataclass(frozen=True, kw_only=True)
class GenerationSplit:
    """A split's examples, with the token ids that a generator reads.

    Attributes:
        examples: the examples, whose sources or prompts the generator answers.
        rows: the token ids of inputs and answers: one row for each example, or, for plain text, for each chunk.
        scores: the family of text scores, "bleu" or "rouge".
        language: the code of the answers' language; None if unknown.
        table: the table rows that the examples come from.
    """

    examples: Sequence[GenerationExample]
    rows: Sequence[TokenRow]
    scores: ScoreFamily
    language: str | None
    table: Table = field(default_factory=Table)

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def answerable(self) -> bool:
        """Whether the examples have reference answers; plain texts do not."""
        return not is_plain_text(self.examples)

    def sample(self, count: int) -> "GenerationSplit":
        """Return a split of at most `count` rows, spread evenly over this split."""
        if count >= len(self.rows):
            return self
        places = [int(place) for place in np.linspace(0, len(self.rows) - 1, count).round()]
        examples = [self.examples[place] for place in places] if self.answerable else self.examples
        rows = [self.rows[place] for place in places]
        return GenerationSplit(examples=examples, rows=rows, scores=self.scores, language=self.language)

    def token_metrics(self, score: TokenScorer) -> Metrics:
        """Return the perplexity and the token accuracy of the reference answers.

        `score` takes the inputs' token ids and the answers' token ids, and returns the logits that predict each answer
        token from all tokens before it, float32 (tokens, vocabulary) for each row.
        """
        return token_metrics(self._scored(score))

    def token_statistics(self, score: TokenScorer) -> SummedStatistics:
        """Return statistics of the same metrics, one for each row, from which their intervals are computed."""
        return token_statistics(self._scored(score))

    def text_metrics(self, answer: Answerer) -> tuple[Metrics, list[str]]:
        """Return metrics of generated answers, and the answers; `answer` generates them from the inputs' token ids."""
        answers = list(answer([row.given for row in self.rows]))
        references = [example.targets for example in self.examples]
        return text_metrics(answers, references, scores=self.scores, language=self.language), answers

    def _scored(self, score: TokenScorer) -> Iterator[tuple[NDArray[np.float32], list[int]]]:
        """Yield the logits and token ids of each reference answer, with the logits of at most 64 rows in memory."""
        for start in range(0, len(self.rows), _ROWS_AT_A_TIME):
            rows = self.rows[start : start + _ROWS_AT_A_TIME]
            logits = score([row.given for row in rows], [row.answer for row in rows])
            yield from zip(logits, [row.answer for row in rows], strict=True)
