"""The example class for text generation: a source text, a conversation or a plain text, with reference answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ftool.data.dataset import Example

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str

    def to_json(self) -> dict[str, str]:
        """Return the turn as a dict with the keys "role" and "content", as chat templates expect."""
        return {"role": self.role, "content": self.content}


@dataclass(frozen=True, slots=True)
class GenerationExample(Example):
    """A source text, a conversation or a plain text, with its reference answers.

    Attributes:
        source: the text to summarise or translate, or the prompt that the answer continues; "" for a conversation, and
            for a plain text, which has no prompt.
        targets: one or more reference answers, of which training uses the first. For a plain text, only the text
            itself.
        messages: for a conversation, all turns before the answer `targets[0]`; None otherwise. A conversation of
            several turns is one example: training computes the loss on every assistant turn, including those in
            `messages`, and evaluation scores only the answer.
    """

    source: str
    targets: tuple[str, ...]
    messages: tuple[Message, ...] | None = None

    @property
    def input(self) -> str | list[dict[str, str]]:
        """The source text; for a conversation, a list of the turns before the answer, each as a dict."""
        if self.messages is None:
            return self.source
        return [message.to_json() for message in self.messages]

    @property
    def named_texts(self) -> Mapping[str, str]:
        """The input as "source" or "conversation", and the answer as "target"; a plain text as "text"."""
        if not self.messages and not self.source:
            return {"text": self.targets[0]}
        return {"conversation" if self.messages else "source": self.key, "target": self.targets[0]}

    @property
    def whole_input(self) -> str:
        """The input alone, as in `key`: several answers to one input are several references."""
        return self.key

    @property
    def key(self) -> str:
        """The source text.

        For a conversation, the turns before the answer as one string; for a plain text, the text itself.
        """
        if self.messages:
            return "\n".join(f"{message.role}: {message.content}" for message in self.messages)
        return self.source or self.targets[0]

    @property
    def content(self) -> list[Any]:
        """A list of two values: the input (the source text or a list of turns), and the list of reference answers."""
        return [self.input if self.messages else self.source, list(self.targets)]
