"""Answers of generation, as token ids and as text."""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

FinishReason = Literal["eos", "length", "stop", "cancelled"]


@dataclass(frozen=True, slots=True)
class GeneratedRow:
    """The answer to one row of token ids.

    Attributes:
        ids: the answer's tokens, the end token included where there is one.
        finish_reason: "eos", "length", "stop" (a stop string) or "cancelled".
        score: beam search: the answer's log-probability over its length to the power of `length_penalty`; else None.
        logits: float32 (tokens, vocabulary), as the graph gave them, where they were asked for.
    """

    ids: tuple[int, ...]
    finish_reason: FinishReason
    score: float | None = None
    logits: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class Generation:
    """The answer to one text.

    Attributes:
        text: the answer, special tokens left out, spaces at its ends taken off; it ends before a stop string.
        token_ids: all tokens that were generated.
        finish_reason: why it ended: "eos", "length", "stop" or "cancelled".
        prompt_tokens: how many tokens the source or prompt had.
        truncated: the source or prompt was longer than the model takes, and part of it was not read.
        score: beam search: the answer's score; else None.
        input: the text that was answered, as it was given; None for chats, and if no model's call made the answer.
        others: the further answers that `num_return_sequences` asked for, best first.
    """

    text: str
    token_ids: tuple[int, ...]
    finish_reason: FinishReason
    prompt_tokens: int
    truncated: bool = False
    score: float | None = None
    others: tuple["Generation", ...] = ()
    input: str | None = field(default=None, compare=False, repr=False)

    def to_json(self, text: str | None = None) -> dict[str, Any]:
        """The answer as `predict` prints it, JSON values; `text` stands in for `input`."""
        values: dict[str, Any] = {
            "text": self.input if text is None else text,
            "answer": self.text,
            "finish_reason": self.finish_reason,
            "prompt_tokens": self.prompt_tokens,
            "tokens": len(self.token_ids),
            "truncated": self.truncated,
        }
        if self.score is not None:
            values["score"] = self.score
        if self.others:
            values["others"] = [other.text for other in self.others]
        return values


@dataclass(frozen=True, slots=True)
class LongGeneration:
    """The answers to the pieces of a long text.

    Attributes:
        text: the pieces' answers, in order, joined.
        parts: each piece's answer.
        sources: the pieces.
        input: the text that was answered, as it was given.
    """

    text: str
    parts: tuple[Generation, ...]
    sources: tuple[str, ...]
    input: str | None = field(default=None, compare=False, repr=False)

    @property
    def prompt_tokens(self) -> int:
        """Tokens of all pieces."""
        return sum(part.prompt_tokens for part in self.parts)

    def to_json(self, text: str | None = None) -> dict[str, Any]:
        """The answer as JSON values; `text` stands in for `input`."""
        text = self.input if text is None else text
        parts = [part.to_json(source) for part, source in zip(self.parts, self.sources, strict=True)]
        return {"text": text, "answer": self.text, "parts": parts}
