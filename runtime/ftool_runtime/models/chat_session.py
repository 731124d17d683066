"""`ChatSession`: a conversation that keeps its caches between turns."""

import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol, Self

from ftool_runtime.chat.tokens import Message
from ftool_runtime.decoding.results import Generation
from ftool_runtime.decoding.stream import TextStream
from ftool_runtime.errors import ClosedError, InputError
from ftool_runtime.session.decoder.prefix_cache import PrefixCache
from ftool_runtime.session.decoder.prefix_file import PrefixFile


class ChatModel(Protocol):
    """The interface of a model that a session needs: answers to conversations, with or without a prefix cache."""

    def prefix_cache(self, beginning: Sequence[Message], file: PrefixFile | None) -> PrefixCache | None:
        """Return a cache for a new session; None if the model must read the whole conversation in every turn.

        `beginning` holds the messages before the first turn, and `file` may hold their caches.
        """

    def answer_chat(
        self, messages: list[Message], cache: PrefixCache | None, options: dict[str, Any]
    ) -> Generation:
        """Return the answer to a conversation, whose beginning `cache` may hold."""

    def stream_answer(
        self,
        messages: list[Message],
        cache: PrefixCache | None,
        options: dict[str, Any],
        ended: Callable[[Generation, bool], None],
    ) -> TextStream:
        """Return a stream of the answer to a conversation, whose beginning `cache` may hold.

        `ended` is called with the answer and whether it was read to its end.
        """


class ChatSession:
    """A conversation with a model. The answers are the same as those of `chat` to the same messages.

    Every turn renders and tokenizes the whole conversation, but the model runs only on the tokens that
    earlier turns have not run. Only one turn can be in progress. A session is a context manager; `close` frees the
    session's buffers.
    """

    def __init__(
        self, model: ChatModel, beginning: Sequence[Message], file: PrefixFile | None = None
    ) -> None:
        """Start a conversation with the messages `beginning`, whose caches are kept in `file`, if given."""
        self._model = model
        self._beginning = tuple(beginning)
        self._file = file
        self._messages: list[Message] = list(beginning)
        self._cache: PrefixCache | None = None
        self._begun = self._closed = False
        self._busy = threading.Lock()

    @property
    def messages(self) -> list[dict[str, Any]]:
        """A copy of the conversation so far, in order."""
        return [dict(message) for message in self._messages]

    def say(self, text: str, **options: Any) -> Generation:
        """Send a message and return the answer.

        Message and answer are added to the conversation, unless an error is raised.

        Options and errors are the same as for `TextGenerator.chat`. Also raises InputError while another answer is in
        progress, and ClosedError after `close`.
        """
        messages = self._begin_turn(text)
        try:
            answer = self._model.answer_chat(messages, self._cache_of_session(), options)
            self._messages = [*messages, {"role": "assistant", "content": answer.text}]
        finally:
            self._end_turn()
        return answer

    def stream(self, text: str, **options: Any) -> TextStream:
        """Send a message and return a stream of the answer.

        Message and answer are added to the conversation when the answer has ended, even if the answer was cancelled.
        A stream that is closed or dropped before its end leaves the conversation unchanged. Options and errors are the
        same as for `say`.
        """
        messages = self._begin_turn(text)

        def ended(answer: Generation, complete: bool) -> None:
            if complete:
                self._messages = [*messages, {"role": "assistant", "content": answer.text}]
            self._end_turn()

        try:
            return self._model.stream_answer(messages, self._cache_of_session(), options, ended)
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
        """Lock the session until `_end_turn`, and return the messages with the user's new message."""
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
            self._cache = self._model.prefix_cache(self._beginning, self._file)
            self._begun = True
        return self._cache
