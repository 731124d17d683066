"""Messages of errors are one line, and name the bundle."""

import pickle
from pathlib import Path

import pytest

from ftool_runtime.errors import BundleError, InputError, SignatureError, naming_bundle


@pytest.mark.parametrize("end", ["\n", "\r", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029"])
def test_a_message_is_one_line(end: str) -> None:
    error = InputError(f"no label 'a{end}b'")
    assert str(error).splitlines() == [str(error)]
    assert str(error) == "no label 'a b'"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_message_shows_control_characters_as_escapes() -> None:
    assert str(InputError("no label 'a\x1b[2J\u202eb\ud800'")) == r"no label 'a\x1b[2J\u202eb\ud800'"


def test_a_message_is_short_and_keeps_its_remedy() -> None:
    for quoted in ("x" * 10**7, "\x1b" * 2000):
        message = str(InputError(f"no label {quoted}; name another"))
        assert len(message) <= 4000
        assert message.startswith("no label ")
        assert message.endswith("; name another")


def test_errors_of_a_bundle_name_it_once(tmp_path: Path) -> None:
    with (
        pytest.raises(SignatureError, match="^" + str(tmp_path / "bundle: damaged")),
        naming_bundle(tmp_path / "bundle"),
    ):
        raise SignatureError("damaged")
    with pytest.raises(BundleError) as caught, naming_bundle(tmp_path):
        raise BundleError(f"{tmp_path} is damaged")
    assert str(caught.value) == f"{tmp_path} is damaged"
