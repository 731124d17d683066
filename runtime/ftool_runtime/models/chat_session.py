"""`ChatSession`: a conversation whose caches stay between turns."""

import threading
from collections.abc import Callable
from typing import Any, Protocol, Self

from ftool_runtime.chat.tokens import Message
from ftool_runtime.decoding.results import Generation
from ftool_runtime.decoding.stream import TextStream
from ftool_runtime.errors import ClosedError, InputError
from ftool_runtime.session.decoder.prefix_cache import PrefixCache


class ChatModel(Protocol):
    """The model side of a session: answers to whole conversations, of which a cache has read the beginning."""

    def prefix_cache(self, system: str | None) -> PrefixCache | None:
        """A cache for a new session; None if the model has to read every turn from the start."""

    def answer_chat(
        self, messages: list[Message], cache: PrefixCache | None, options: dict[str, Any]
    ) -> Generation:
        """Answer a conversation."""

    def stream_answer(
        self,
        messages: list[Message],
        cache: PrefixCache | None,
        options: dict[str, Any],
        ended: Callable[[Generation, bool], None],
    ) -> TextStream:
        """Answer it piece by piece; `ended` is told the answer, and whether it was read to its end."""


class ChatSession:
    """A conversation with a model. Its answers are those of `chat` to the same messages.

    Every turn is rendered and tokenised as a whole; tokens that the model has read already are not run again. One turn
    at a time. A context manager; `close` frees its buffers.
    """

    def __init__(self, model: ChatModel, system: str | None) -> None:
        """Begin a conversation, with a system message if there is one."""
        self._model = model
        self._system = system
        self._messages: list[Message] = [] if system is None else [{"role": "system", "content": system}]
        self._cache: PrefixCache | None = None
        self._begun = self._closed = False
        self._busy = threading.Lock()

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The conversation so far, in order: a copy."""
        return [dict(message) for message in self._messages]

    def say(self, text: str, **options: Any) -> Generation:
        """Say something and get the answer; both become part of the conversation, or neither if this raises.

        Options and errors are those of `TextGenerator.chat`. Raises InputError in the middle of another answer.
        """
        said = self._begin_turn(text)
        try:
            answer = self._model.answer_chat(said, self._cache_of_session(), options)
            self._messages = [*said, {"role": "assistant", "content": answer.text}]
        finally:
            self._end_turn()
        return answer

    def stream(self, text: str, **options: Any) -> TextStream:
        """Say something and read the answer piece by piece.

        Both become part of the conversation when the answer has ended, cancelled or not. A stream that is closed or
        dropped before its end leaves the conversation as it was. Errors are those of `say`.
        """
        said = self._begin_turn(text)

        def ended(answer: Generation, whole: bool) -> None:
            if whole:
                self._messages = [*said, {"role": "assistant", "content": answer.text}]
            self._end_turn()

        try:
            return self._model.stream_answer(said, self._cache_of_session(), options, ended)
        except BaseException:
            self._end_turn()
            raise

    def close(self) -> None:
        """Free the buffers, at the end of the answer that is under way. Later turns raise ClosedError."""
        self._closed = True
        if self._busy.acquire(blocking=False):
            self._end_turn()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _begin_turn(self, text: str) -> list[Message]:
        """The messages of the next turn, which holds the session until `_end_turn`."""
        if self._closed:
            raise ClosedError("this chat session was closed; begin another one")
        if not self._busy.acquire(blocking=False):
            raise InputError("this session is in the middle of an answer; wait for it, or close its stream")
        return [*self._messages, {"role": "user", "content": text}]

    def _end_turn(self) -> None:
        if self._closed and self._cache is not None:
            self._cache.release()
            self._cache = None
        self._busy.release()

    def _cache_of_session(self) -> PrefixCache | None:
        if not self._begun:
            self._cache = self._model.prefix_cache(self._system)
            self._begun = True
        return self._cache
