"""Text from data can't command a terminal, and JSON stays the same value."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftool_runtime.text.printable import for_stream, json_text, printable

COMMANDS = {
    "\x1b]0;title\x07": r"\x1b]0;title\x07",  # sets a terminal's title
    "\x1b[2J": r"\x1b[2J",  # clears the screen
    "\x9b31m": r"\x9b31m",  # a colour, by a C1 control character
    "done\rError": r"done\x0dError",
    "a\x08b\x7f": r"a\x08b\x7f",
    "user\u202etxt.exe": r"user\u202etxt.exe",
    "\u2066hidden\u2069": r"\u2066hidden\u2069",
    "\ud800": r"\ud800",
}


@pytest.mark.parametrize(("text", "shown"), COMMANDS.items())
def test_commands_are_shown_as_escapes(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown
    found = json_text({text: [text]})
    assert json.loads(found) == {text: [text]}
    assert printable(found) == found


def test_text_of_all_scripts_stays_as_it_is() -> None:
    text = "é \t Zürich\n日本 \u200d👩\u200d👧 עברית\u200f فارسی\u200c"
    assert printable(text) == text
    assert json_text(text) == json.dumps(text, ensure_ascii=False)
    assert json_text({"a": [1]}, indent=2) == '{\n  "a": [\n    1\n  ]\n}'


@given(st.text(st.characters(codec=None)))
def test_json_holds_the_same_text_and_can_be_encoded(text: str) -> None:
    assert json.loads(json_text(text)) == text
    json_text(text).encode()
    printable(text).encode()


def test_a_file_gets_generated_text_as_it_is_and_a_terminal_does_not() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert for_stream("\x1b[2J", io.StringIO()) == "\x1b[2J"
    assert for_stream("\x1b[2J", Terminal()) == r"\x1b[2J"
