"""Read lists and dicts that a program wrote into a cell as text, as `DataFrame.to_csv` does: `['card', 'account']`.

The forms are those of JSON, of Python, and of numpy (`['card' 'account']`, `array([27])`). Nothing is executed.
"""

import ast
import io
import json
import re
import tokenize
from typing import Any

from ftool.data.table import Cell
from ftool_runtime.json_reader import is_too_deep

_STARTS = ("[", "{", "(", "array(", "np.array(")
_QUOTED_START = re.compile(r"""[\[{]\s*['"]""")
_LIST_OF_SEVERAL = re.compile(r"\[.*,.*\]$", re.DOTALL)
# The calls in a numpy value's `repr`; the value is the first argument.
_NUMPY_CALLS = re.compile(r"array|str_|bool_?|u?int(8|16|32|64)|float(16|32|64)")
_VALUES = (tokenize.STRING, tokenize.NUMBER, tokenize.NAME)


class BadLiteralError(Exception):
    """Raised for a text that begins like a list or dict but can't be read as one. The message names no cell."""


def read_literal(cell: Cell) -> Cell:
    """Return the list or dict that a cell holds as text; any other cell unchanged. Tuples and sets become lists.

    Raises BadLiteralError if a text begins with a bracket and a quotation mark, or is a list of several parts in square
    brackets, but can't be read.
    """
    if not isinstance(cell, str):
        return cell
    text = cell.strip()
    if not text.startswith(_STARTS):
        return cell
    try:
        value = _parsed(text)
        if is_too_deep(value):
            raise RecursionError
    except (ValueError, SyntaxError, tokenize.TokenError, RecursionError, MemoryError) as error:
        if _QUOTED_START.match(text) or _LIST_OF_SEVERAL.match(text):
            raise BadLiteralError("looks like a list or dict but is not one") from error
        return cell
    return value if isinstance(value, list | dict) else cell


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=lambda _: None)
    except ValueError:
        return _value_of(ast.parse(_with_commas(text), mode="eval").body)


def _with_commas(text: str) -> str:
    """Return a Python expression with a comma between values that only white space separates, as numpy writes them."""
    parts: list[str] = []
    ends_value = False
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER):
            continue
        is_value = token.type in _VALUES
        if ends_value and (is_value or token.string in ("[", "{")):
            parts.append(",")
        parts.append(token.string)
        ends_value = is_value or token.string in ("]", "}")
    return " ".join(parts)


def _value_of(node: ast.expr) -> Any:
    """Return the value of a node of the syntax tree. Raises ValueError if the node is not part of a literal."""
    match node:
        case ast.Constant(value=str() | int() | float() | None):
            return node.value
        case ast.List() | ast.Tuple() | ast.Set():
            return [_value_of(element) for element in node.elts]
        case ast.Dict():
            return {_key_of(key): _value_of(value) for key, value in zip(node.keys, node.values, strict=True)}
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return -number
        case ast.Name(id="nan"):
            return None
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=[first, *_]) if (
            _NUMPY_CALLS.fullmatch(name)
        ):
            return _value_of(first)
    raise ValueError(f"{type(node).__name__} is not part of a literal")


def _key_of(node: ast.expr | None) -> str:
    key = None if node is None else _value_of(node)
    if not isinstance(key, str | int):
        raise ValueError("a key is not a text")
    return str(key)
