"""A reader's loss, and what its answers to a split are worth."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ftool.data.questions import QuestionSplit
from ftool.question_metrics import Judged, score_answers, tune_threshold
from ftool_export.reader import LoadedReader, SpanReader, make_windows
from ftool_export.reader.inference import compute_outputs
from ftool_runtime.spans import Spans, find_spans
from ftool_runtime.token_encoder import Tokens
from ftool_runtime.windows import Window

from .loop import SCORE

Outputs = Sequence[NDArray[np.float32]]


class TrainedReader(nn.Module):
    """A reader with its loss."""

    def __init__(self, model: SpanReader, smoothing: float) -> None:
        super().__init__()
        self.model = model
        self.smoothing = smoothing

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        labels: Tensor,
        token_type_ids: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The batch's loss, float32 (), and logits, float32 (batch, sequence, 2)."""
        logits = self.model(input_ids, attention_mask, token_type_ids).float()
        return {"loss": span_loss(logits, attention_mask, labels, self.smoothing), "logits": logits}


def span_loss(logits: Tensor, attention_mask: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy over the tokens of each window, the mean of its start and its end: float32 ().

    Padding takes no share of the probability, so that a window's loss does not depend on its batch.

    Args:
        logits: float32 (batch, sequence, 2).
        attention_mask: int64 (batch, sequence), 0 on padding.
        labels: int64 (batch, 2), the tokens at which the answer starts and ends.
        smoothing: the share of the target that is spread over all tokens.
    """
    padding = (attention_mask == 0).unsqueeze(-1)  # (batch, sequence, 1)
    shares = logits.masked_fill(padding, -torch.inf).log_softmax(dim=1)  # (batch, sequence, 2)
    right = shares.gather(1, labels.unsqueeze(1)).squeeze(1)  # (batch, 2)
    loss = -right.mean()
    if smoothing:
        spread = shares.masked_fill(padding, 0.0).sum(dim=1) / attention_mask.sum(dim=1, keepdim=True)
        loss = (1 - smoothing) * loss - smoothing * spread.mean()
    return loss


@dataclass(frozen=True)
class JudgedQuestions:
    """A split with its windows, made once: whatever network's outputs are judged on them."""

    loaded: LoadedReader
    split: QuestionSplit

    @cached_property
    def windows(self) -> list[list[Window]]:
        """The windows of each question's context."""
        examples = self.split.examples
        return make_windows(
            self.loaded, [one.question for one in examples], [one.context for one in examples]
        )

    @property
    def rows(self) -> list[Tokens]:
        """All windows in order."""
        return [window.tokens for windows in self.windows for window in windows]

    def judge(self, outputs: Outputs) -> Judged:
        """What the outputs of `rows`, float32 (tokens, 2) each, say."""
        found = self.spans(outputs)
        examples = self.split.examples
        return Judged(
            best=[
                example.context[spans.best[0].start : spans.best[0].end] if spans.best else ""
                for example, spans in zip(examples, found, strict=True)
            ],
            margins=np.array([spans.margin for spans in found], dtype=np.float64),
            references=[example.answers for example in examples],
        )

    def spans(self, outputs: Outputs) -> list[Spans]:
        """The best spans of every question, by the runtime's own code."""
        rows = iter(outputs)
        return [
            find_spans(
                example.context,
                windows,
                [next(rows) for _ in windows],
                max_answer_length=self.loaded.max_answer_length,
            )
            for example, windows in zip(self.split.examples, self.windows, strict=True)
        ]


def measure_on_validation(
    loaded: LoadedReader,
    validation: JudgedQuestions,
    labels: Sequence[tuple[int, int]],
    *,
    unanswerable: bool,
) -> Callable[[nn.Module], dict[str, float]]:
    """The loss and the F1 on validation, of `loaded` as it is when asked; it is the network in training.

    `labels` are the tokens of each window's answer. Where questions can be `unanswerable` the F1 is that of the best
    threshold.
    """
    rows = validation.rows

    def measure(_: nn.Module) -> dict[str, float]:
        outputs = compute_outputs(loaded, rows)
        judged = validation.judge(outputs)
        score = tune_threshold(judged)[1] if unanswerable else f1_of(judged)
        return {"loss": _loss(outputs, labels), SCORE: score}

    return measure


def f1_of(judged: Judged) -> float:
    """The F1 of a reader that always answers."""
    return float(score_answers(judged.best, judged.references)[1].mean())


def _loss(outputs: Outputs, labels: Sequence[tuple[int, int]]) -> float:
    losses = []
    for values, places in zip(outputs, labels, strict=True):
        logits = torch.from_numpy(values).unsqueeze(0)
        ones = torch.ones(logits.shape[:2], dtype=torch.int64)
        losses.append(float(span_loss(logits, ones, torch.tensor([places]))))
    return float(np.mean(losses))
