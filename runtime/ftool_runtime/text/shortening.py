"""`Shortener`: leave out parts of very long texts that provably can't change the tokens that a model reads."""

import re
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tokenizers import Tokenizer

LONG: Final = 100_000  # characters from which a text is shortened: tokenizing it takes some 100 ms and 10 MB
_LONG_WORD: Final = 1000

# Those that look at no character beyond white space. A normaliser changes a character by itself or by the combining
# marks after it; these splitters split at all white space.
_NORMALIZERS: Final = (
    "NoneType",
    "BertNormalizer",
    "Lowercase",
    "NFC",
    "NFD",
    "NFKC",
    "NFKD",
    "StripAccents",
)
_SPLITTERS: Final = ("BertPreTokenizer", "Whitespace", "WhitespaceSplit")
_SPACES: Final = " \n\t"
_WORD: Final = re.compile(rf"([A-Za-z0-9]{{{_LONG_WORD}}})[A-Za-z0-9]+")
_ENDS_IN_WORD: Final = re.compile(r"^[A-Za-z0-9]|[A-Za-z0-9]$|\s")


class Shortener:
    """Shortens texts for one tokenizer, which reads each word, a part between white space, by itself. Thread-safe."""

    def __init__(self, tokenizer: "Tokenizer", side: str) -> None:
        """Use `tokenizer`, which truncates on the side `side`."""
        self._tokenizer = tokenizer
        self._side = side

    def parts(self, text: str) -> Iterator[str]:
        """Yield parts of a long text that grow, and at last the whole text.

        The parts are beginnings, or ends if the tokenizer truncates the beginning.
        If the tokens of a part are more than fit, those that remain are those of the whole text.
        """
        if not self._by_words:
            yield text
            return
        if self._unknown_if_long:
            text = _WORD.sub(r"\1", text)  # too long for the vocabulary with fewer letters too
        size = LONG // 4
        while size < len(text):
            part = _beginning(text, size) if self._side == "right" else _end(text, size)
            if part:
                yield part
            size *= 4
        yield text

    @cached_property
    def _by_words(self) -> bool:
        """Whether each word gives its own tokens, whatever comes before or after it."""
        return (
            type(self._tokenizer.normalizer).__name__ in _NORMALIZERS
            and type(self._tokenizer.pre_tokenizer).__name__ in _SPLITTERS
            and not any(re.search(r"\s", one) for one in self._added)
        )

    @cached_property
    def _unknown_if_long(self) -> bool:
        """Whether each word of more than `_LONG_WORD` letters and digits is an unknown word, one token."""
        model = self._tokenizer.model
        return (
            type(model).__name__ == "WordPiece"
            and model.max_input_chars_per_word < _LONG_WORD
            and not any(_ENDS_IN_WORD.search(one) or len(one) >= _LONG_WORD for one in self._added)
        )

    @property
    def _added(self) -> list[str]:
        """The texts that are found as added tokens: in the text itself, or in the normalised text."""
        contents = [token.content for token in self._tokenizer.get_added_tokens_decoder().values()]
        normalizer = self._tokenizer.normalizer
        return contents if normalizer is None else [*contents, *map(normalizer.normalize_str, contents)]


def _beginning(text: str, size: int) -> str:
    """Return the longest beginning of at most `size` characters that ends before white space; "" if there is none."""
    return text[: max(text.rfind(space, 0, size + 1) for space in _SPACES) + 1].rstrip(_SPACES)


def _end(text: str, size: int) -> str:
    """Return the longest end of at most `size` characters that begins with white space; "" if there is none."""
    places = (text.find(space, len(text) - size) for space in _SPACES)
    first = min((place for place in places if place >= 0), default=len(text))
    return text[first:]
