"""How long a text is for an embedder: where in it tokens begin."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from ftool_runtime.knowledge.terms import UNSPACED_LETTERS

_LONGEST = 24  # characters of a token: a "word" of a thousand letters is one unknown token to some tokenizers
_WORDS = re.compile(rf"[{UNSPACED_LETTERS}]|[^\W_]{{1,6}}|[^\w\s]|_")


class TokenCounter(Protocol):
    """Where the tokens of texts begin."""

    def starts(self, texts: Sequence[str]) -> list[list[int]]:
        """For every text the characters at which its tokens begin, special tokens left out."""


class TokenizerCounter:
    """Counts by the tokenizer of an embedder's bundle."""

    def __init__(self, path: Path) -> None:
        """Read `tokenizer.json` at `path`, which the bundle's loading has checked."""
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(path))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def starts(self, texts: Sequence[str], *, special: bool = False) -> list[list[int]]:
        """For every text the characters at which its tokens begin; special tokens count only if asked for."""
        encodings = self._tokenizer.encode_batch(list(texts), add_special_tokens=special)
        return [_starts(encoding.offsets) for encoding in encodings]


class WordCounter:
    """Counts about as a common tokenizer would, where there is no embedder: six letters are a token."""

    def starts(self, texts: Sequence[str]) -> list[list[int]]:
        """For every text the characters at which its tokens begin."""
        return [[word.start() for word in _WORDS.finditer(text)] for text in texts]


def _starts(offsets: Sequence[tuple[int, int]]) -> list[int]:
    return [at for start, end in offsets for at in range(start, max(end, start + 1), _LONGEST)]
