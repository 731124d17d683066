"""Texts with exactly n tokens, made of the words of real texts, to time models at exact lengths."""

import itertools
import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import ftool_runtime
from ftool.bench.alternation import texts_of_round
from ftool.bench.worker import Text
from ftool.errors import BenchError
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.errors import InputError
from ftool_runtime.models.base import Model

_SOURCES: Final = 500  # most texts that give words, spread over the data
_FILLERS: Final = 30  # words that are tried in the last place
_STARTS: Final = 10  # places in the data that are tried for each text that is needed
_LETTERS_PER_TOKEN: Final = (
    16  # longer words are not tried whole: they rarely fit, and texts without spaces are long
)
_WORDS_PER_TOKEN: Final = 64  # a text of so many words a token has words without tokens

Count = Callable[[str], float]  # the tokens of a text, special tokens included; infinite if it can't be read


def exact_texts(
    bundle: Path, texts: Sequence[Text], lengths: Sequence[int], count: int
) -> dict[int, list[Text]]:
    """Return, for each of `lengths`, `count` texts with exactly this number of tokens.

    Tokens are counted as the bundle feeds them to its graph, with its prefix and special tokens; for an input of
    several texts, all together. A text begins at another of the given texts, goes on with the words of the texts after
    it, and ends with a whole word if one fits, otherwise with the beginning of a word.

    Args:
        bundle: the bundle whose tokenizer counts.
        texts: real texts, or objects of texts by field, of which the last of the model's fields is cut or lengthened.
        lengths: the numbers of tokens.
        count: the number of texts of each length.

    Raises BenchError if the model reads fewer tokens than a length, if the texts are conversations, or if no text of a
    length can be made; and the errors of `ftool_runtime.load`.
    """
    check_lengths(bundle, lengths)
    if any(isinstance(text, list) for text in texts):
        raise BenchError(
            "the texts are conversations, which can't be cut to a number of tokens; name plain texts with --data"
        )
    with ftool_runtime.load(bundle, threads=1) as model:
        source = _Source.of(model, texts_of_round(texts, 0, _SOURCES))
        return {length: source.texts(length, count) for length in lengths}


def check_lengths(bundle: Path, lengths: Sequence[int]) -> None:
    """Raise BenchError, which names the lengths, if the bundle's model reads fewer tokens than one of `lengths`.

    The context of a decoder without an encoder must also have room for the first token of the answer.
    """
    manifest = Manifest.read(bundle)
    decoder = manifest.generation is not None and manifest.generation.family == "decoder"
    most = manifest.input.max_length - decoder
    if beyond := [str(length) for length in lengths if length > most]:
        raise BenchError(
            f"{bundle}: the model reads at most {most} tokens, so that texts of {', '.join(beyond)} tokens can't be "
            f"timed; give lengths up to {most}"
        )


@dataclass(frozen=True, slots=True)
class _Source:
    """The words of real texts, one text after the other, and for each text the position of its first word."""

    model: Model[Any, Any]
    field: str
    given: Sequence[Any]
    words: Sequence[str]
    starts: Sequence[int]

    @classmethod
    def of(cls, model: Model[Any, Any], texts: Sequence[Any]) -> "_Source":
        field, words, starts, given = model.input_fields[-1], list[str](), list[int](), list[Any]()
        for text in texts:
            if found := (text if isinstance(text, str) else text[field]).split():
                given.append(text)
                starts.append(len(words))
                words += found
        return cls(model, field, given, words, starts)

    def texts(self, length: int, count: int) -> list[Text]:
        """Return `count` texts with exactly `length` tokens. Raises BenchError if there are none."""
        found: list[Text] = []
        spread = texts_of_round(range(len(self.starts)), 0, count * _STARTS)
        for place in (place for first in range(_STARTS) for place in spread[first::_STARTS]):
            if (text := self._text(place, length)) is not None:
                found.append(text)
            if len(found) == count:
                return found
        if not found:
            raise BenchError(
                f"no text of exactly {length} tokens can be made of the data's words; give a longer length, or name "
                "other texts with --data"
            )
        return [found[place % len(found)] for place in range(count)]

    def _text(self, place: int, length: int) -> Text | None:
        given, start = self.given[place], self.starts[place]

        def whole(text: str) -> Any:
            return text if isinstance(given, str) else {**given, self.field: text}

        def count(text: str) -> float:
            try:
                [rows] = self.model.encode([whole(text)])
            except InputError:  # such as a word without an embedding, or a question that leaves no room
                return math.inf
            return sum(len(row.ids) for row in rows) + any(row.truncated for row in rows)

        text = exact_text(lambda i: self.words[(start + i) % len(self.words)], length, count)
        return None if text is None else whole(text)


def exact_text(word: Callable[[int], str], length: int, count: Count) -> str | None:
    """Return a text of the words `word(0)`, `word(1)`, … with exactly `length` tokens, or None if none was found.

    The text has as many whole words as fit. If tokens are then missing, one of the following words is added, whole if
    possible, otherwise cut.
    """
    size = 1
    while count(_joined(word, size)) < length:
        if size > _WORDS_PER_TOKEN * length:
            return None
        size *= 2
    kept = bisect_right(range(1, size + 1), float(length), key=lambda words: count(_joined(word, words)))
    text = _joined(word, kept)
    missing = length - (count(text) if kept else 0)
    if not missing:
        return text
    fillers = [word(kept + i) for i in range(_FILLERS)]
    whole = (f"{text} {one}".strip() for one in fillers if len(one) <= _LETTERS_PER_TOKEN * missing)
    cut = (_cut(f"{text} {one}".strip(), len(text), length, count) for one in fillers)
    return next((one for one in itertools.chain(whole, cut) if one.strip() and count(one) == length), None)


def _joined(word: Callable[[int], str], size: int) -> str:
    return " ".join(word(i) for i in range(size))


def _cut(text: str, least: int, length: int, count: Count) -> str:
    """Return the beginning of `text` with more than `least` characters, and with at most `length` tokens if it can."""
    ends = range(least + 1, len(text) + 1)
    return text[: least + bisect_right(ends, float(length), key=lambda end: count(text[:end]))]
