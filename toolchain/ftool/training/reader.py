"""Train readers: windows labelled with the answer's first and last token, the loss, and the main metric of answers."""

import logging
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ftool.data.cells import listed_rows
from ftool.data.dataset import Split, fingerprint
from ftool.data.rows.questions import Question
from ftool.evaluation.metrics.answers import (
    MAIN_METRIC,
    ScoredSpans,
    answer_scores,
    scored_spans,
    tune_threshold,
)
from ftool.recipe.sections import TrainSettings
from ftool.training.batches import EncoderRow, EncoderRows, windows_of
from ftool.training.encoder import EncoderObjective
from ftool.training.loop import SCORE
from ftool.training.losses import softened_divergence
from ftool_export.checkpoints.reader import LoadedReader
from ftool_export.examples.questions import QuestionExamples
from ftool_export.networks.encoder import last_linear
from ftool_runtime.postprocessing.spans import NO_ANSWER
from ftool_runtime.session.encoder_engine import Outputs
from ftool_runtime.text.encode import Tokens
from ftool_runtime.text.windows import Window

log = logging.getLogger(__name__)

_MASKED = -1e9  # a logit whose probability is 0


class ReaderObjective(EncoderObjective):
    """Cross-entropy of an answer's start and end; the F1 of answers on validation selects the weights.

    If some training questions have no answer, the F1 is that at the best no-answer threshold for validation.
    """

    def __init__(
        self,
        loaded: LoadedReader,
        train: Split[Question],
        validation: Split[Question],
        settings: TrainSettings,
        *,
        unanswerable: bool,
    ) -> None:
        # every Hugging Face reader ends with a linear layer of two outputs, a start and an end
        super().__init__(loaded, settings, head=last_linear(loaded.model.encoder, loaded.model.width))
        self._train, self._validation = train, validation
        self._unanswerable = unanswerable
        self._examples = QuestionExamples(loaded=loaded, inputs=validation.inputs)

    def training_rows(self, loaded: LoadedReader) -> EncoderRows:
        """Return the windows of the training questions, each labelled with the answer's first and last token."""
        return window_rows(loaded, self._train.examples)

    def validation_rows(self) -> Sequence[Tokens]:
        """Return the windows of the validation questions."""
        return self._examples.rows

    def loss(self, logits: Tensor, labels: Tensor, attention_mask: Tensor) -> Tensor:
        """Return the batch's loss. See `span_loss`."""
        return span_loss(logits, attention_mask, labels, self.settings.label_smoothing)

    def imitation(self, logits: Tensor, taught: Tensor, labels: Tensor, attention_mask: Tensor) -> Tensor:  # noqa: ARG002
        """Return the mean `softened_divergence` of starts and ends over a window's tokens, float32 ()."""
        padding = (attention_mask == 0).unsqueeze(-1)  # (batch, sequence, 1)
        student, teacher = (one.masked_fill(padding, _MASKED) for one in (logits, taught))
        return softened_divergence(student, teacher, self.settings.distill_temperature, dim=1).mean()

    def scores(self, outputs: Outputs) -> dict[str, float]:
        """Return the mean loss per window, and the F1 of answers."""
        scored = self._scored(outputs)
        if self._unanswerable:
            score = tune_threshold(scored, self._metric)[1]
        else:
            answers = scored.answers(self.loaded.no_answer_threshold)
            score = float(answer_scores(answers, scored.references, self._metric).mean())
        return {"loss": _loss(outputs, self._labels), SCORE: score}

    def extra_results(self) -> dict[str, Any]:
        """Return the number of training windows."""
        return {"windows": len(self.rows)}

    def finish(self) -> LoadedReader:
        """Return the reader, with its no-answer threshold tuned if some training questions have no answer."""
        loaded: LoadedReader = super().finish()
        if not self._unanswerable:
            return loaded
        threshold, _ = tune_threshold(self._scored(self.validation_outputs()), self._metric)
        return replace(loaded, no_answer_threshold=threshold, tuned_on=fingerprint(self._validation.examples))

    @property
    def _metric(self) -> str:
        return self.settings.metric or MAIN_METRIC

    @cached_property
    def _labels(self) -> list[Tensor]:
        return [row.target for row in window_rows(self.loaded, self._validation.examples).rows]

    def _scored(self, outputs: Outputs) -> ScoredSpans:
        return scored_spans(self._validation.examples, self._examples.spans(outputs))


def span_loss(logits: Tensor, attention_mask: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return the cross-entropy of answers' starts and ends, averaged over starts, ends and windows: float32 ().

    The start and the end are each one of the window's tokens. Padding gets no probability, so that a window's loss does
    not depend on the other windows of the batch.

    Args:
        logits: float32 (batch, sequence, 2).
        attention_mask: int64 (batch, sequence), 0 on padding.
        labels: int64 (batch, 2), the positions of the tokens at which the answer starts and ends.
        smoothing: the share of the target probability that is spread evenly over all tokens.
    """
    padding = (attention_mask == 0).unsqueeze(-1)  # (batch, sequence, 1)
    shares = logits.masked_fill(padding, -torch.inf).log_softmax(dim=1)  # (batch, sequence, 2)
    right = shares.gather(1, labels.unsqueeze(1)).squeeze(1)  # (batch, 2)
    loss = -right.mean()
    if smoothing:
        spread = shares.masked_fill(padding, 0.0).sum(dim=1) / attention_mask.sum(dim=1, keepdim=True)
        loss = (1 - smoothing) * loss - smoothing * spread.mean()
    return loss


def window_rows(loaded: LoadedReader, examples: Sequence[Question]) -> EncoderRows:
    """Return the windows of the examples, each with the positions of its answer's first and last token, int64 (2,)."""
    rows = [_row(window, one) for windows, one in windows_of(loaded, examples) for window in windows]
    return EncoderRows(loaded, rows)


def without_long_questions(split: Split[Question], lengths: Sequence[int], longest: int) -> Split[Question]:
    """Return the split without questions of more than `longest` tokens; log a warning with the number of these.

    `lengths` are the numbers of tokens of the questions, without special tokens.
    """
    long = [split.examples[place].row for place, length in enumerate(lengths) if length > longest]
    if not long:
        return split
    log.warning(
        "%s: %d question%s dropped (%s), because more than %d tokens leave the context no room in a window; raise "
        "train.max_length or lower train.stride",
        split.source,
        len(long),
        "" if len(long) == 1 else "s",
        listed_rows(long),
        longest,
    )
    return split.take([place for place, length in enumerate(lengths) if length <= longest])


def answer_tokens(window: Window, start: int, end: int) -> tuple[int, int]:
    """Return the positions in a window of the first and last token of the context's characters `start` to `end`.

    Both positions are `NO_ANSWER` if the window does not contain all of these characters.
    """
    places = window.text_positions
    offsets = window.offsets[places.start : places.stop]
    if not offsets or offsets[0][0] > start or offsets[-1][1] < end:
        return NO_ANSWER, NO_ANSWER
    first = bisect_right(
        offsets, start, key=lambda pair: pair[1]
    )  # the first token that ends after the start
    last = (
        bisect_left(offsets, end, key=lambda pair: pair[0]) - 1
    )  # the last token that begins before the end
    return (places[first], places[last]) if first <= last else (NO_ANSWER, NO_ANSWER)


def _row(window: Window, example: Question) -> EncoderRow:
    """Return a window labelled with the tokens of its answer; of several answers, the first, as in SQuAD scripts."""
    places = NO_ANSWER, NO_ANSWER
    if example.answers:
        first = example.starts[0]
        places = answer_tokens(window, first, first + len(example.answers[0]))
    return EncoderRow.of(window.tokens, torch.tensor(places))


def _loss(outputs: Outputs, labels: Sequence[Tensor]) -> float:
    losses = []
    for values, places in zip(outputs, labels, strict=True):
        logits = torch.from_numpy(values).unsqueeze(0)
        ones = torch.ones(logits.shape[:2], dtype=torch.int64)
        losses.append(float(span_loss(logits, ones, places.unsqueeze(0))))
    return float(np.mean(losses))
