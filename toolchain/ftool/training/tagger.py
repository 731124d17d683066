"""Train taggers: windows with one labelled token per word, the loss, and the main metric."""

import logging
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (torch's own name for it)
from torch.nn.utils.rnn import pad_sequence

from ftool.data.dataset import Split
from ftool.data.rows.tag_schemes import spans_of_tags
from ftool.data.rows.tagged_text import TaggedText
from ftool.evaluation.metrics.entities import MAIN_METRIC, entity_score
from ftool.recipe.sections import TrainSettings
from ftool.training.batches import IGNORED, EncoderRow, EncoderRows, windows_of
from ftool.training.encoder import EncoderObjective
from ftool.training.loop import SCORE
from ftool.training.losses import softened_divergence
from ftool_export.checkpoints.encoder import run_per_token
from ftool_export.checkpoints.tagger import LoadedTagger
from ftool_export.examples.tagging import TaggingExamples
from ftool_runtime.postprocessing.entities import first_tokens
from ftool_runtime.session.encoder_engine import Outputs
from ftool_runtime.text.encode import Tokens
from ftool_runtime.text.windows import Window

log = logging.getLogger(__name__)

_AT_ONCE = 512  # texts whose features are in memory at a time


class TaggerObjective(EncoderObjective):
    """Cross-entropy of the first token of each word; the F1 of entities on validation selects the weights."""

    def __init__(
        self,
        loaded: LoadedTagger,
        train: Split[TaggedText],
        validation: Split[TaggedText],
        settings: TrainSettings,
    ) -> None:
        super().__init__(loaded, settings, head=loaded.model.head)
        self._train, self._validation = train, validation
        words = [one.words for one in validation.examples]
        self._examples = TaggingExamples(loaded=loaded, inputs=validation.inputs, words=words)

    def training_rows(self, loaded: LoadedTagger) -> "TaggedRows":
        """Return the windows of the training texts, labelled with the tags of the words."""
        rows = TaggedRows(loaded, self._train.examples)
        if loaded is self.loaded:
            warn_of_entities(rows, "train")
        return rows

    def validation_rows(self) -> Sequence[Tokens]:
        """Return the windows of the validation texts."""
        return self._examples.rows

    def loss(self, logits: Tensor, labels: Tensor, attention_mask: Tensor) -> Tensor:  # noqa: ARG002
        """Return the mean cross-entropy of the tokens that have a label, float32 ()."""
        smoothing = self.settings.label_smoothing
        return F.cross_entropy(
            logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, label_smoothing=smoothing
        )

    def imitation(self, logits: Tensor, taught: Tensor, labels: Tensor, attention_mask: Tensor) -> Tensor:  # noqa: ARG002
        """Return the mean `softened_divergence` of the tokens that have a label, float32 ()."""
        labelled = labels != IGNORED
        temperature = self.settings.distill_temperature
        each = softened_divergence(logits[labelled], taught[labelled], temperature)
        return each.sum() / labelled.sum().clamp(min=1)

    def scores(self, outputs: Outputs) -> dict[str, float]:
        """Return the mean cross-entropy of the tokens that have a label, and the F1 of entities."""
        logits = torch.from_numpy(np.concatenate(list(outputs)))
        loss = float(F.cross_entropy(logits, self._labels, ignore_index=IGNORED))
        return {
            "loss": loss,
            SCORE: entity_score(
                [one.tags for one in self._validation.examples],
                self._examples.tags(outputs),
                self.settings.metric or MAIN_METRIC,
            ),
        }

    @cached_property
    def _labels(self) -> Tensor:
        rows = TaggedRows(self.loaded, self._validation.examples).rows
        return torch.cat([row.target for row in rows]).long()

    def extra_results(self) -> dict[str, Any]:
        """Return the numbers of windows, of entities that no window contains, and of words without their own token."""
        rows = self.rows
        assert isinstance(rows, TaggedRows)
        return {"windows": len(rows), "entities_cut": rows.cut, "words_without_token": rows.tokenless_words}


class TaggedRows(EncoderRows):
    """The windows of many texts. The first token of each word has the word's tag as label; labels are int32 (tokens,).

    Attributes:
        cut: the number of entities that no window contains, because they are longer than the overlap of windows.
        tokenless_words: the number of words without a token of their own, from which nothing is learnt.
    """

    def __init__(self, loaded: LoadedTagger, examples: Sequence[TaggedText]) -> None:
        self.cut = self.tokenless_words = 0
        self._numbers = {label: number for number, label in enumerate(loaded.labels)}
        rows = [row for windows, one in windows_of(loaded, examples) for row in self._rows(windows, one)]
        super().__init__(loaded, rows)

    def _targets(self, targets: list[Tensor]) -> Tensor:
        return pad_sequence(targets, batch_first=True, padding_value=IGNORED).long()

    def _rows(self, windows: Sequence[Window], one: TaggedText) -> Iterator[EncoderRow]:
        first_tokens_by_window = [_tokens_of_words(window, one) for window in windows]
        spans = spans_of_tags(one.tags)
        whole = [
            [_holds(tokens, range(span.first, span.last)) for span in spans]
            for tokens in first_tokens_by_window
        ]
        lost = [not any(column) for column in zip(*whole, strict=True)]
        self.cut += sum(lost) if len(windows) > 1 else 0
        self.tokenless_words += sum(
            all(token is None for token in tokens) for tokens in zip(*first_tokens_by_window, strict=True)
        )
        for window, tokens, complete in zip(windows, first_tokens_by_window, whole, strict=True):
            numbers = [self._numbers[tag] for tag in one.tags]
            for span, has, nowhere in zip(spans, complete, lost, strict=True):
                if not has and not nowhere:  # another window contains all of it
                    numbers[span.first : span.last] = [IGNORED] * (span.last - span.first)
            yield _row(window, tokens, numbers)


def warn_of_entities(rows: TaggedRows, split: str) -> None:
    """Log warnings if there are entities that no window contains, or words without a token of their own."""
    if rows.cut:
        log.warning(
            "%d %s entities are longer than the overlap of two windows, so no window contains them; raise "
            "train.stride or train.max_length",
            rows.cut,
            split,
        )
    if rows.tokenless_words:
        log.warning(
            "%d %s words have no token of their own, because the tokenizer drops or joins them; they are not learnt",
            rows.tokenless_words,
            split,
        )


def word_features(
    loaded: LoadedTagger, examples: Sequence[TaggedText]
) -> Iterator[tuple[list[int], NDArray[np.float32]]]:
    """Yield for each text the positions of the words that have a token of their own, and the features of these words.

    Features are the head's inputs at the first token of each word, in the first window that contains the token: float32
    (words with a token, hidden).
    """
    none = np.empty((0, loaded.model.head.in_features), dtype=np.float32)
    for first in range(0, len(examples), _AT_ONCE):
        some = examples[first : first + _AT_ONCE]
        log.info("computing features of texts %d to %d of %d", first + 1, first + len(some), len(examples))
        cut = loaded.windows([one.input for one in some])
        tokens = [window.tokens for windows in cut for window in windows]
        rows = iter(run_per_token(loaded, tokens, loaded.model.features))
        for windows, one in zip(cut, some, strict=True):
            found: dict[int, NDArray[np.float32]] = {}
            for window, row in zip(windows, rows, strict=False):
                for word, token in enumerate(_tokens_of_words(window, one)):
                    if token is not None:
                        found.setdefault(word, row[token])
            words = sorted(found)
            yield words, np.stack([found[word] for word in words]) if words else none


def _tokens_of_words(window: Window, one: TaggedText) -> list[int | None]:
    """Return the position in the window of each word's first token; None for words that the window does not contain."""
    span = window.text_positions
    offsets = window.offsets[span.start : span.stop]
    if not offsets:
        return [None] * len(one.words)
    begins, ends = offsets[0][0], offsets[-1][1]
    inside = [position for position, (start, end) in enumerate(one.words) if end > begins and start < ends]
    found = first_tokens(one.text, offsets, [one.words[position] for position in inside])
    tokens: list[int | None] = [None] * len(one.words)
    for position, token in zip(inside, found, strict=True):
        # Skip a word whose beginning is outside the window.
        if token is not None and one.words[position][0] >= begins:
            tokens[position] = span.start + token
    return tokens


def _holds(tokens: Sequence[int | None], words: range) -> bool:
    """Return whether a window contains the first and the last word of an entity.

    `tokens` is the position of each word's first token in the window, `words` the range of the entity's words.
    """
    return tokens[words[0]] is not None and tokens[words[-1]] is not None


def _row(window: Window, tokens: Sequence[int | None], numbers: Sequence[int]) -> EncoderRow:
    labels = np.full(len(window.offsets), IGNORED, dtype=np.int32)
    for token, number in zip(tokens, numbers, strict=True):
        if token is not None:
            labels[token] = number
    return EncoderRow.of(window.tokens, torch.from_numpy(labels))
