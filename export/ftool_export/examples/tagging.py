"""Examples for taggers: tags and entities from logits, and their comparison and scoring."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ftool_export.checkpoints.tagger import LoadedTagger
from ftool_export.examples.base import AnswerKind, WindowExamples
from ftool_runtime.postprocessing.entities import (
    Entity,
    TokenScores,
    WordTags,
    find_entities,
    tag_words,
)
from ftool_runtime.postprocessing.window_stitching import stitch
from ftool_runtime.session.encoder_engine import Outputs
from ftool_runtime.text.words import CharRange


@dataclass(frozen=True, kw_only=True)
class TaggingExamples(WindowExamples):
    """Texts for a tagger.

    Attributes:
        loaded: the tagger, which defines the tags and how texts are cut into windows.
        inputs: the texts.
        words: the character ranges of each text's words, for `tags`; None if unknown.
        scorer: computes the main metric from the tag of each word of each text.
    """

    kind: ClassVar[AnswerKind] = "labels"
    loaded: LoadedTagger
    inputs: Sequence[str]
    words: Sequence[Sequence[CharRange]] | None = None
    scorer: Callable[[list[list[str]]], float] | None = None

    def tags(self, outputs: Outputs) -> list[list[str]]:
        """Return the tag of each word in `words`, in the IOB2 scheme."""
        return [one.tags for one in self.answers(outputs)]

    def answers(self, outputs: Outputs) -> list[WordTags]:
        """Return the tag of each word in `words`, in the IOB2 scheme, with its probability."""
        assert self.words is not None, "these texts come without words"
        loaded = self.loaded
        return [
            tag_words(text, scores, loaded.labels, loaded.aggregation, words)
            for text, scores, words in zip(
                self.inputs, self._scores(outputs, self.words), self.words, strict=True
            )
        ]

    def entities(self, outputs: Outputs) -> list[list[Entity]]:
        """Return, for each text, the entities that the runtime decodes from the graph's `outputs`."""
        loaded = self.loaded
        return [
            find_entities(text, scores, loaded.labels, loaded.aggregation)
            for text, scores in zip(
                self.inputs, self._scores(outputs, [None] * len(self.inputs)), strict=True
            )
        ]

    def score(self, outputs: Outputs) -> float:
        """Return the main metric of the words' tags that the runtime decodes from the graph's `outputs`."""
        assert self.scorer is not None, "these texts have no tags"
        return self.scorer(self.scored(outputs))

    def scored(self, outputs: Outputs) -> list[list[str]]:
        """Return the words' tags."""
        return self.tags(outputs)

    def same(self, reference: Outputs, other: Outputs) -> NDArray[np.bool_]:
        """Return whether both outputs give the same entities (offsets and labels) for each text: bool (texts, 1)."""
        places = [
            [[(one.start, one.end, one.label) for one in entities] for entities in self.entities(outputs)]
            for outputs in (reference, other)
        ]
        return np.array([[first == second] for first, second in zip(*places, strict=True)], dtype=np.bool_)

    def distances(self, reference: Outputs, other: Outputs) -> NDArray[np.float64]:
        """Return the largest change of a tag's probability at any token of each text, float64 (texts,)."""
        both = zip(
            self._scores(reference, [None] * len(self.inputs)),
            self._scores(other, [None] * len(self.inputs)),
            strict=True,
        )
        return np.array(
            [np.abs(first.probabilities - second.probabilities).max(initial=0.0) for first, second in both]
        )

    def _scores(self, outputs: Outputs, words: Sequence[Sequence[CharRange] | None]) -> list[TokenScores]:
        rows = iter(outputs)
        return [
            stitch(text, windows, [next(rows) for _ in windows], self.loaded.labels, places)
            for text, windows, places in zip(self.inputs, self.windows, words, strict=True)
        ]
