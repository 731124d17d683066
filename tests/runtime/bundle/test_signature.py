"""Signed bundles: what a trusted key has signed is accepted, and anything else is refused by name."""

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import ftool_runtime as ft
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.bundle.signature import (
    PasswordError,
    check_trusted,
    fingerprint,
    new_key,
    public_keys,
    sign,
)
from ftool_runtime.errors import BundleError, InputError, SignatureError
from ftool_runtime.tools.cli import main


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Private keys by the name of their holder; the public key has the ending .pub."""
    folder = tmp_path_factory.mktemp("keys")

    def key(name: str) -> Path:
        if not (folder / name).exists():
            new_key(folder / name)
        return folder / name

    return key


@pytest.fixture
def signed(bundle: Path, keys: Callable[[str], Path]) -> Path:
    """A bundle that "maker" has signed."""
    sign(bundle, keys("maker"))
    return bundle


def public(key: Path) -> Path:
    return key.with_name(f"{key.name}.pub")


def test_a_signed_bundle_is_accepted_and_runs(signed: Path, keys: Callable[[str], Path]) -> None:
    trusted = [public(keys("maker"))]
    assert check_trusted(signed, trusted).startswith("SHA256:")
    report = ft.verify(signed, trusted_keys=trusted)
    assert report.passed
    assert report.signed_by == check_trusted(signed, trusted)
    for options in ({}, {"trusted_keys": trusted}):
        with ft.load(signed, **options) as model:
            model("turn the lights off")


def test_one_trusted_key_of_several_is_enough(signed: Path, keys: Callable[[str], Path]) -> None:
    check_trusted(signed, [public(keys("other")), public(keys("maker"))])


def test_an_unsigned_bundle_is_refused(bundle: Path, keys: Callable[[str], Path]) -> None:
    with pytest.raises(SignatureError, match="is not signed"):
        ft.load(bundle, trusted_keys=[public(keys("maker"))])
    report = ft.verify(bundle, trusted_keys=[public(keys("maker"))])
    assert not report.passed
    assert list(report.altered) == ["ftool.sig"]


def test_a_foreign_signature_is_refused_and_both_keys_are_named(
    signed: Path, keys: Callable[[str], Path]
) -> None:
    with pytest.raises(SignatureError) as caught:
        check_trusted(signed, [public(keys("other"))])
    for key in ("maker", "other"):
        assert fingerprint(public_keys([public(keys(key))])[0]) in str(caught.value)


@pytest.mark.parametrize("name", ["onnx/model.onnx", "tokenizer.json", "golden.json"])
def test_an_altered_file_is_refused(name: str, signed: Path, keys: Callable[[str], Path]) -> None:
    content = bytearray((signed / name).read_bytes())
    content[len(content) // 2] ^= 1
    (signed / name).write_bytes(content)
    with pytest.raises(BundleError, match=name):
        check_trusted(signed, [public(keys("maker"))])


def test_a_manifest_with_a_right_digest_but_other_content_is_refused(
    signed: Path, keys: Callable[[str], Path]
) -> None:
    values = Manifest.read(signed).to_json()
    values["labels"] = values["labels"][::-1]
    Manifest.from_json(values).write(signed)
    Manifest.read(signed)  # its own digest holds
    with pytest.raises(SignatureError, match="is not the one that"):
        check_trusted(signed, [public(keys("maker"))])


def test_another_file_in_the_folder_is_refused(signed: Path, keys: Callable[[str], Path]) -> None:
    (signed / "onnx" / "weights.bin").write_bytes(b"1")
    with pytest.raises(BundleError, match=r"weights\.bin"):
        check_trusted(signed, [public(keys("maker"))])


def test_the_signature_of_another_bundle_does_not_count(
    signed: Path, make_bundle: Callable[..., Path], keys: Callable[[str], Path]
) -> None:
    other = make_bundle(quantised=True)
    shutil.copy(signed / "ftool.sig", other)
    with pytest.raises(SignatureError, match="is not the one that"):
        check_trusted(other, [public(keys("maker"))])


def test_a_second_signature_joins_the_first_and_a_repeated_one_replaces_it(
    signed: Path, keys: Callable[[str], Path]
) -> None:
    sign(signed, keys("other"))
    sign(signed, keys("maker"))
    for key in ("maker", "other"):
        check_trusted(signed, [public(keys(key))])
    assert len(json.loads((signed / "ftool.sig").read_text())["signatures"]) == 2


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b" " * 200_000,
        b'{"signatures": [{"algorithm": "ed25519", "key": 3, "signature": 4}]}',
        b'{"signatures": [{"algorithm": "ed25519", "key": "AA==", "signature": "not base64"}]}',
    ],
    ids=lambda content: repr(content[:20]),
)
def test_a_damaged_signature_file_is_named(content: bytes, signed: Path, keys: Callable[[str], Path]) -> None:
    (signed / "ftool.sig").write_bytes(content)
    with pytest.raises(SignatureError, match=r"ftool\.sig"):
        check_trusted(signed, [public(keys("maker"))])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
def test_a_signature_file_that_is_a_pipe_or_leads_out_is_refused(
    signed: Path, tmp_path: Path, keys: Callable[[str], Path]
) -> None:
    outside = shutil.move(signed / "ftool.sig", tmp_path / "outside.sig")
    os.mkfifo(signed / "ftool.sig")
    with pytest.raises(SignatureError, match=r"ftool\.sig is a named pipe"):
        check_trusted(signed, [public(keys("maker"))])
    (signed / "ftool.sig").unlink()
    (signed / "ftool.sig").symlink_to(outside)
    with pytest.raises(SignatureError, match="out of the bundle"):
        check_trusted(signed, [public(keys("maker"))])


def test_a_signature_that_is_none_is_refused(signed: Path, keys: Callable[[str], Path]) -> None:
    written = json.loads((signed / "ftool.sig").read_text())
    for broken in (b"", b"x" * 63, b"x" * 64):
        written["signatures"][0]["signature"] = base64.b64encode(broken).decode()
        (signed / "ftool.sig").write_text(json.dumps(written))
        with pytest.raises(SignatureError, match="is not the one that"):
            check_trusted(signed, [public(keys("maker"))])


def test_an_altered_bundle_is_not_signed(bundle: Path, keys: Callable[[str], Path]) -> None:
    (bundle / "tokenizer.json").write_text("{}")
    with pytest.raises(BundleError, match=r"tokenizer\.json"):
        sign(bundle, keys("maker"))
    assert not (bundle / "ftool.sig").exists()


def test_keys_of_openssh_are_read(bundle: Path, tmp_path: Path) -> None:
    key = tmp_path / "id"
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-f", str(key), "-N", ""]
    if shutil.which("ssh-keygen") is None:
        from cryptography.hazmat.primitives import serialization as s
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        made = Ed25519PrivateKey.generate()
        key.write_bytes(made.private_bytes(s.Encoding.PEM, s.PrivateFormat.OpenSSH, s.NoEncryption()))
        public(key).write_bytes(
            made.public_key().public_bytes(s.Encoding.OpenSSH, s.PublicFormat.OpenSSH) + b" maker@home\n"
        )
    else:
        subprocess.run(command, check=True)
    assert sign(bundle, key) == check_trusted(bundle, [public(key).read_text()])


def test_a_key_with_a_password_needs_it(bundle: Path, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = tmp_path / "key"
    key.write_bytes(
        Ed25519PrivateKey.generate().private_bytes(
            s.Encoding.PEM, s.PrivateFormat.PKCS8, s.BestAvailableEncryption(b"secret")
        )
    )
    with pytest.raises(PasswordError, match="a password protects it"):
        sign(bundle, key)
    with pytest.raises(InputError, match="the password is wrong"):
        sign(bundle, key, b"other")
    assert sign(bundle, key, b"secret").startswith("SHA256:")


def test_keys_that_are_none_are_refused(bundle: Path, tmp_path: Path, keys: Callable[[str], Path]) -> None:
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

    other = tmp_path / "ec"
    made = generate_private_key(SECP256R1())
    other.write_bytes(made.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()))
    with pytest.raises(InputError, match="signed with Ed25519"):
        sign(bundle, other)
    with pytest.raises(InputError, match="it is a private key: give the public one"):
        check_trusted(bundle, [keys("maker")])
    with pytest.raises(InputError, match="can't be read"):
        check_trusted(bundle, [tmp_path / "none.pub"])
    with pytest.raises(InputError, match="no key is trusted"):
        check_trusted(bundle, [])


@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes in folders")
def test_a_key_that_is_a_named_pipe_is_not_waited_for(bundle: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "key")
    with pytest.raises(InputError, match="it is a named pipe, not a regular file"):
        check_trusted(bundle, [tmp_path / "key"])
    with pytest.raises(InputError, match="it is a named pipe, not a regular file"):
        sign(bundle, tmp_path / "key")


def test_a_private_key_is_its_owner_s_alone(tmp_path: Path) -> None:
    new_key(tmp_path / "key")
    assert (tmp_path / "key").stat().st_mode & 0o077 == 0
    with pytest.raises(InputError, match="exists"):
        new_key(tmp_path / "key")


def test_verify_takes_keys_on_the_command_line(
    signed: Path, keys: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(signed), "--key", str(public(keys("maker")))]) == 0
    assert "signed by SHA256:" in capsys.readouterr().out
    assert main(["verify", str(signed), "--key", str(public(keys("other")))]) == 1
    assert "NOT verified" in capsys.readouterr().out
