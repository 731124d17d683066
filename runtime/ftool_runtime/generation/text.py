"""The text of an answer as it grows, and where a stop string ends it."""

from collections.abc import Callable, Sequence

from ftool_runtime.generation.search import Stopped
from ftool_runtime.generation.tokenizing import TextTokens


class AnswerText:
    """From an answer's tokens to its text."""

    @staticmethod
    def whole(tokens: TextTokens, ids: Sequence[int], stop_strings: Sequence[str]) -> str:
        """The text of a whole answer: without what comes from the first stop string on, or spaces at its ends."""
        text = tokens.decode(ids)
        ends = [place for place in (text.find(stop) for stop in stop_strings) if place >= 0]
        return (text[: min(ends)] if ends else text).strip()

    @staticmethod
    def stopper(tokens: TextTokens, stop_strings: Sequence[str]) -> Callable[[], Stopped | None]:
        """Makes, for each answer, what says whether it holds a stop string."""
        if not stop_strings:
            return lambda: None
        return lambda: lambda answer: any(stop in tokens.decode(answer) for stop in stop_strings)
