"""Incremental detokenization: decode an answer while its tokens arrive, and end it at a stop string."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from ftool_runtime.decoding.config import GenerationConfig
from ftool_runtime.text.generation_tokenizer import GenerationTokenizer

_REPLACEMENT: Final = "�"  # the character to which tokenizers decode the bytes of an incomplete character
_WINDOW: Final = 64  # the largest number of tokens that are decoded again for each new token
_CONTEXT: Final = (
    16  # tokens before the new ones that are decoded again; no tokenizer's decoder looks back further
)

# Takes all tokens of an answer, after each new token; returns whether the answer ends there.
StopCheck = Callable[[Sequence[int]], bool]


class IncrementalText:
    """Decodes one answer in chunks, while its tokens arrive.

    A chunk holds only text that later tokens can't change: it does not end inside a character or a run of byte tokens,
    with white space that may be the end of the answer, or with the possible beginning of a stop string. All chunks
    together are the same text that `answer_text` returns.

    Attributes:
        stopped: whether a stop string has appeared; the text ends before the stop string.
    """

    def __init__(self, tokens: GenerationTokenizer, stop_strings: Sequence[str]) -> None:
        """Start an answer without tokens, which ends at the first of `stop_strings`."""
        self.stopped = False
        self._tokens = tokens
        self._stop_strings = stop_strings
        self._ids: list[int] = []
        self._window = 0  # position of the first token that is decoded again
        self._final = (
            ""  # the text that can't change: before the window, and the window's first `_skipped` characters
        )
        self._skipped = 0
        self._text = ""
        self._emitted = (
            0  # the number of characters of the text, with leading white space, that are in chunks so far
        )

    def add(self, token: int) -> None:
        """Add the answer's next token, and set `stopped` if a stop string has appeared."""
        self._ids.append(token)
        self._text = self._final + self._decoded(len(self._ids))[self._skipped :]
        end = _first_stop(self._text, self._stop_strings)
        if end is not None:
            self._text, self.stopped = self._text[:end], True
        elif len(self._ids) - self._window > _WINDOW and not self._unfinished():
            self._final, self._window = self._text, len(self._ids) - _CONTEXT
            self._skipped = len(self._decoded(len(self._ids)))

    def chunk(self) -> str:
        """Return the text that has become final since the last chunk; often ""."""
        if self.stopped:
            return self._emit(len(self._text.rstrip()))
        final = self._text
        run = self._unfinished()
        if run:
            final = self._final + self._decoded(len(self._ids) - run)[self._skipped :]
        final = final.rstrip(_REPLACEMENT)
        held = max((_overlap(final, stop) for stop in self._stop_strings), default=0)
        return self._emit(len(final[: len(final) - held].rstrip()))

    def rest(self) -> str:
        """Return the last chunk, after the answer has ended."""
        return self._emit(len(self._text.rstrip()))

    def _emit(self, end: int) -> str:
        begin = self._emitted or len(self._text) - len(self._text.lstrip())
        chunk = self._text[begin:end]
        if chunk:
            self._emitted = end
        return chunk

    def _decoded(self, end: int) -> str:
        return self._tokens.decode(self._ids[self._window : end])

    def _unfinished(self) -> int:
        """Return how many tokens at the end, such as single bytes of a character, may yet change their text."""
        run = 0
        while run < len(self._ids) and self._ids[-1 - run] in self._tokens.context_dependent:
            run += 1
        return run or (1 if self._text.endswith(_REPLACEMENT) else 0)


def answer_text(tokens: GenerationTokenizer, ids: Sequence[int], stop_strings: Sequence[str]) -> str:
    """Return the text of a complete answer, up to the first stop string, without white space at either end."""
    text = tokens.decode(ids)
    return text[: _first_stop(text, stop_strings)].strip()


def with_special_stops(config: GenerationConfig, special: Mapping[int, str]) -> GenerationConfig:
    """Return `config`, with the stop strings that are special tokens, which have no text, added to `eos_token_id`.

    `special` maps the ids of the special tokens to their names.
    """
    named = [token for token, content in special.items() if content in config.stop_strings]
    return replace(config, eos_token_id=(*config.eos_token_id, *named)) if named else config


def stop_checks(
    tokens: GenerationTokenizer, stop_strings: Sequence[str], beams: int
) -> Callable[[], StopCheck | None]:
    """Return a function that makes a new stop check for an answer, or returns None if there are no stop strings."""
    if not stop_strings:
        return lambda: None
    if beams > 1:  # a beam can continue the tokens of another beam, so each answer is decoded from its start
        return lambda: lambda answer: _first_stop(tokens.decode(answer), stop_strings) is not None
    return lambda: stop_check_of(IncrementalText(tokens, stop_strings))


def stop_check_of(text: IncrementalText) -> StopCheck:
    """Return a stop check that adds each new token of an answer to `text`."""

    def stop_check(answer: Sequence[int]) -> bool:
        text.add(answer[-1])
        return text.stopped

    return stop_check


def _first_stop(text: str, stop_strings: Sequence[str]) -> int | None:
    found = [place for place in (text.find(stop) for stop in stop_strings) if place >= 0]
    return min(found, default=None)


def _overlap(text: str, stop: str) -> int:
    """Return the length of the longest suffix of `text` that is a prefix of `stop`, but not all of `stop`."""
    return next((n for n in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:n])), 0)
