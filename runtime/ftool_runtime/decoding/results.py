"""Classes for generated answers, as token ids and as text."""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

FinishReason = Literal["eos", "length", "stop", "cancelled"]


@dataclass(frozen=True, slots=True)
class GeneratedRow:
    """The answer to one row of token ids.

    Attributes:
        ids: the answer's tokens, including the end token if there is one.
        finish_reason: "eos", "length", "stop" (a stop string) or "cancelled".
        score: for beam search, the answer's log-probability divided by its length to the power of `length_penalty`;
            otherwise None.
        logits: the graph's logits, float32 (tokens, vocabulary); None unless the call keeps them.
    """

    ids: tuple[int, ...]
    finish_reason: FinishReason
    score: float | None = None
    logits: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class Generation:
    """The answer to one text.

    Attributes:
        text: the answer up to the first stop string, without special tokens and without white space at either end.
        token_ids: all tokens that were generated.
        finish_reason: why the answer ended: "eos", "length", "stop" or "cancelled".
        prompt_tokens: the number of tokens in the source or prompt.
        truncated: whether part of the source or prompt was cut off, because it was longer than the model reads.
        score: for beam search, the answer's score; otherwise None.
        input: the given text; for chats the last message; None if the answer was not made by a model's call.
        others: further answers to the same text, best first, if `num_return_sequences` is above 1.
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
        """Return the answer as JSON values, as `predict` prints it; `text`, if not None, replaces `input`."""
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
    """The answers to the chunks of a long text.

    Attributes:
        text: the answers to all chunks, joined in order.
        parts: the answer to each chunk, in order.
        sources: the text of each chunk.
        input: the given text.
    """

    text: str
    parts: tuple[Generation, ...]
    sources: tuple[str, ...]
    input: str | None = field(default=None, compare=False, repr=False)

    @property
    def prompt_tokens(self) -> int:
        """The total number of tokens in all chunks."""
        return sum(part.prompt_tokens for part in self.parts)

    def to_json(self, text: str | None = None) -> dict[str, Any]:
        """Return the answer as JSON values; `text`, if not None, replaces `input`."""
        text = self.input if text is None else text
        parts = [part.to_json(source) for part, source in zip(self.parts, self.sources, strict=True)]
        return {"text": text, "answer": self.text, "parts": parts}
