"""`ftool sign`: from a new key to a bundle that only its holder can have made."""

import shutil
from pathlib import Path

import pytest
from tests.helpers.cli import ftool, succeeds, told
from tests.helpers.tiny_models import TinyModels

import ftool_runtime as ft


def test_a_model_folder_s_bundle_is_signed(exported: TinyModels, tmp_path: Path) -> None:
    folder = shutil.copytree(exported["text-classification"], tmp_path / "model")
    made = told("sign", "--new-key", tmp_path / "maker")
    assert told("sign", folder, "--key", tmp_path / "maker")["fingerprint"] == made["fingerprint"]
    with ft.load(folder / "bundle", trusted_keys=[made["public_key"]]) as model:
        assert model("a song").label
    succeeds("parity", folder)
    succeeds("push", folder, "--to", "me/model", "--dry-run")


def test_a_key_s_password_is_asked_for(exported: TinyModels, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    bundle = shutil.copytree(exported["text-classification"] / "bundle", tmp_path / "bundle")
    protection = s.BestAvailableEncryption(b"secret")
    key = Ed25519PrivateKey.generate().private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, protection)
    (tmp_path / "key").write_bytes(key)
    assert ftool("sign", bundle, "--key", tmp_path / "key", stdin="wrong\n").exit_code == 2
    result = ftool("sign", bundle, "--key", tmp_path / "key", stdin="secret\n")
    assert result.exit_code == 0, result.output
    assert "is signed by SHA256:" in result.stdout


@pytest.mark.parametrize("arguments", [(), ("--key", "KEY"), ("--new-key", "new", "--key", "KEY")])
def test_a_call_that_says_too_little_or_too_much(arguments: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "KEY").touch()
    given = [str(tmp_path / one) if one in ("KEY", "new") else one for one in arguments]
    result = ftool("sign", *given)
    assert result.exit_code == 2
    assert "give BUNDLE and --key, or --new-key alone" in result.output
