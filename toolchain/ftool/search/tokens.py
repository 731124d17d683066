"""Count the tokens of a text, and find where they begin, as an embedder would."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from ftool_runtime.knowledge.terms import UNSPACED_LETTERS

# Characters counted as one token: some tokenizers make a single unknown token of a very long word.
_LONGEST = 24
_WORDS = re.compile(rf"[{UNSPACED_LETTERS}]|[^\W_]{{1,6}}|[^\w\s]|_")


class TokenCounter(Protocol):
    """Finds where the tokens of texts begin."""

    def starts(self, texts: Sequence[str]) -> list[list[int]]:
        """For each text, the positions of the first characters of its tokens, without special tokens."""


class TokenizerCounter:
    """Counts tokens with the tokenizer of an embedder's bundle."""

    def __init__(self, path: Path) -> None:
        """Read `tokenizer.json` at `path`; loading the bundle has already checked it."""
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(path))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def starts(self, texts: Sequence[str], *, special: bool = False) -> list[list[int]]:
        """For each text, the positions of the first characters of its tokens; `special` includes special tokens."""
        encodings = self._tokenizer.encode_batch(list(texts), add_special_tokens=special)
        return [_starts(encoding.offsets) for encoding in encodings]


class WordCounter:
    """Estimates token counts if there is no embedder: up to six letters are a token."""

    def starts(self, texts: Sequence[str]) -> list[list[int]]:
        """For each text, the positions of the first characters of its tokens."""
        return [[word.start() for word in _WORDS.finditer(text)] for text in texts]


def _starts(offsets: Sequence[tuple[int, int]]) -> list[int]:
    return [at for start, end in offsets for at in range(start, max(end, start + 1), _LONGEST)]
