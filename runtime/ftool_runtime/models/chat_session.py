"""`ChatSession`: a conversation that keeps its caches between turns."""

import threading
from collections.abc import Callable
from typing import Any, Protocol, Self

from ftool_runtime.chat.tokens import Message
from ftool_runtime.decoding.results import Generation
from ftool_runtime.decoding.stream import TextStream
from ftool_runtime.errors import ClosedError, InputError
from ftool_runtime.session.decoder.prefix_cache import PrefixCache


class ChatModel(Protocol):
    """What a session needs of a model: answers to conversations, whose beginning a cache may hold."""

    def prefix_cache(self, system: str | None) -> PrefixCache | None:
        """A cache for a new session; None if the model must read the whole conversation in every turn."""

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
        """Stream the answer; `ended` is called with the answer and whether it was read to its end."""


class ChatSession:
    """A conversation with a model. Its answers are those of `chat` to the same messages.

    Every turn renders and tokenizes the whole conversation; the model runs only on tokens that it has not read yet. One
    turn at a time. It is a context manager; `close` frees its buffers.
    """

    def __init__(self, model: ChatModel, system: str | None) -> None:
        """Start a conversation, with a system message if `system` is not None."""
        self._model = model
        self._system = system
        self._messages: list[Message] = [] if system is None else [{"role": "system", "content": system}]
        self._cache: PrefixCache | None = None
        self._begun = self._closed = False
        self._busy = threading.Lock()

    @property
    def messages(self) -> list[dict[str, Any]]:
        """A copy of the conversation so far, in order."""
        return [dict(message) for message in self._messages]

    def say(self, text: str, **options: Any) -> Generation:
        """Say something and return the answer; both are added to the conversation, or neither if this raises.

        Options and errors are those of `TextGenerator.chat`. Raises InputError while another answer is in progress.
        """
        said = self._begin_turn(text)
        try:
            answer = self._model.answer_chat(said, self._cache_of_session(), options)
            self._messages = [*said, {"role": "assistant", "content": answer.text}]
        finally:
            self._end_turn()
        return answer

    def stream(self, text: str, **options: Any) -> TextStream:
        """Say something and stream the answer.

        Both are added to the conversation when the answer has ended, even if it was cancelled. A stream that is closed
        or dropped before its end leaves the conversation unchanged. Errors are those of `say`.
        """
        said = self._begin_turn(text)

        def ended(answer: Generation, complete: bool) -> None:
            if complete:
                self._messages = [*said, {"role": "assistant", "content": answer.text}]
            self._end_turn()

        try:
            return self._model.stream_answer(said, self._cache_of_session(), options, ended)
        except BaseException:
            self._end_turn()
            raise

    def close(self) -> None:
        """Free the buffers, after an answer in progress has ended. Later turns raise ClosedError."""
        self._closed = True
        if self._busy.acquire(blocking=False):
            self._end_turn()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _begin_turn(self, text: str) -> list[Message]:
        """The messages of the next turn, which locks the session until `_end_turn`."""
        if self._closed:
            raise ClosedError("this chat session was closed; start another one")
        if not self._busy.acquire(blocking=False):
            raise InputError(
                "another answer of this session is in progress; wait for its end, or close its stream"
            )
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
