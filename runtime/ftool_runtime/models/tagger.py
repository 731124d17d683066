"""`TokenTagger`: token classification, which finds the entities of a text or the tags of given words."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, overload

from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.errors import BundleError, InputError, is_one_of
from ftool_runtime.models.base import listed
from ftool_runtime.models.encoder_model import WindowedModel, WindowOutputs
from ftool_runtime.postprocessing.entities import (
    AGGREGATIONS,
    Aggregation,
    Entity,
    WordTags,
    find_entities,
    tag_words,
)
from ftool_runtime.postprocessing.window_stitching import stitch
from ftool_runtime.session.encoder_engine import EncoderEngine
from ftool_runtime.text.windows import Window, WindowEncoder
from ftool_runtime.text.words import CharRange, join_words

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class Entities(list[Entity]):
    """The entities of one text, in order, without overlaps.

    Attributes:
        input: the given text; None if the entities were not found by a model's call.
    """

    truncated: ClassVar[bool] = False  # long texts are read completely, in windows

    def __init__(self, entities: Iterable[Entity] = (), input: str | None = None) -> None:
        """Hold `entities`, found in `input`."""
        super().__init__(entities)
        self.input = input

    def to_json(self, text: str | None = None) -> dict[str, Any]:
        """Return the answer as JSON values, as `predict` prints it; `text`, if not None, replaces `input`."""
        entities = [entity.to_json() for entity in self]
        return {
            "text": self.input if text is None else text,
            "entities": entities,
            "truncated": self.truncated,
        }


class TokenTagger(WindowedModel[str, Entities]):
    """A loaded tagger. Call it with one text or many; several threads can call it at the same time.

    A text of any length is read completely, in overlapping windows.
    """

    tasks: ClassVar[tuple[str, ...]] = ("token-classification",)
    call_options: ClassVar[tuple[str, ...]] = ("aggregation",)

    def __init__(self, folder: Path, engine: EncoderEngine, tokenizer: "Tokenizer") -> None:
        """Make a model from `engine`, which runs the bundle in `folder`, and the bundle's tokenizer.

        Raises BundleError if the manifest lacks `entities`.
        """
        super().__init__(folder, engine, tokenizer)
        manifest = engine.manifest
        if manifest.entities is None:
            raise BundleError(f"{folder}: the manifest has no entities; export the bundle again")
        self.labels = manifest.labels
        self._aggregation = _checked(manifest.entities.aggregation)
        self._windows = WindowEncoder(
            self._tokenizer, manifest.input, manifest.entities.stride, limits=self._limits
        )

    @classmethod
    def width(cls, manifest: Manifest) -> int:
        """Return the number of outputs for each token: one logit for each tag."""
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
            texts: a string, or several in a list or another iterable. Each answer is independent of the other texts.
            aggregation: the method of merging tokens into entities, as in transformers: "first", "average" or "max" for
                whole words, "simple" for neighbouring tokens, "none" for single tokens; None for the bundle's method.

        Returns:
            The entities of a string with their character ranges; for several strings a list of results in the same
            order.

        Raises:
            InputError: a text is not a string, blank or not Unicode (`row` says which), or the aggregation is unknown.
            ClosedError: after `close()`.
            OtherProcessError: in a child of the process that loaded the model.
        """
        chosen = self._settle(aggregation=aggregation)
        return self._one(texts, chosen) if isinstance(texts, str) else self._many(texts, chosen)

    def tags(self, sentences: Iterable[Sequence[str]]) -> list[list[str]]:
        """Return an IOB2 tag for each word of each sentence; a sentence is a list of words.

        The model reads the words of a sentence joined by spaces. Raises InputError if a sentence is a string or has no
        words, and the errors of a call.
        """
        given = listed(sentences, "sentences", limits=self._limits, kinds="lists of words")
        joined = [join_words(_checked_words(words, row)) for row, words in enumerate(given)]
        return self.word_tags([text for text, _ in joined], [places for _, places in joined])

    def word_tags(self, texts: Sequence[str], words: Sequence[Sequence[CharRange]]) -> list[list[str]]:
        """Return an IOB2 tag for each word of each text; `words` holds the character ranges of each text's words."""
        return [one.tags for one in self.word_answers(texts, words)]

    def word_answers(self, texts: Sequence[str], words: Sequence[Sequence[CharRange]]) -> list[WordTags]:
        """Return the tags of `word_tags` with their probabilities."""
        encoded = [self._encode(text, row, None) for row, text in enumerate(texts)]
        outputs = self._run(encoded, 0, None)
        return [
            tag_words(
                text,
                stitch(text, windows, found, self.labels, places),
                self.labels,
                self._aggregation,
                places,
            )
            for text, windows, found, places in zip(texts, encoded, outputs, words, strict=True)
        ]

    def _settle(self, *, aggregation: Aggregation | None = None) -> Aggregation:
        return self._aggregation if aggregation is None else _checked(aggregation)

    def _encode(self, given: str, row: int, _: Any) -> list[Window]:
        return self._windows.windows(given, row)

    def _decode(
        self, given: str, encoded: list[Window], outputs: WindowOutputs, options: Aggregation
    ) -> Entities:
        scores = stitch(given, encoded, outputs, self.labels)
        return Entities(find_entities(given, scores, self.labels, options), given)


def _checked(aggregation: Any) -> Aggregation:
    if not is_one_of(aggregation, AGGREGATIONS):
        raise InputError(f"aggregation must be one of {', '.join(AGGREGATIONS)}, got {aggregation!r}")
    checked: Aggregation = aggregation
    return checked


def _checked_words(words: object, row: int) -> Sequence[str]:
    if isinstance(words, str) or not isinstance(words, Sequence) or not words:
        raise InputError(f"sentence {row} must be a list of words, got {type(words).__name__}", row=row)
    for word in words:
        if not isinstance(word, str) or not word:
            raise InputError(
                f"sentence {row} holds {word!r}, which is not a word: words are strings, and not empty",
                row=row,
            )
    return words
