"""Examples of text generation: a source or a conversation, and its right answers."""

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
        """Return the turn as chat templates take it."""
        return {"role": self.role, "content": self.content}


@dataclass(frozen=True, slots=True)
class GenerationExample(Example):
    """A source text, or a conversation, with the right answers.

    Attributes:
        source: the text to summarise or translate, or a prompt as plain text; "" if there is only one text.
        targets: the right answers: one, or several references if the data has them; training takes the first.
        messages: text-generation on conversations: all turns before the answer; `source` is "" then, and the answer is
            `targets[0]`. None otherwise. A conversation of several turns is one example: training takes the loss on
            every turn of the assistant, those among `messages` included, and the last one is measured.
    """

    source: str
    targets: tuple[str, ...]
    messages: tuple[Message, ...] | None = None

    @property
    def input(self) -> str | list[dict[str, str]]:
        """The source, or the turns before the answer."""
        if self.messages is None:
            return self.source
        return [message.to_json() for message in self.messages]

    @property
    def key(self) -> str:
        """The source, the turns before the answer, or if there is neither the text."""
        if self.messages:
            return "\n".join(f"{message.role}: {message.content}" for message in self.messages)
        return self.source or self.targets[0]

    @property
    def content(self) -> list[Any]:
        """The source or conversation, and the targets."""
        return [self.input if self.messages else self.source, list(self.targets)]
