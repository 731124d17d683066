"""JSON that may be hostile is read, or refused with the place of what is wrong; nothing else ever happens."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftool_runtime.json_reader import MOST_LEVELS, JsonError, read_json


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1,', "is not JSON: Expecting property name .* column 9"),
        ('{\n"a": tru}', "is not JSON: .* at line 2, column 6"),
        (b"\xff{}", "is not UTF-8: byte 1 is 0xff"),
        ("\ufeff{}", "is not JSON: Unexpected UTF-8 BOM"),
        ('{"input": {"max_length": 1e400}}', "input.max_length is not a finite number"),
        ('{"input": {"max_length": NaN}}', "input.max_length is not a finite number"),
        ('{"labels": ["a", -Infinity]}', r"labels\[1\] is not a finite number"),
        ('{"a": ' + "9" * 5000 + "}", "a is a whole number beyond 64 bits"),
        ('{"a": -' + "9" * 400 + "}", "a is a whole number beyond 64 bits"),
        ('{"a": 99999999999999999999}', "a is a whole number beyond 64 bits"),
        ('{"a": {"b": 1, "c": 2, "b": 3}}', "a holds the key 'b' twice"),
        ('{"a": 1, "a": 1}', "the content holds the key 'a' twice"),
        (r'{"prefix": "x\ud800"}', "prefix holds half of a surrogate pair"),
        (r'{"\udfff": 1}', "holds half of a surrogate pair"),
        ("[" * 65 + "]" * 65, "is nested more than 64 levels deep"),
        ('{"a":' * 100_000, "nested too deeply"),
        ("[" * 100_000, "nested too deeply"),
        ("", "is not JSON"),
    ],
)
def test_what_is_refused_is_named_with_its_place(text: str | bytes, message: str) -> None:
    with pytest.raises(JsonError, match=message) as caught:
        read_json(text)
    assert "\n" not in str(caught.value)


def test_what_programs_agree_on_is_read() -> None:
    text = json.dumps({"数": ["ü", r"\ud83d\ude00", 2**64 - 1, -(2**63), 1.7e308, None, True, {}]})
    assert read_json(text.encode()) == json.loads(text)
    deepest = "[" * MOST_LEVELS + "]" * MOST_LEVELS
    assert read_json(deepest) == json.loads(deepest)


def test_rows_of_data_may_hold_what_their_readers_check_themselves() -> None:
    assert read_json('{"id": ' + "9" * 40 + ', "a": 1, "a": 2, "x": 1e400}', strict=False)["a"] == 2
    with pytest.raises(JsonError, match="can't be read"):
        read_json("9" * 5000, strict=False)
    with pytest.raises(JsonError, match="nested too deeply"):
        read_json("[" * 100_000, strict=False)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.binary() | st.text().map(lambda text: text.encode(errors="surrogatepass")))
def test_no_bytes_raise_anything_else(content: bytes) -> None:
    with contextlib.suppress(JsonError):
        read_json(content)


@given(_VALUES)
def test_a_value_is_read_as_json_reads_it_or_refused(value: object) -> None:
    text = json.dumps(value)
    with contextlib.suppress(JsonError):
        assert read_json(text) == json.loads(text)


def test_long_integers_are_read_where_a_file_may_hold_them() -> None:
    content = '{"model_max_length": 1000000000000000019884624838656, "a": {"b": 1, "b": 2}}'
    with pytest.raises(JsonError, match="a holds the key 'b' twice"):
        read_json(content, long_integers=True)
    settings = read_json('{"model_max_length": 1000000000000000019884624838656}', long_integers=True)
    assert settings == {"model_max_length": int(1e30)}
    with pytest.raises(JsonError, match="can't be read"):
        read_json('{"model_max_length": ' + "9" * 5000 + "}", long_integers=True)
