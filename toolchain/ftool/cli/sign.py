"""`ftool sign`: sign a bundle with a private key."""

from pathlib import Path
from typing import Any

import click

from ftool.cli.options import echo_report, json_option


@click.command()
@click.argument(
    "folder",
    metavar="[BUNDLE]",
    required=False,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@click.option(
    "--key", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
    help="The private key: Ed25519, in PEM or OpenSSH format. Its password, if it has one, is asked for.",
)  # fmt: skip
@click.option(
    "--new-key", type=click.Path(path_type=Path), metavar="FILE",
    help="Make a private key, FILE, and its public key, FILE.pub.",
)  # fmt: skip
@json_option
def sign(folder: Path | None, key: Path | None, new_key: Path | None, as_json: bool) -> None:
    """Sign BUNDLE, a bundle or a model folder that has one, so that apps can accept only bundles of yours.

    The signature, ftool.sig, covers every file of the bundle. Apps give the public key: `ftool_runtime.load(BUNDLE,
    trusted_keys=["maker.pub"])`, or `python -m ftool_runtime verify BUNDLE --key maker.pub`.

    \b
    ftool sign --new-key maker
    ftool sign models/bank --key maker
    """
    from ftool.extras import require
    from ftool.workspace import ModelFolder
    from ftool_runtime.bundle import signature

    if (folder is None) == (new_key is None) or (key is None) == (new_key is None):
        raise click.UsageError("give BUNDLE and --key, or --new-key alone")
    require("sign")
    if new_key is not None:
        public, fingerprint = signature.new_key(new_key)
        told = {"private_key": str(new_key), "public_key": str(public), "fingerprint": fingerprint}
        _tell(
            told,
            f"{new_key}: the private key, which stays with you\n{public}: the public key, {fingerprint}",
            as_json,
        )
        return
    assert folder is not None
    assert key is not None
    model = ModelFolder.around(folder)
    bundle = folder if model is None else model.require_bundle()
    try:
        fingerprint = signature.sign(bundle, key)
    except signature.PasswordError:
        password = click.prompt("Password of the key", hide_input=True, err=True)
        fingerprint = signature.sign(bundle, key, str(password).encode())
    told = {"bundle": str(bundle), "fingerprint": fingerprint}
    _tell(told, f"{bundle} is signed by {fingerprint}", as_json)


def _tell(report: dict[str, Any], text: str, as_json: bool) -> None:
    echo_report(lambda: report, lambda: text, as_json=as_json)
