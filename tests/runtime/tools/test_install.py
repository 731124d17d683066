"""`install` replaces a bundle by one that was proved on this machine, or changes nothing."""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import ftool_runtime as ft
from ftool_runtime.bundle.golden import Golden
from ftool_runtime.bundle.integrity import file_record
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.bundle.signature import new_key, sign
from ftool_runtime.errors import BundleError, InputError, SignatureError
from ftool_runtime.tools.cli import main
from ftool_runtime.tools.install import install

BundleMaker = Callable[..., Path]


@pytest.fixture
def installed(shared_bundle: Path, tmp_path: Path) -> Path:
    """An app's folder with an installed bundle and nothing else."""
    (tmp_path / "app").mkdir()
    install(shared_bundle, tmp_path / "app" / "model")
    return tmp_path / "app" / "model"


def sha256(bundle: Path) -> str:
    return file_record(bundle / "ftool.json").sha256


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_first_bundle_is_installed_whole(installed: Path, shared_bundle: Path) -> None:
    assert sha256(installed) == sha256(shared_bundle)
    assert ft.verify(installed).passed
    assert names(installed.parent) == ["model"]


def test_a_new_bundle_takes_the_place_of_the_old_and_loaded_models_go_on(
    installed: Path, make_bundle: BundleMaker
) -> None:
    new = make_bundle(quantised=True)
    with ft.load(installed) as model:
        before = model("turn the lights off")
        result = install(new, installed)
        assert model("turn the lights off") == before
    assert result.replaced
    assert result.report.passed
    assert sha256(installed) == sha256(new)
    assert names(installed.parent) == ["model"]


def other_outputs(bundle: Path) -> None:
    """Let the golden outputs be those of another model, and all hashes be right."""
    golden = Golden.read(bundle)
    first, *rest = golden.outputs
    replace(golden, outputs=((first[0] + 1, *first[1:]), *rest)).write(bundle)
    manifest = Manifest.read(bundle)
    files = {**manifest.files, "golden.json": file_record(bundle / "golden.json")}
    replace(manifest, files=files).write(bundle)


def altered(bundle: Path) -> None:
    (bundle / "tokenizer.json").write_text("{}", encoding="utf-8")


def missing(bundle: Path) -> None:
    (bundle / "onnx" / "model.onnx").unlink()


@pytest.mark.parametrize("spoil", [other_outputs, altered, missing])
def test_a_bundle_that_does_not_pass_changes_nothing(
    spoil: Callable[[Path], None], installed: Path, make_bundle: BundleMaker
) -> None:
    new, before = make_bundle(quantised=True), sha256(installed)
    spoil(new)
    with pytest.raises(BundleError, match=r"is not installed: .*is unchanged"):
        install(new, installed)
    assert sha256(installed) == before
    assert names(installed.parent) == ["model"]
    assert ft.verify(installed).passed


def test_only_a_signed_bundle_is_installed_if_keys_are_given(
    installed: Path, make_bundle: BundleMaker, tmp_path: Path
) -> None:
    new, before = make_bundle(quantised=True), sha256(installed)
    public, _ = new_key(tmp_path / "maker")
    with pytest.raises(SignatureError, match="is not signed"):
        install(new, installed, trusted_keys=[public])
    assert sha256(installed) == before
    sign(new, tmp_path / "maker")
    install(new, installed, trusted_keys=[public])
    with ft.load(installed, trusted_keys=[public]) as model:
        model("turn the lights off")


def test_other_files_of_the_folder_are_not_copied(make_bundle: BundleMaker, tmp_path: Path) -> None:
    new = make_bundle()
    (new / ".git").mkdir()
    install(new, tmp_path / "model")
    assert ".git" not in names(tmp_path / "model")


def test_a_folder_that_is_no_bundle_is_not_replaced(shared_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.jpg").touch()
    with pytest.raises(InputError, match="is not a bundle, so it is not replaced"):
        install(shared_bundle, tmp_path / "photos")


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL on Windows")
@pytest.mark.parametrize("at", ["copied", "proved"])
def test_a_kill_leaves_the_old_bundle_and_the_next_installation_cleans_up(
    at: str, installed: Path, make_bundle: BundleMaker
) -> None:
    new, before = make_bundle(quantised=True), sha256(installed)
    code = textwrap.dedent(
        """
        import os, signal, sys
        from ftool_runtime.tools import install
        proving = install.verify
        def verify(*arguments, **options):
            report = None if sys.argv[3] == "copied" else proving(*arguments, **options)
            os.kill(os.getpid(), signal.SIGKILL)
            return report
        install.verify = verify
        install.install(sys.argv[1], sys.argv[2])
        """
    )
    process = subprocess.run([sys.executable, "-c", code, new, installed, at], env=os.environ, check=False)
    assert process.returncode == -9
    assert sha256(installed) == before
    assert ft.verify(installed).passed
    install(new, installed)
    assert names(installed.parent) == ["model"]


def test_the_command(installed: Path, make_bundle: BundleMaker, capsys: pytest.CaptureFixture[str]) -> None:
    new = make_bundle(quantised=True)
    assert main(["install", str(new), str(installed), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verified"]["passed"] is True
    altered(new)
    assert main(["install", str(new), str(installed)]) == 2
    assert "is not installed" in capsys.readouterr().err
