"""The text of an answer as it grows: what no later token can change, and where a stop string ends it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from ftool_runtime.decoding.config import GenerationConfig
from ftool_runtime.text.generation_tokens import TextTokens

_REPLACEMENT: Final = "�"  # what a tokenizer gives for the bytes of an unfinished character
_WINDOW: Final = 64  # tokens that are decoded again for every new one, at most
_CONTEXT: Final = 16  # of them before the text that is settled: more than any decoder looks back

Stopped = Callable[[Sequence[int]], bool]


class GrowingText:
    """The text of one answer while its tokens come.

    Pieces end where nothing later can change them: not inside a character, a run of byte tokens, spaces that may be
    the answer's end, or what may become a stop string. Joined, they are the text that `answer_text` gives.

    Attributes:
        stopped: whether a stop string has appeared; the text ends before it.
    """

    def __init__(self, tokens: TextTokens, stop_strings: Sequence[str]) -> None:
        """Begin with no tokens."""
        self.stopped = False
        self._tokens = tokens
        self._stop_strings = stop_strings
        self._ids: list[int] = []
        self._window = 0  # the first token that is decoded again
        self._settled = ""  # the text before, and as much of the window's as `_skipped` says
        self._skipped = 0
        self._text = ""
        self._given = 0  # characters of the text that were handed out, spaces at its beginning included

    def add(self, token: int) -> None:
        """Take the next token."""
        self._ids.append(token)
        self._text = self._settled + self._decoded(len(self._ids))[self._skipped :]
        end = _first_stop(self._text, self._stop_strings)
        if end is not None:
            self._text, self.stopped = self._text[:end], True
        elif len(self._ids) - self._window > _WINDOW and not self._unfinished():
            self._settled, self._window = self._text, len(self._ids) - _CONTEXT
            self._skipped = len(self._decoded(len(self._ids)))

    def piece(self) -> str:
        """What has become sure since the last piece; often nothing."""
        if self.stopped:
            return self._give(len(self._text.rstrip()))
        sure = self._text
        run = self._unfinished()
        if run:
            sure = self._settled + self._decoded(len(self._ids) - run)[self._skipped :]
        sure = sure.rstrip(_REPLACEMENT)
        held = max((_overlap(sure, stop) for stop in self._stop_strings), default=0)
        return self._give(len(sure[: len(sure) - held].rstrip()))

    def rest(self) -> str:
        """What is left when the answer has ended."""
        return self._give(len(self._text.rstrip()))

    def _give(self, end: int) -> str:
        begin = self._given or len(self._text) - len(self._text.lstrip())
        piece = self._text[begin:end]
        if piece:
            self._given = end
        return piece

    def _decoded(self, end: int) -> str:
        return self._tokens.decode(self._ids[self._window : end])

    def _unfinished(self) -> int:
        """How many of the last tokens are bytes, which later ones may turn into something else, or leave no text."""
        run = 0
        while run < len(self._ids) and self._ids[-1 - run] in self._tokens.unsettled:
            run += 1
        return run or (1 if self._text.endswith(_REPLACEMENT) else 0)


def answer_text(tokens: TextTokens, ids: Sequence[int], stop_strings: Sequence[str]) -> str:
    """The text of a whole answer: without what comes from the first stop string on, or spaces at its ends."""
    text = tokens.decode(ids)
    return text[: _first_stop(text, stop_strings)].strip()


def ending_at_special(config: GenerationConfig, special: Mapping[int, str]) -> GenerationConfig:
    """`config` in which stop strings that are `special` tokens end an answer by their ids: they have no text."""
    named = [token for token, content in special.items() if content in config.stop_strings]
    return replace(config, eos_token_id=(*config.eos_token_id, *named)) if named else config


def stoppers(tokens: TextTokens, stop_strings: Sequence[str], beams: int) -> Callable[[], Stopped | None]:
    """Makes, for each answer, what says whether it holds a stop string; None where there are none."""
    if not stop_strings:
        return lambda: None
    if beams > 1:  # beams exchange their beginnings
        return lambda: lambda answer: _first_stop(tokens.decode(answer), stop_strings) is not None
    return lambda: follower(GrowingText(tokens, stop_strings))


def follower(text: GrowingText) -> Stopped:
    """Feeds `text` with an answer's tokens as they come, and says whether it holds a stop string."""

    def follow(answer: Sequence[int]) -> bool:
        text.add(answer[-1])
        return text.stopped

    return follow


def _first_stop(text: str, stop_strings: Sequence[str]) -> int | None:
    found = [place for place in (text.find(stop) for stop in stop_strings) if place >= 0]
    return min(found, default=None)


def _overlap(text: str, stop: str) -> int:
    """How many of the last characters of `text` `stop` begins with, all of `stop` excepted."""
    return next((n for n in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:n])), 0)
