"""Incremental detokenization: the text of an answer while its tokens arrive, and where a stop string ends it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from ftool_runtime.decoding.config import GenerationConfig
from ftool_runtime.text.generation_tokenizer import GenerationTokenizer

_REPLACEMENT: Final = "�"  # what a tokenizer decodes the bytes of an incomplete character to
_WINDOW: Final = 64  # at most this many tokens are decoded again for each new one
_CONTEXT: Final = 16  # of these, how many are final already: more than any tokenizer's decoder looks back

# Called with an answer's tokens after each new one; returns whether the answer ends there.
StopCheck = Callable[[Sequence[int]], bool]


class IncrementalText:
    """The text of one answer while its tokens arrive.

    A chunk ends where no later token can change it: not inside a character, a run of byte tokens, spaces that may be
    the end of the answer, or the possible beginning of a stop string. All chunks together are the text that
    `answer_text` returns.

    Attributes:
        stopped: whether a stop string has appeared; the text ends before it.
    """

    def __init__(self, tokens: GenerationTokenizer, stop_strings: Sequence[str]) -> None:
        """Start with no tokens."""
        self.stopped = False
        self._tokens = tokens
        self._stop_strings = stop_strings
        self._ids: list[int] = []
        self._window = 0  # position of the first token that is decoded again
        self._final = ""  # the text before the window, and the window's first `_skipped` characters
        self._skipped = 0
        self._text = ""
        self._emitted = 0  # characters of the text in chunks so far, spaces at its beginning included

    def add(self, token: int) -> None:
        """Add the next token."""
        self._ids.append(token)
        self._text = self._final + self._decoded(len(self._ids))[self._skipped :]
        end = _first_stop(self._text, self._stop_strings)
        if end is not None:
            self._text, self.stopped = self._text[:end], True
        elif len(self._ids) - self._window > _WINDOW and not self._unfinished():
            self._final, self._window = self._text, len(self._ids) - _CONTEXT
            self._skipped = len(self._decoded(len(self._ids)))

    def chunk(self) -> str:
        """The text that has become final since the last chunk; often empty."""
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
        """The last chunk, when the answer has ended."""
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
        """How many of the last tokens may decode to another text once more tokens follow, such as single bytes."""
        run = 0
        while run < len(self._ids) and self._ids[-1 - run] in self._tokens.context_dependent:
            run += 1
        return run or (1 if self._text.endswith(_REPLACEMENT) else 0)


def answer_text(tokens: GenerationTokenizer, ids: Sequence[int], stop_strings: Sequence[str]) -> str:
    """The text of a whole answer, up to the first stop string, without white space at its ends."""
    text = tokens.decode(ids)
    return text[: _first_stop(text, stop_strings)].strip()


def with_special_stops(config: GenerationConfig, special: Mapping[int, str]) -> GenerationConfig:
    """`config`, in which stop strings that are `special` tokens end an answer by their ids, since they have no text."""
    named = [token for token, content in special.items() if content in config.stop_strings]
    return replace(config, eos_token_id=(*config.eos_token_id, *named)) if named else config


def stop_checks(
    tokens: GenerationTokenizer, stop_strings: Sequence[str], beams: int
) -> Callable[[], StopCheck | None]:
    """A function that makes a stop check for each answer; it makes None if there are no stop strings."""
    if not stop_strings:
        return lambda: None
    if beams > 1:  # a beam may continue another one's tokens, so each is decoded from its start
        return lambda: lambda answer: _first_stop(tokens.decode(answer), stop_strings) is not None
    return lambda: stop_check_of(IncrementalText(tokens, stop_strings))


def stop_check_of(text: IncrementalText) -> StopCheck:
    """A stop check that adds each new token of an answer to `text`."""

    def stop_check(answer: Sequence[int]) -> bool:
        text.add(answer[-1])
        return text.stopped

    return stop_check


def _first_stop(text: str, stop_strings: Sequence[str]) -> int | None:
    found = [place for place in (text.find(stop) for stop in stop_strings) if place >= 0]
    return min(found, default=None)


def _overlap(text: str, stop: str) -> int:
    """The length of the longest end of `text` that is a beginning of `stop`, but not all of it."""
    return next((n for n in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:n])), 0)
