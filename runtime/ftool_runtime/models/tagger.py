"""Token classification: the entities of a text, or the tags of words that are given."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, overload

from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.bundle.paths import TOKENIZER_FILE, path_inside
from ftool_runtime.errors import BundleError, InputError
from ftool_runtime.models.encoder_model import EncoderModel
from ftool_runtime.models.inputs import cut, listed
from ftool_runtime.postprocessing.entities import (
    AGGREGATIONS,
    Aggregation,
    Entity,
    TokenScores,
    find_entities,
    tags_of_words,
)
from ftool_runtime.postprocessing.window_stitching import stitched
from ftool_runtime.session.encoder_engine import Engine, Outputs
from ftool_runtime.text.windows import Window, WindowEncoder
from ftool_runtime.text.words import Span, join_words


class Entities(list[Entity]):
    """The entities of one text, in order; none overlaps another."""

    truncated: ClassVar[bool] = False  # long texts are read in windows, to their end

    def to_json(self, text: str) -> dict[str, Any]:
        """The answer to `text` as `predict` prints it: JSON values."""
        entities = [entity.to_json() for entity in self]
        return {"text": text, "entities": entities, "truncated": self.truncated}


class TokenTagger(EncoderModel):
    """A loaded tagger. Call it on one text or on many; several threads may do so at once.

    A text of any length is read whole, in windows that overlap.
    """

    per_token: ClassVar[bool] = True
    call_options: ClassVar[tuple[str, ...]] = ("aggregation",)

    def __init__(self, folder: Path, engine: Engine) -> None:
        """Wrap the engine of the bundle in `folder`. Raises BundleError where the manifest lacks `entities`."""
        super().__init__(folder, engine)
        manifest = engine.manifest
        if manifest.entities is None:
            raise BundleError(f"{folder}: the manifest has no entities; export the bundle again")
        self.labels = manifest.labels
        self._aggregation = _checked(manifest.entities.aggregation)
        self._windows = WindowEncoder(
            path_inside(folder, TOKENIZER_FILE), manifest.input, manifest.entities.stride
        )

    @classmethod
    def width(cls, manifest: Manifest) -> int:
        """A logit for every tag."""
        return len(manifest.labels)

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a str is Iterable[str] too, and the first overload wins
        self, texts: str, *, aggregation: Aggregation | None = None
    ) -> Entities: ...

    @overload
    def __call__(self, texts: Iterable[str], *, aggregation: Aggregation | None = None) -> list[Entities]: ...

    def __call__(
        self, texts: str | Iterable[str], *, aggregation: Aggregation | None = None
    ) -> Entities | list[Entities]:
        """Find the entities of one text, or of many in one call.

        Args:
            texts: a string, or strings; an answer does not depend on the others.
            aggregation: how tokens become entities, as in transformers: "first", "average" or "max" (whole words),
                "simple" (tokens that follow each other), "none" (each token with its own tag); None: the bundle's.

        Returns:
            The entities of a string, each with its place; for strings a list of such lists in the same order.

        Raises:
            InputError: a text is no string, blank or not Unicode (`row` tells which), or the aggregation is unknown.
            ClosedError: after `close()`.
            OtherProcessError: in a child of the process that loaded the model.
        """
        chosen = self._chosen(aggregation)
        if isinstance(texts, str):
            return self._answers([texts], 0, chosen)[0]
        return self._answers(listed(texts), 0, chosen)

    def predict_iter(
        self, texts: Iterable[str], *, batch_size: int = 64, aggregation: Aggregation | None = None
    ) -> Iterator[Entities]:
        """The entities of a stream of texts, in order, with at most `batch_size` of them in memory.

        Texts are taken from `texts` only as answers are asked for. Raises InputError at once where an option is
        wrong, and as `__call__` does on the way; a text's `row` counts from the start of the stream.
        """
        answers = self.predict_batches(cut(texts, batch_size), aggregation=aggregation)
        return itertools.chain.from_iterable(answers)

    def predict_batches(
        self, batches: Iterable[Sequence[str]], *, aggregation: Aggregation | None = None
    ) -> Iterator[list[Entities]]:
        """The entities of a stream of lists of texts, as long as the caller makes them.

        Raises as `predict_iter`; a text's `row` counts from the start of the stream.
        """
        return self._stream(batches, self._chosen(aggregation))

    def tags(self, sentences: Iterable[Sequence[str]]) -> list[list[str]]:
        """The tags of words that are cut already, in IOB2: one for each word of each sentence.

        The model reads the words with a space between each two. Raises InputError for a sentence that is a string or
        holds no words, and as `__call__`.
        """
        joined = [join_words(_checked_words(words, row)) for row, words in enumerate(sentences)]
        return self.word_tags([text for text, _ in joined], [places for _, places in joined])

    def word_tags(self, texts: Sequence[str], words: Sequence[Sequence[Span]]) -> list[list[str]]:
        """As `tags`, for texts whose words stand at `words`: the first character of each and the one past its last."""
        found = self._scored(texts, 0, words)
        return [
            tags_of_words(places, find_entities(text, scores, self.labels, self._aggregation, places))
            for (text, scores), places in zip(found, words, strict=True)
        ]

    def outputs(self, inputs: Iterable[str]) -> Outputs:
        """The logits of every window of the texts, in order: float32 (tokens, labels) each. Raises as `__call__`."""
        windows = self._cut(listed(inputs), 0)
        return self._engine.outputs([window.tokens for one in windows for window in one])

    def _chosen(self, aggregation: Aggregation | None) -> Aggregation:
        return self._aggregation if aggregation is None else _checked(aggregation)

    def _stream(self, batches: Iterable[Sequence[str]], aggregation: Aggregation) -> Iterator[list[Entities]]:
        first_row = 0
        for batch in batches:
            yield self._answers(batch, first_row, aggregation)
            first_row += len(batch)

    def _answers(self, texts: Sequence[str], first_row: int, aggregation: Aggregation) -> list[Entities]:
        found = self._scored(texts, first_row, [None] * len(texts))
        return [Entities(find_entities(text, scores, self.labels, aggregation)) for text, scores in found]

    def _scored(
        self, texts: Sequence[str], first_row: int, words: Sequence[Sequence[Span] | None]
    ) -> list[tuple[str, TokenScores]]:
        windows = self._cut(texts, first_row)
        rows = iter(self._engine.outputs([window.tokens for one in windows for window in one]))
        return [
            (text, stitched(text, one, [next(rows) for _ in one], self.labels, places))
            for text, one, places in zip(texts, windows, words, strict=True)
        ]

    def _cut(self, texts: Sequence[str], first_row: int) -> list[list[Window]]:
        return [self._windows.windows(text, row) for row, text in enumerate(texts, first_row)]


def _checked(aggregation: object) -> Aggregation:
    if aggregation not in AGGREGATIONS:
        raise InputError(f"aggregation must be one of {', '.join(AGGREGATIONS)}, got {aggregation!r}")
    return aggregation


def _checked_words(words: object, row: int) -> Sequence[str]:
    if isinstance(words, str) or not isinstance(words, Sequence) or not words:
        raise InputError(f"sentence {row} must be a list of words, got {type(words).__name__}", row=row)
    for word in words:
        if not isinstance(word, str) or not word:
            raise InputError(f"sentence {row} holds a word that is no string or empty: {word!r}", row=row)
    return words
