"""Signatures of bundles: who made a bundle, and that nothing in it has changed since.

A signature is made with Ed25519 (RFC 8032), by the package `cryptography`, over the SHA-256 of `ftool.json`, which
lists the SHA-256 of every other file. It is kept beside it, in `ftool.sig`.
"""

import base64
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ftool_runtime.bundle.files import LARGEST_SETTINGS, read_file, read_json_file
from ftool_runtime.bundle.integrity import check_hashes
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.bundle.paths import MANIFEST_FILE, SIGNATURE_FILE
from ftool_runtime.errors import BundleError, InputError, RuntimeMissingError, SignatureError
from ftool_runtime.limits import DEFAULT_LIMITS, Limits
from ftool_runtime.regular_files import open_regular

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

# A public key: the path of a file, or the text of a key in PEM or OpenSSH format.
TrustedKey: TypeAlias = Path | str

_PURPOSE: Final = (
    b"ftool bundle signature 1\n"  # so that no signature of other software passes for one of a bundle
)
_MOST_BYTES: Final = 100_000  # of a signature file or a key
_NAME: Final = b"ssh-ed25519"
_REMEDY: Final = "make a key with `ftool sign --new-key FILE`"


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature.

    Attributes:
        key: the public key, 32 bytes.
        signature: 64 bytes.
    """

    key: bytes
    signature: bytes

    @property
    def fingerprint(self) -> str:
        """The public key's fingerprint, as `ssh-keygen -l` shows it."""
        return fingerprint(self.key)


def sign(folder: Path, private_key: Path, password: bytes | None = None) -> str:
    """Sign a bundle: write `ftool.sig`, beside signatures by other keys that still hold; return the fingerprint.

    Every file is hashed before. `private_key` is the path of a key in PEM or OpenSSH format, `password` what protects
    it.

    Raises:
        BundleError: the folder is not a bundle, or a file of it is not as exported.
        InputError: the key can't be read, or is not an Ed25519 key.
        RuntimeMissingError: cryptography is not installed.
    """
    key = _private_key(private_key, password)
    check_hashes(folder, Manifest.read(folder))
    message = _message(folder)
    own = Signature(_raw(key.public_key()), key.sign(message))
    others = [one for one in signatures(folder) if one.key != own.key and _holds(one, message)]
    path = folder / SIGNATURE_FILE
    content = {
        "schema": 1,
        "signatures": [
            {
                "algorithm": "ed25519",
                "key": base64.b64encode(one.key).decode(),
                "signature": base64.b64encode(one.signature).decode(),
            }
            for one in [*others, own]
        ],
    }
    from ftool_runtime.atomic import replacing  # needed only here

    with replacing(path) as file:
        json.dump(content, file, indent=2)
        file.write("\n")
    return own.fingerprint


def check_trusted(folder: Path, trusted: Sequence[TrustedKey], limits: Limits = DEFAULT_LIMITS) -> str:
    """Check that a trusted key has signed the bundle, and that every file is as signed; return the fingerprint.

    A bundle larger than `limits` allow is refused before its files are hashed.

    Raises:
        BundleError: the folder is not a bundle, or a file is altered, missing or not listed; SignatureError, which is
            one too, if none of the keys has signed this manifest.
        InputError: no key is given, a key can't be read, or the bundle is too large.
        RuntimeMissingError: cryptography is not installed.
    """
    signed_by = signer(folder, trusted)
    manifest = Manifest.read(folder)
    limits.check_bundle(folder, manifest.total_bytes)
    check_hashes(folder, manifest)
    return signed_by


def signer(folder: Path, trusted: Sequence[TrustedKey]) -> str:
    """Return the fingerprint of the trusted key that has signed the manifest; other files are not read.

    Raises the errors of `check_trusted`.
    """
    keys = public_keys(trusted)
    found = signatures(folder)
    if not found:
        raise SignatureError(
            f"{folder} is not signed, and only bundles that a trusted key has signed are accepted; ask its maker to "
            "sign it with `ftool sign`"
        )
    message = _message(folder)
    own = [one for one in found if one.key in keys]
    for one in own:
        if _holds(one, message):
            return one.fingerprint
    if own:
        raise SignatureError(
            f"{folder}: {MANIFEST_FILE} is not the one that {own[0].fingerprint} signed: it was altered, or the "
            "signature is of another bundle; copy the bundle again"
        )
    raise SignatureError(
        f"{folder} is signed by {', '.join(one.fingerprint for one in found)}, and trusted are "
        f"{', '.join(map(fingerprint, keys))}"
    )


def signatures(folder: Path) -> list[Signature]:
    """Return the signatures of a bundle, unchecked; empty if it has none. Raises SignatureError for a damaged file."""
    path = folder / SIGNATURE_FILE
    if not os.path.lexists(path):
        return []
    try:
        content = read_json_file(folder, SIGNATURE_FILE, _MOST_BYTES)
        return [
            Signature(
                base64.b64decode(one["key"], validate=True), base64.b64decode(one["signature"], validate=True)
            )
            for one in content["signatures"]
            if one["algorithm"] == "ed25519"
        ]
    except BundleError as error:
        raise SignatureError(str(error)) from error
    except (ValueError, KeyError, TypeError) as error:
        raise SignatureError(
            f"{path} holds no signatures; sign the bundle again with `ftool sign`"
        ) from error


def public_keys(given: Sequence[TrustedKey]) -> list[bytes]:
    """Return public keys, 32 bytes each. Raises InputError if there is none, or one can't be read."""
    if isinstance(given, str | Path):
        raise InputError("trusted keys are a list; give [KEY]")
    if not given:
        raise InputError("no key is trusted, so no bundle could be loaded; give at least one public key")
    return [_public_key(one) for one in given]


def fingerprint(key: bytes) -> str:
    """Return the fingerprint of a public key, 32 bytes, as `ssh-keygen -l` shows it."""
    import hashlib

    blob = b"".join(len(part).to_bytes(4, "big") + part for part in (_NAME, key))
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def new_key(path: Path) -> tuple[Path, str]:
    """Write a new private key to `path`, readable by its owner only, and the public key beside it, both as PEM.

    Returns the path of the public key, which ends in `.pub`, and its fingerprint. Raises InputError if one of the files
    exists, and OSError if they can't be written.
    """
    _require_cryptography()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    public = path.with_name(f"{path.name}.pub")
    for one in (path, public):
        if one.exists():
            raise InputError(f"{one} exists; choose another name")
    key = Ed25519PrivateKey.generate()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
    public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return public, fingerprint(_raw(key.public_key()))


def _message(folder: Path) -> bytes:
    import hashlib

    Manifest.read(folder)  # refuses what is not a bundle
    return _PURPOSE + hashlib.sha256(read_file(folder, MANIFEST_FILE, LARGEST_SETTINGS)).digest()


def _holds(one: Signature, message: bytes) -> bool:
    _require_cryptography()
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(one.key).verify(one.signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _public_key(given: TrustedKey) -> bytes:
    _require_cryptography()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    text, name = _key_text(given)
    ssh = text.startswith(b"ssh-") or b" ssh-" in text.split(b"\n")[0]
    try:
        load = serialization.load_ssh_public_key if ssh else serialization.load_pem_public_key
        key: Any = load(text)
    except (ValueError, UnsupportedAlgorithm) as error:
        private = b"PRIVATE KEY" in text
        remedy = (
            "it is a private key: give the public one" if private else f"PEM and OpenSSH are read; {_REMEDY}"
        )
        raise InputError(f"{name}: no public key could be read; {remedy}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise InputError(f"{name}: a key of another kind, and bundles are signed with Ed25519; {_REMEDY}")
    return _raw(key)


def _private_key(path: Path, password: bytes | None) -> "Ed25519PrivateKey":
    _require_cryptography()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    text, _ = _key_text(path)
    ssh = b"OPENSSH PRIVATE KEY" in text
    try:
        load = serialization.load_ssh_private_key if ssh else serialization.load_pem_private_key
        key: Any = load(text, password)
    except TypeError as error:  # a password is missing, or not needed
        problem = "a password protects it" if password is None else "it has no password"
        raise PasswordError(f"{path}: {problem}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputError(
            f"{path}: no private key could be read: the password is wrong, or the file is no key in PEM or OpenSSH "
            f"format; {_REMEDY}"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(f"{path}: a key of another kind, and bundles are signed with Ed25519; {_REMEDY}")
    return key


class PasswordError(InputError):
    """Raised if a private key needs a password, or needs none."""


def _key_text(given: TrustedKey) -> tuple[bytes, str]:
    """Return the text of a key and a name for errors."""
    if isinstance(given, str) and ("-----BEGIN" in given or given.startswith("ssh-")):
        return given.encode(), "the given key"
    try:
        return _read(Path(given)), str(given)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{given}: the key can't be read ({getattr(error, 'strerror', None) or error})"
        ) from error


def _read(path: Path) -> bytes:
    with open_regular(path) as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise ValueError(f"more than {_MOST_BYTES} bytes")
    return content


def _raw(key: "Ed25519PublicKey") -> bytes:
    return key.public_bytes_raw()


def _require_cryptography() -> None:
    try:
        import cryptography  # noqa: F401
    except ImportError as error:
        raise RuntimeMissingError(
            "signatures need the package cryptography; install it with: pip install 'ftool-runtime[sign]'"
        ) from error
