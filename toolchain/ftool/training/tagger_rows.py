"""Tagged texts as a Trainer takes them: windows, the first token of each word carrying the word's tag."""

import logging
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ftool.data.dataset import Split
from ftool.data.rows.tag_schemes import spans_of_tags
from ftool.data.rows.tagged_text import TaggedText
from ftool.training.encoder_rows import EncoderRow, EncoderRows
from ftool_export.checkpoints.tagger import LoadedTagger
from ftool_runtime.postprocessing.entities import first_tokens
from ftool_runtime.text.windows import Window

log = logging.getLogger(__name__)

IGNORED = -100  # the label of a token that is not trained on, as in transformers
_AT_ONCE = 1024  # texts whose windows, with all their offsets, are in memory together


class TaggedRows(EncoderRows):
    """Windows of many texts, the labels of each int32 (tokens,).

    Attributes:
        cut: entities that no window holds whole, as they are longer than windows overlap.
        silent: words that the tokenizer drops, or joins to another, so that nothing is learnt of them.
    """

    def __init__(self, loaded: LoadedTagger, examples: Sequence[TaggedText]) -> None:
        self.cut = self.silent = 0
        self._numbers = {label: number for number, label in enumerate(loaded.labels)}
        rows = [row for windows, one in _windows(loaded, examples) for row in self._rows(windows, one)]
        super().__init__(loaded, rows)

    def _targets(self, targets: list[Tensor]) -> Tensor:
        return pad_sequence(targets, batch_first=True, padding_value=IGNORED).long()

    def _rows(self, windows: Sequence[Window], one: TaggedText) -> Iterator[EncoderRow]:
        held = [_tokens_of_words(window, one) for window in windows]
        spans = spans_of_tags(one.tags)
        whole = [[_holds(tokens, range(span.first, span.last)) for span in spans] for tokens in held]
        lost = [not any(column) for column in zip(*whole, strict=True)]
        self.cut += sum(lost) if len(windows) > 1 else 0
        self.silent += sum(all(token is None for token in tokens) for tokens in zip(*held, strict=True))
        for window, tokens, complete in zip(windows, held, whole, strict=True):
            numbers = [self._numbers[tag] for tag in one.tags]
            for span, has, nowhere in zip(spans, complete, lost, strict=True):
                if not has and not nowhere:  # another window teaches it whole
                    numbers[span.first : span.last] = [IGNORED] * (span.last - span.first)
            yield _row(window, tokens, numbers)


def warn_of_entities(rows: TaggedRows, split: str) -> None:
    """Say how many of a split's entities were cut, and how many words have no token."""
    if rows.cut:
        log.warning(
            "%d %s entities are longer than two windows overlap, so no window holds them whole; raise train.stride or "
            "train.max_length",
            rows.cut,
            split,
        )
    if rows.silent:
        log.warning(
            "%d %s words have no token of their own, as the tokenizer drops or joins them; they teach nothing",
            rows.silent,
            split,
        )


def without_unreadable(loaded: LoadedTagger, split: Split[TaggedText]) -> Split[TaggedText]:
    """The texts in which the tokenizer finds anything at all; the others are left out with a warning."""
    kept = [
        position
        for position, (windows, _) in enumerate(_windows(loaded, split.examples))
        if any(window.text_positions for window in windows)
    ]
    if left_out := len(split) - len(kept):
        log.warning(
            "%s: %d texts hold nothing that the tokenizer reads and were left out", split.source, left_out
        )
        return split.take(kept)
    return split


def _windows(
    loaded: LoadedTagger, examples: Sequence[TaggedText]
) -> Iterator[tuple[list[Window], TaggedText]]:
    for first in range(0, len(examples), _AT_ONCE):
        some = examples[first : first + _AT_ONCE]
        yield from zip(loaded.windows([one.text for one in some]), some, strict=True)


def _tokens_of_words(window: Window, one: TaggedText) -> list[int | None]:
    """For each word the position in the window of the token that speaks for it; None where none does here."""
    span = window.text_positions
    offsets = window.offsets[span.start : span.stop]
    if not offsets:
        return [None] * len(one.words)
    begins, ends = offsets[0][0], offsets[-1][1]
    inside = [position for position, (start, end) in enumerate(one.words) if end > begins and start < ends]
    found = first_tokens(one.text, offsets, [one.words[position] for position in inside])
    tokens: list[int | None] = [None] * len(one.words)
    for position, token in zip(inside, found, strict=True):
        if token is not None and one.words[position][0] >= begins:  # not a word whose beginning was cut off
            tokens[position] = span.start + token
    return tokens


def _holds(tokens: Sequence[int | None], words: range) -> bool:
    """Whether a window has the first and the last word of an entity."""
    return tokens[words[0]] is not None and tokens[words[-1]] is not None


def _row(window: Window, tokens: Sequence[int | None], numbers: Sequence[int]) -> EncoderRow:
    labels = np.full(len(window.offsets), IGNORED, dtype=np.int32)
    for token, number in zip(tokens, numbers, strict=True):
        if token is not None:
            labels[token] = number
    return EncoderRow.of(window.tokens, torch.from_numpy(labels))
