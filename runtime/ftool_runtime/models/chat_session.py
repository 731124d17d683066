"""A conversation that goes on: its caches stay between turns."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from ftool_runtime.chat.tokens import Message
from ftool_runtime.decoding.results import Generation
from ftool_runtime.decoding.stream import TextStream
from ftool_runtime.errors import ClosedError, InputError
from ftool_runtime.session.decoder.prefix_cache import Memory

if TYPE_CHECKING:
    from ftool_runtime.models.text_generator import TextGenerator


class ChatSession:
    """A conversation with a model. What it says is what `chat` says to the same messages.

    Every turn is rendered and tokenised as a whole; what the model has read of it already is not read again. One turn
    at a time. A context manager; `close` frees its buffers.
    """

    def __init__(
        self, model: "TextGenerator", system: str | None, make_memory: Callable[[], Memory | None]
    ) -> None:
        """Begin a conversation, perhaps with what the system says; `make_memory` gives None where caches can't stay."""
        self._model = model
        self._messages: list[Message] = [] if system is None else [{"role": "system", "content": system}]
        self._make_memory = make_memory
        self._memory: Memory | None = None
        self._begun = self._closed = False
        self._busy = threading.Lock()

    @property
    def messages(self) -> list[dict[str, Any]]:
        """What was said so far, in order: a copy."""
        return [dict(message) for message in self._messages]

    def say(self, text: str, **options: Any) -> Generation:
        """Say something and get the answer; both become part of the conversation, or neither where this raises.

        Options and errors are those of `TextGenerator.chat`. Raises InputError in the middle of another answer.
        """
        said = self._begin_turn(text)
        try:
            answer = self._model._chat(said, self._recall(), options)
            self._messages = [*said, {"role": "assistant", "content": answer.text}]
        finally:
            self._end_turn()
        return answer

    def stream(self, text: str, **options: Any) -> TextStream:
        """Say something and read the answer piece by piece.

        Both become part of the conversation when the answer has ended, cancelled or not; of a stream that is closed or
        dropped before, nothing does. Errors are those of `say`.
        """
        said = self._begin_turn(text)

        def ended(answer: Generation, whole: bool) -> None:
            if whole:
                self._messages = [*said, {"role": "assistant", "content": answer.text}]
            self._end_turn()

        try:
            return self._model._stream_chat(said, self._recall(), options, ended)
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
        """The messages of the next turn; until `_end_turn` there is no other."""
        if self._closed:
            raise ClosedError("this chat session was closed; begin another one")
        if not self._busy.acquire(blocking=False):
            raise InputError("this session is in the middle of an answer; wait for it, or close its stream")
        return [*self._messages, {"role": "user", "content": text}]

    def _end_turn(self) -> None:
        if self._closed and self._memory is not None:
            self._memory.give_back()
            self._memory = None
        self._busy.release()

    def _recall(self) -> Memory | None:
        if not self._begun:
            self._memory = self._make_memory()
            self._begun = True
        return self._memory
