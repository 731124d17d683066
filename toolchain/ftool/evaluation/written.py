"""Splits for measuring generators, by scores of the correct answers' tokens and by generated answers."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ftool.data.rows.generation import GenerationExample
from ftool.data.table import Table
from ftool.evaluation.metrics.generation import ScoreFamily, text_metrics, token_metrics
from ftool.evaluation.results import Metrics
from ftool.training.generator_rows import TokenRow, is_plain_text

TokenScorer = Callable[[Sequence[Sequence[int]], Sequence[Sequence[int]]], Sequence[NDArray[np.float32]]]
Answerer = Callable[[Sequence[Sequence[int]]], Sequence[str]]

_ROWS_AT_A_TIME = 64  # rows whose logits are in memory at a time


@dataclass(frozen=True, kw_only=True)
class WrittenSplit:
    """A split's examples with their tokens for the model.

    Attributes:
        examples: what is answered.
        rows: their tokens, one row an example; of plain text, one a piece.
        scores: the family of scores of texts.
        language: the code of the answers' language, if known.
        table: the rows that the examples come from.
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
        """Whether the examples have answers: plain text is only continued."""
        return not is_plain_text(self.examples)

    def sample(self, count: int) -> "WrittenSplit":
        """At most `count` rows, spread evenly over the split."""
        if count >= len(self.rows):
            return self
        places = [int(place) for place in np.linspace(0, len(self.rows) - 1, count).round()]
        examples = [self.examples[place] for place in places] if self.answerable else self.examples
        rows = [self.rows[place] for place in places]
        return WrittenSplit(examples=examples, rows=rows, scores=self.scores, language=self.language)

    def token_metrics(self, score: TokenScorer) -> Metrics:
        """Return the perplexity, and the share of tokens that are the model's most probable ones.

        `score` gives the logits of right answers' tokens, each token given those before it.
        """
        return token_metrics(self._scored(score))

    def text_metrics(self, answer: Answerer) -> tuple[Metrics, list[str]]:
        """The metrics of the answers that `answer` gives to the rows' sources or prompts, and those answers."""
        answers = list(answer([row.given for row in self.rows]))
        references = [example.targets for example in self.examples]
        return text_metrics(answers, references, scores=self.scores, language=self.language), answers

    def metrics(self, score: TokenScorer, answer: Answerer) -> tuple[Metrics, list[str]]:
        """All metrics, and the answers; none of plain text."""
        tokens = self.token_metrics(score)
        if not self.answerable:
            return tokens, []
        texts, answers = self.text_metrics(answer)
        return texts | tokens, answers

    def _scored(self, score: TokenScorer) -> Iterator[tuple[NDArray[np.float32], list[int]]]:
        """The answers' logits and tokens, a few rows' in memory at a time."""
        for start in range(0, len(self.rows), _ROWS_AT_A_TIME):
            rows = self.rows[start : start + _ROWS_AT_A_TIME]
            logits = score([row.given for row in rows], [row.answer for row in rows])
            yield from zip(logits, [row.answer for row in rows], strict=True)
