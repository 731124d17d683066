"""Rows of any source as inputs of a model, with the number of each row and the problem of a row that can't be one."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from ftool_runtime.errors import InputError
from ftool_runtime.text.encode import text_problem
from ftool_runtime.text.rows import RowError


class InputRow(NamedTuple):
    """A row of a file as an input of a model.

    Attributes:
        number: the line where the row begins, or the row's number in a file without lines, from 1.
        given: the text, or a dict of texts by field; None if a text is empty, or if there is a problem.
        problem: the message of the error for a row that can't be an input; None for every other row.
    """

    number: int
    given: Any
    problem: str | None = None


def checked_inputs(
    numbered: Iterable[tuple[int, object]], name: str, *, keep_blank: bool = False
) -> Iterator[Any]:
    """Yield inputs that are texts, or dicts of texts by field; and None for an empty text if `keep_blank`.

    `numbered` and `name` are those of `input_rows`. Raises InputError if a text is not valid, or if there is no input.
    """
    for row in input_rows(numbered, name, keep_blank=keep_blank):
        if row.problem is not None:
            raise InputError(row.problem)
        yield row.given


def input_rows(
    numbered: Iterable[tuple[int, object]], name: str, *, keep_blank: bool = True
) -> Iterator[InputRow]:
    """Yield every row as an input, or with the problem that it has.

    Args:
        numbered: the number and the content of each row; the content of a row that can't be read is an InputError.
        name: the name of the source in errors.
        keep_blank: whether a row with an empty text has no problem.

    Raises InputError if there is no row, or if the source can't be read any further.
    """
    empty = True
    try:
        for number, given in numbered:
            empty = False
            yield _input_row(number, given, name, keep_blank)
    except RowError as error:
        raise InputError(_in_row(error, name)) from error
    if empty:
        raise InputError(f"{name} is empty")


def _input_row(number: int, given: object, name: str, keep_blank: bool) -> InputRow:
    if isinstance(given, InputError):
        return InputRow(number, None, _in_row(given, name) if isinstance(given, RowError) else str(given))
    fields = given.items() if isinstance(given, dict) else [("text", given)]
    if keep_blank and any(text is None or (isinstance(text, str) and not text.strip()) for _, text in fields):
        return InputRow(number, None)
    for field, text in fields:
        if problem := text_problem(text):
            return InputRow(number, None, f"{name}, line {number}: the {field} {problem}")
    return InputRow(number, given)


def _in_row(error: RowError, name: str) -> str:
    return f"{name}, line {error.number} {error.problem}"
