"""Read conversations from cells.

A conversation is a list of turns: objects with the keys `role` and `content` (OpenAI) or `from` and `value` (ShareGPT).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ftool.data.cells import problem_of
from ftool.data.rows.generation import GenerationExample, Message, Role
from ftool.data.table import Cell
from ftool.errors import DataError
from ftool_runtime.errors import nearest

_ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "chatgpt": "assistant",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
}
# The roles that may follow each role; None stands for the start of the conversation.
_AFTER: Mapping[Role | None, tuple[Role, ...]] = {
    None: ("system", "user"),
    "system": ("user",),
    "user": ("assistant",),
    "assistant": ("user", "tool"),
    "tool": ("assistant", "tool"),
}


def conversation(cell: Cell, where: str, row: int) -> GenerationExample:
    """Return the conversation in a cell as an example whose answer is the last turn.

    Empty system turns are left out. `where` names the row and column in error messages. Raises DataError if the cell is
    not a list of turns, a role is unknown, the roles are out of order, or the last turn is not by the assistant.
    """
    if not is_conversation(cell):
        raise DataError(f"{where} is not a list of turns with a role and a content, got {str(cell)[:60]!r}")
    turns = [_turn(turn, f"{where}, turn {number}") for number, turn in enumerate(cell, start=1)]
    messages = [turn for turn in turns if turn.role != "system" or turn.content.strip()]
    _check_order(messages, where)
    return GenerationExample("", (messages[-1].content,), tuple(messages[:-1]), row=row)


def is_conversation(cell: Cell) -> bool:
    """Whether a cell has the form of a conversation: a list of one or more objects."""
    return (
        isinstance(cell, list | tuple) and len(cell) > 0 and all(isinstance(turn, Mapping) for turn in cell)
    )


def single_question(question: str, answers: tuple[str, ...], system: str, row: int) -> GenerationExample:
    """Return an example with one question, which is a user turn, and its reference answers.

    If `system` is not blank, a system turn with this text comes before the question.
    """
    turns = (Message("system", system),) if system.strip() else ()
    return GenerationExample("", answers, (*turns, Message("user", question)), row=row)


def _turn(turn: Mapping[str, Any], where: str) -> Message:
    for role_key, content_key in (("role", "content"), ("from", "value")):
        if role_key in turn:
            role = _role(turn[role_key], where)
            return Message(role, _content(turn.get(content_key), role, turn, where))
    raise DataError(f"{where} has no role; its keys are {', '.join(map(str, turn)) or 'none'}")


def _role(name: Any, where: str) -> Role:
    role = _ROLES.get(name.lower()) if isinstance(name, str) else None
    if role is None:
        near = nearest(str(name).lower(), _ROLES)
        remedy = f"did you mean {near}?" if near else "known are system, user, assistant and tool"
        raise DataError(f"{where} has the role {name!r}; {remedy}")
    return role


def _content(content: Any, role: Role, turn: Mapping[str, Any], where: str) -> str:
    if isinstance(content, list) and all(
        isinstance(part, Mapping) and part.get("type") == "text" and isinstance(part.get("text"), str)
        for part in content
    ):
        content = "".join(part["text"] for part in content)
    if role == "system" and (content is None or content == ""):
        return ""
    if turn.get("tool_calls") and not content:
        raise DataError(f"{where} calls a tool and has no text; write the call as text")
    if problem := problem_of(content, f"text ({role})"):
        raise DataError(f"{where} {problem}; correct or remove it")
    return str(content)


def _check_order(messages: Sequence[Message], where: str) -> None:
    before: Role | None = None
    for message in messages:
        if message.role not in _AFTER[before]:
            place = f"after {before}" if before else "first"
            raise DataError(
                f"{where}: {message.role} speaks {place}, but {' or '.join(_AFTER[before])} should; "
                "correct or remove it"
            )
        before = message.role
    if before != "assistant":
        ends = f"ends with {before}" if before else "has no turn"
        raise DataError(f"{where} {ends}, but assistant must speak last; correct or remove it")
