"""Decoders without an encoder: continuing prompts, and chats."""

from functools import partial
from typing import Any, ClassVar

from ftool_runtime.generation.config import GenerationConfig
from ftool_runtime.generation.prompts import Prompt, fit
from ftool_runtime.tasks.generator import Generator, Overflow, Reader


class TextGenerator(Generator):
    """A loaded model that continues prompts and answers in chats. Call it on one prompt or on many.

    A prompt that leaves no room for an answer is refused; overflow="cut" cuts its beginning, so that as many new tokens
    fit as were asked for, or half the context where they would take more.
    """

    family: ClassVar[str] = "decoder"
    default_overflow: ClassVar[Overflow] = "refuse"

    def _reader(self, config: GenerationConfig, overflow: Overflow, options: dict[str, Any]) -> Reader:
        settled = config.changed(**options)
        # what leaves no room the engine refuses
        room = self._room(settled) if overflow == "cut" else None
        return Reader(partial(self._read, room), settled)

    def _read(self, room: int | None, text: str, row: int) -> Prompt:
        ids, added = self._engine.tokens.encode(text, row, prefix=self._engine.manifest.input.prefix)
        return fit(ids, added, room, side="left", refuse=False, row=row, what="prompt")

    def _room(self, config: GenerationConfig) -> int | None:
        """Tokens of a prompt that leave room for the answer; None where any number does."""
        limit = self._engine.contract.max_length
        if limit is None:
            return config.max_length - 1 if config.max_new_tokens is None and config.max_length else None
        if config.max_new_tokens is None and config.max_length is not None:
            return min(config.max_length, limit) - 1
        return limit - min(config.new_tokens, limit // 2)
