"""`Budget`: how much a chat template, which is untrusted code, may build and how long it may take.

Two rules bound memory and time. First, an operation that can give more than it takes spends what its result can hold at
most before it begins: the product of the sizes of what it works on, unless its name is in a table of those that give
less. An unknown operation therefore costs much, and never too little. Second, each new list or mapping spends its
whole size with all that is inside it, so that none can hold another twice, and that again, until it can't be walked.
What a template has was thus paid for, and any single operation on it ends soon; between operations, time is checked.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set, ValuesView
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from itertools import count
from typing import Any, Final

from ftool_runtime.errors import InputError, TimeLimitError
from ftool_runtime.limits import Limits

_TIMES_THE_TEXT: Final = 200  # what a template may build altogether, in units of the longest text
_ENDLESS: Final = float("inf")

# A unit is a character of a text. In memory it takes up to 4 bytes, and so does a unit of an element or a value below.
_ELEMENT: Final = 24  # an element of a list: its reference and an object
_LONGER: Final = 12  # characters that one can become in another text, such as \ud83d\ude00 in JSON
_MOST_BITS: Final = 2**14  # of a whole number, more than Python writes as text
_DIGITS: Final = 400  # after the point of a number, more than there are

_STEPS_BETWEEN_CHECKS: Final = 10_000  # of a walk, some milliseconds


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_COMPOUND: Final = list | tuple | Set | Mapping
# Methods and filters that give a text not longer than their texts together, apart from _LONGER.
_TEXTS: Final = _names(
    "capitalize casefold center count d decode default e encode endswith escape find first forceescape format "
    "format_map indent index int isalnum isalpha isdigit islower isspace isupper join last length lower lstrip "
    "removeprefix removesuffix replace rstrip safe startswith string strip swapcase title tojson translate "
    "trim truncate upper"
)
# Filters that give elements of the list that they get, and methods of mappings.
_PARTS: Final = _names(
    "attr count d default dictsort first fromkeys get groupby items keys last length list map max min random "
    "reject rejectattr reverse select selectattr sort unique values"
)
# Filters made for web pages, on which regular expressions or quadratic work could take hours.
REMOVED_FILTERS: Final = ("pprint", "striptags", "urlencode", "urlize", "wordcount", "wordwrap", "xmlattr")
_BY_NUMBER: Final = _names("batch center expandtabs indent ljust rjust slice to_bytes tojson zfill")
_FORMATS: Final = frozenset(("%", "format", "format_map"))
_WIDTH: Final = re.compile(r"\d+")
_GIVEN_WIDTH: Final = re.compile(r"\*|\{[^{}]*\{")  # of "%*d" and "{:{}}": a value is a width

_current: ContextVar["Budget | None"] = ContextVar("budget", default=None)


class Budget:
    """What one rendering has left to build, and until when."""

    def __init__(self, limits: Limits) -> None:
        """Start with what `limits` allow: `text_characters` and `template_seconds`."""
        self._limits = limits
        most = limits.text_characters
        self.left: float = _ENDLESS if most is None else most * _TIMES_THE_TEXT
        seconds = limits.template_seconds
        self._ends = _ENDLESS if seconds is None else time.perf_counter() + seconds

    def spend(self, units: float) -> None:
        """Take `units` from what is left. Raises InputError if too little is left, TimeLimitError if time is over."""
        self.left -= units
        if self.left < 0 or units == _ENDLESS:
            raise InputError(
                f"the bundle's chat template builds more than {_TIMES_THE_TEXT} times text_characters "
                f"({self._limits.text_characters}) for this conversation; shorten it, or load with "
                "limits=Limits(text_characters=…) if you trust the bundle"
            )
        if time.perf_counter() > self._ends:
            raise TimeLimitError(
                f"the bundle's chat template took longer than {self._limits.template_seconds:g} s, the limit "
                "template_seconds; shorten the conversation, or load with limits=Limits(template_seconds=…) if you "
                "trust the bundle"
            )


@contextmanager
def spending(budget: Budget) -> Iterator[None]:
    """Let `spend` take from `budget` in the block."""
    token = _current.set(budget)
    try:
        yield
    finally:
        _current.reset(token)


def spend(units: float = 1) -> None:
    """Take `units` from the budget of the rendering in progress. Raises the errors of `Budget.spend`."""
    budget = _current.get()
    if budget is not None:
        budget.spend(units)


def kept(value: Any) -> Any:
    """Return `value`, which an operation has made or which becomes a part of a text, after its size was spent."""
    spend(1 + size(value))
    return value


def size(value: Any) -> float:
    """Return about how many units `value` holds, with everything inside it; at most what is left and one value more."""
    if isinstance(value, str | bytes):
        return len(value)
    budget = _current.get()
    left = _ENDLESS if budget is None else budget.left
    total: float = 0
    waiting = [value]
    for step in count():
        if not waiting or total > left:
            break
        if step % _STEPS_BETWEEN_CHECKS == _STEPS_BETWEEN_CHECKS - 1:
            spend(0)  # checks the time
        one = waiting.pop()
        if isinstance(one, str | bytes):
            total += len(one)
        elif isinstance(one, Mapping):
            total += _ELEMENT * len(one)
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, _COMPOUND | ValuesView):
            total += _ELEMENT * len(one)
            waiting += one
        elif isinstance(one, range):
            total += _ELEMENT * len(one)
        elif isinstance(one, int):
            total += one.bit_length() // 3 if one.bit_length() <= _MOST_BITS else _ENDLESS
    return total


def joined(join: Callable[[Sequence[Any]], str], parts: Sequence[Any]) -> str:
    """Return `join(parts)`, after the size of the result was spent."""
    spend(1 + _longer(parts) * sum(map(size, parts)))
    return join(parts)


def spend_operator(operator: str, left: Any, right: Any) -> None:
    """Spend what the result of a binary operator holds at most."""
    numbers = isinstance(left, int) and isinstance(right, int)
    if operator == "%" and isinstance(left, str | bytes):
        _spend_call("%", (left, right), {})
    elif operator == "*" and not numbers:
        spend(1 + (1 + size(left)) * abs(right) if isinstance(right, int) else 1)
        spend(1 + (1 + size(right)) * abs(left) if isinstance(left, int) else 1)
    elif operator == "**" and numbers:
        spend(1 if right <= 0 or left.bit_length() * right <= _MOST_BITS else _ENDLESS)
    elif numbers:
        spend(1 if left.bit_length() + right.bit_length() <= _MOST_BITS else _ENDLESS)
    else:
        spend(1 + (size(left) + size(right)) * _longer((left, right)))


def bounded_call(function: Callable[..., Any], call: Callable[..., Any], /, *given: Any, **named: Any) -> Any:
    """Return the result of `call(function, *given, **named)`, after what it holds at most was spent."""
    name = getattr(function, "__name__", "")
    owner = getattr(getattr(function, "__wrapped__", function), "__self__", None)
    if isinstance(owner, str | bytes | int | Mapping):
        if name == "join":
            given = _listed(given)
        _spend_call(name, (owner, *given), named)
    else:  # a macro, which may keep the values together in one list, or a function with a bound of its own
        spend(1 + size(given) + size(named))
    return kept(call(function, *given, **named))


def bounded_filter(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return jinja2's filter `name`, of which each call spends beforehand what its result holds at most."""
    first = 1 if hasattr(function, "jinja_pass_arg") else 0  # the context or environment

    @wraps(function)
    def bounded(*given: Any, **named: Any) -> Any:
        values = given[first:]
        if name not in _PARTS:
            values = _listed(values)
        _spend_call(name, values, named)
        return kept(function(*given[:first], *values, **named))

    return bounded


def _spend_call(name: str, values: Sequence[Any], named: Mapping[str, Any]) -> None:
    """Spend what the method or filter `name` can make of its values: the first one, and arguments."""
    given = [*values[1:], *(value for key, value in named.items() if not key.startswith("_"))]
    owner = values[0] if values else ""
    if name in _PARTS and not isinstance(owner, str | bytes):
        whole: float = len(owner) if isinstance(owner, _COMPOUND) else 0
        spend(1 + _ELEMENT * whole + size(given))
        return
    arguments = sum(map(size, given))
    if name == "sum" and any(isinstance(one, str | bytes | _COMPOUND) for one in owner):
        arguments += size(owner)  # each of the sums on the way is a new list
    elif name == "round":
        arguments += _ENDLESS if max(_numbers(given), default=0) > _DIGITS else 0
    elif name in _FORMATS and isinstance(owner, str | bytes):
        form = owner if isinstance(owner, str) else owner.decode("latin-1")
        arguments += sum(map(int, _WIDTH.findall(form)))
        arguments += sum(_numbers(given)) if _GIVEN_WIDTH.search(form) else 0
    elif name in _BY_NUMBER or name not in _TEXTS | _PARTS:
        arguments += sum(_numbers(given))
    spend(1 + (1 + size(owner)) * ((_LONGER if name in _TEXTS else _ELEMENT) + arguments))


def _listed(values: Sequence[Any]) -> tuple[Any, ...]:
    """Return values of which the first, if it can be read only once, was read into a list; each element was spent."""
    if not values:
        return ()
    first, *rest = values
    return ([kept(one) for one in first], *rest) if isinstance(first, Iterator | range) else (*values,)


def _longer(parts: Sequence[Any]) -> int:
    """Return how much longer texts can become together: marked-up text escapes what it is put together with."""
    return _LONGER if any(hasattr(one, "__html__") for one in parts) else 1


def _numbers(values: Iterable[Any]) -> Iterator[int]:
    for value in values:
        if isinstance(value, int):
            yield abs(value)
        elif isinstance(value, _COMPOUND):
            yield from _numbers(value.values() if isinstance(value, Mapping) else value)
