"""Read the names of labels that are numbers from a file: one name per line, lines of number and name, or JSON."""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ftool.data.sources.files import read_text
from ftool.data.table import Table
from ftool.errors import DataError
from ftool_runtime.json_reader import read_json

LabelNames = Mapping[int, str]  # the name of each number, in the order of the model's outputs

_WHOLE = re.compile(r"\s*([+-]?\d{1,18})(\.0*)?\s*")
_SEPARATORS = ("\t", ";", ",", ":", "=", " ")


def names_for(path: str | None, table: Table, column: str) -> LabelNames | None:
    """Return the names of the label numbers in a column, from the file `path` or, if `path` is None, from the source.

    Returns None if there are no names. Raises DataError if the file can't be used.
    """
    if path is not None:
        return read_label_names(path)
    named = table.class_names.get(column)
    return None if named is None else dict(enumerate(named))


def read_label_names(path: str) -> LabelNames:
    """Return the label names in a file by their numbers, in the order of the numbers.

    A line holds a name; names are then numbered from 0. Or each line holds a number and a name in either order, which a
    tab, semicolon, comma, colon, equals sign or space separates; a header may come first. A JSON file holds a list of
    names, `{"0": "anger"}` or `{"anger": 0}`, also as `id2label` or `label2id`. Raises DataError if the file can't be
    read, if a line has no number although most lines have one, or if a name or a number occurs more than once.
    """
    text = read_text(Path(path))
    pairs = _from_json(path, text)
    if pairs is None:
        pairs = _from_lines(path, [line.strip() for line in text.splitlines() if line.strip()])
    for counts in (Counter(name for _, name in pairs), Counter(number for number, _ in pairs)):
        twice = next((repr(one) for one, count in counts.items() if count > 1), None)
        if twice is not None:
            raise DataError(f"{path}: has {twice} more than once")
    names = dict(sorted(pairs))
    for number, name in names.items():
        meant = whole_number(name)
        if meant is not None and names.get(meant, name) != name:
            raise DataError(
                f"{path}: {name!r} is the name of the number {number}, but also the number of {names[meant]!r}; "
                f"write the number before each name, such as {f'{meant}<TAB>{name}'!r}"
            )
    return names


def whole_number(value: object) -> int | None:
    """Return a number, or a text that holds one, as an int; None if the value is not a whole number."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    match = _WHOLE.fullmatch(str(value))
    return int(match[1]) if match else None


def listed_numbers(names: LabelNames) -> str:
    """Return the numbers of the names as a phrase for error messages: "0 to 27", or "0, 2, 5"."""
    numbers = list(names)
    if numbers == list(range(numbers[0], numbers[0] + len(numbers))):
        return f"{numbers[0]} to {numbers[-1]}"
    return ", ".join(map(str, numbers))


def _from_json(path: str, text: str) -> list[tuple[int, str]] | None:
    """Return the numbers and names in a JSON text; None if the text is not JSON.

    Raises DataError if the JSON holds anything else, or if a file that should be JSON is damaged.
    """
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        value = read_json(text, strict=False)
    except ValueError as error:
        if Path(path).suffix.lower() == ".json" or text.lstrip().startswith("{"):
            raise DataError(f"{path}: looks like JSON but is not: {error}") from error
        return None
    if isinstance(value, dict):
        value = value.get("id2label", value.get("label2id", value))
    items: list[tuple[Any, Any]] = list(value.items() if isinstance(value, dict) else enumerate(value))
    pairs = []
    for one, other in items:
        pair = _numbered(one, other)
        if pair is None:
            raise DataError(
                f"{path}: {str(one)[:40]!r} and {str(other)[:40]!r} are not a label number and a name"
            )
        pairs.append(pair)
    return pairs


def _from_lines(path: str, lines: list[str]) -> list[tuple[int, str]]:
    for separator in _SEPARATORS:
        found = [_numbered(*line.split(separator, 1)) if separator in line else None for line in lines]
        if len(lines) > 1 and found[0] is None and separator in lines[0].rstrip(" "):
            found = found[1:] if all(found[1:]) else found  # a header
        pairs = [pair for pair in found if pair is not None]
        if separator in ":=" and all(whole_number(name) is not None for _, name in pairs):
            continue  # times, such as 10:30
        if separator == " " and not _counted(pairs, len(lines)):
            continue
        if len(pairs) == len(found):
            return pairs
        if len(pairs) > len(found) / 2:
            line = lines[len(lines) - len(found) + found.index(None)]
            raise DataError(
                f"{path}: {line[:60]!r} has no number before the name, unlike most lines; add one"
            )
    return list(enumerate(lines))


def _numbered(one: object, other: object) -> tuple[int, str] | None:
    """Return the number and the name among two values; None if there is no number or no name."""
    for number, name in ((whole_number(one), other), (whole_number(other), one)):
        if number is not None and (stripped := str(name).strip().strip('"').strip()) and "\t" not in stripped:
            return number, stripped
    return None


def _counted(pairs: list[tuple[int, str]], lines: int) -> bool:
    """Whether each line has a number that counts the lines, from 0 or 1, before a name of its own.

    This distinguishes `0 anger`, `1 joy` from names that begin with numbers, such as `1 star`, `2 stars`, `3 stars`.
    """
    numbers = [number for number, _ in pairs]
    in_order = numbers in (list(range(lines)), list(range(1, lines + 1)))
    return in_order and len({name for _, name in pairs}) == lines
