"""Example class for text generation: a source text or a conversation, with its reference answers."""

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
        """Return the turn as a dict of role and content, the form that chat templates take."""
        return {"role": self.role, "content": self.content}


@dataclass(frozen=True, slots=True)
class GenerationExample(Example):
    """A source text or a conversation, with its reference answers.

    Attributes:
        source: the text to summarise or translate, or a prompt as plain text; "" for plain texts and conversations.
        targets: the reference answers, one or more; training uses the first. For a plain text, the text itself.
        messages: for a conversation, all turns before the answer `targets[0]`; None otherwise. A conversation of
            several turns is one example: training computes the loss on every assistant turn, including those in
            `messages`, and evaluation scores only the last.
    """

    source: str
    targets: tuple[str, ...]
    messages: tuple[Message, ...] | None = None

    @property
    def input(self) -> str | list[dict[str, str]]:
        """The source text, or the turns before the answer as dicts of role and content."""
        if self.messages is None:
            return self.source
        return [message.to_json() for message in self.messages]

    @property
    def key(self) -> str:
        """The turns before the answer as one text, or the source text, or the plain text if there is no source."""
        if self.messages:
            return "\n".join(f"{message.role}: {message.content}" for message in self.messages)
        return self.source or self.targets[0]

    @property
    def content(self) -> list[Any]:
        """A list of the input (source text or turns) and the list of targets."""
        return [self.input if self.messages else self.source, list(self.targets)]
