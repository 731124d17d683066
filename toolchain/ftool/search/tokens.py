"""Find the tokens of texts, with an embedder's tokenizer or by an estimate, to measure the lengths of passages."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from ftool_runtime.knowledge.terms import UNSPACED_LETTERS
from ftool_runtime.text.encode import read_tokenizer

# Characters counted as one token: some tokenizers make a single unknown token of a very long word.
_LONGEST = 24
_WORDS = re.compile(rf"[{UNSPACED_LETTERS}]|[^\W_]{{1,6}}|[^\w\s]|_")


class TokenCounter(Protocol):
    """Interface of objects that find where the tokens of texts begin."""

    def starts(self, texts: Sequence[str]) -> list[list[int]]:
        """Return, for each text, the position of each token's first character, without special tokens."""


class TokenizerCounter:
    """Finds the tokens of texts with the tokenizer of an embedder's bundle."""

    def __init__(self, path: Path) -> None:
        """Read the file `tokenizer.json` at `path`. Raises BundleError for a damaged file."""
        self._tokenizer = read_tokenizer(path)

    def starts(self, texts: Sequence[str], *, special: bool = False) -> list[list[int]]:
        """Return, for each text, the position of each token's first character.

        If `special` is true, special tokens are included.
        """
        encodings = self._tokenizer.encode_batch(list(texts), add_special_tokens=special)
        return [_starts(encoding.offsets) for encoding in encodings]


class WordCounter:
    """Estimates tokens without a tokenizer: a token is up to six letters or digits, or one other character."""

    def starts(self, texts: Sequence[str]) -> list[list[int]]:
        """Return, for each text, the position of each estimated token's first character."""
        return [[word.start() for word in _WORDS.finditer(text)] for text in texts]


def _starts(offsets: Sequence[tuple[int, int]]) -> list[int]:
    return [at for start, end in offsets for at in range(start, max(end, start + 1), _LONGEST)]
