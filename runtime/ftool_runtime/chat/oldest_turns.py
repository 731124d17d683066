"""Shorten a conversation that is too long for the model by leaving out its oldest turns."""

from collections.abc import Sequence

from ftool_runtime.chat.tokens import Message
from ftool_runtime.errors import InputError


def without_oldest_turn(messages: Sequence[Message], tokens: int, room: int) -> list[Message]:
    """Return the messages without the oldest turn, which ends before the second message of the user.

    Raises InputError if there is just one turn. `tokens` is the conversation's length and `room` the largest length
    that would fit, both in tokens.
    """
    first = 1 if messages[0]["role"] == "system" else 0
    later = [place for place in range(first + 1, len(messages)) if messages[place]["role"] == "user"]
    if not later:
        raise InputError(
            f"the last turn of the conversation has {tokens} tokens, and at most {room} leave room for an answer; "
            "shorten it",
            row=len(messages) - 1,
        )
    return [*messages[:first], *messages[later[0] :]]
