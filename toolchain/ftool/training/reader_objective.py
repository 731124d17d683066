"""A reader's loss, and what its answers to a split are worth."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ftool.data.dataset import Split
from ftool.data.rows.questions import Question
from ftool.evaluation.metrics.answers import MAIN_METRIC, Judged, score_answers, tune_threshold
from ftool.training.loop import SCORE
from ftool.training.reader_rows import window_rows
from ftool_export.checkpoints.encoder import compute_outputs
from ftool_export.checkpoints.reader import LoadedReader
from ftool_export.examples.questions import QuestionExamples
from ftool_export.networks.per_token import SpanReader
from ftool_runtime.postprocessing.spans import Spans
from ftool_runtime.session.encoder_engine import Outputs


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


def reader_examples(loaded: LoadedReader, split: Split[Question]) -> QuestionExamples:
    """A split as a reader and a bundle are given it, judged by the F1 of their answers."""

    def f1(spans: Sequence[Spans]) -> float:
        judged = judged_answers(split, spans)
        answers = judged.answers(loaded.no_answer_threshold)
        return float(score_answers(answers, judged.references)[1].mean())

    return QuestionExamples(loaded=loaded, inputs=split.inputs, metric=MAIN_METRIC, scorer=f1)


def judged_answers(split: Split[Question], spans: Sequence[Spans]) -> Judged:
    """The best spans of a split's questions beside the answers that count as right."""
    best = [
        example.context[found.best[0].start : found.best[0].end] if found.best else ""
        for example, found in zip(split.examples, spans, strict=True)
    ]
    return Judged(
        best=best,
        margins=np.array([found.margin for found in spans], dtype=np.float64),
        references=[example.answers for example in split.examples],
    )


def measure_on_validation(
    loaded: LoadedReader, validation: Split[Question], *, unanswerable: bool
) -> Callable[[nn.Module], dict[str, float]]:
    """The loss and the F1 on validation, of `loaded` as it is when asked; it is the network in training.

    Where questions can be `unanswerable` the F1 is that of the best threshold.
    """
    examples = reader_examples(loaded, validation)
    rows = examples.rows
    labels = [row.target for row in window_rows(loaded, validation.examples).rows]

    def measure(_: nn.Module) -> dict[str, float]:
        outputs = compute_outputs(loaded, rows)
        spans = examples.spans(outputs)
        score = (
            tune_threshold(judged_answers(validation, spans))[1] if unanswerable else examples.score(outputs)
        )
        return {"loss": _loss(outputs, labels), SCORE: score}

    return measure


def _loss(outputs: Outputs, labels: Sequence[Tensor]) -> float:
    losses = []
    for values, places in zip(outputs, labels, strict=True):
        logits = torch.from_numpy(values).unsqueeze(0)
        ones = torch.ones(logits.shape[:2], dtype=torch.int64)
        losses.append(float(span_loss(logits, ones, places.unsqueeze(0))))
    return float(np.mean(losses))
