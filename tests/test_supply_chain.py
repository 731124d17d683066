"""The lists of verified packages and the runtime's NOTICE are current: `make hashes`, `make notice`."""

import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.helpers.paths import REPOSITORY

HASHES = REPOSITORY / "hashes"
_CUDA = re.compile(r"^(nvidia-|cuda-|triton$)")  # what PyPI's torch for Linux brings


def requirements(path: Path) -> list[Requirement]:
    """The requirements of a file, without their hashes."""
    lines = (line.partition("#")[0].removesuffix("\\").strip() for line in path.read_text().splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("--hash")]


def versions(found: Iterable[Requirement]) -> dict[str, str]:
    """Canonical names to versions; for a name that has several versions by markers, the first."""
    pins = {}
    for one in found:
        (pin,) = one.specifier
        assert pin.operator == "=="
        pins.setdefault(canonicalize_name(one.name), pin.version)
    return pins


@pytest.fixture(scope="module")
def constraints() -> dict[str, str]:
    return versions(requirements(REPOSITORY / "constraints.txt"))


def test_every_constraint_but_torch_has_hashes(constraints: dict[str, str]) -> None:
    listed = {
        **versions(requirements(HASHES / "ray.txt")),
        **versions(requirements(HASHES / "toolchain.txt")),
    }
    assert listed == {name: version for name, version in constraints.items() if name != "torch"}, (
        "make hashes"
    )


@pytest.mark.parametrize(
    "name", ["build", "fuzz", "ray", "runtime", "runtime-only", "runtime-tests", "site", "supply", "torch"]
)
def test_no_list_has_another_version(name: str, constraints: dict[str, str]) -> None:
    listed = versions(requirements(HASHES / f"{name}.txt"))
    known = {key: constraints[key] for key in listed.keys() & constraints.keys()}
    assert {key: listed[key] for key in known} == known, "make hashes"
    free = name in ("fuzz", "site", "supply")  # they have packages that the toolchain does not use
    assert free or not [key for key in listed if key not in constraints and not _CUDA.match(key)]


@pytest.mark.parametrize("name", sorted(path.name for path in HASHES.glob("*.txt")))
def test_every_package_of_a_list_has_a_hash_and_no_place(name: str) -> None:
    text = (HASHES / name).read_text()
    assert not re.search(r"https?:|--index|--find-links|file:", text)
    blocks = re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)[1:]
    assert len(blocks) == len(requirements(HASHES / name))
    assert all(re.search(r"^    --hash=sha256:[0-9a-f]{64}", block, flags=re.MULTILINE) for block in blocks)


@pytest.mark.parametrize(
    ("settings", "extras", "lists"),
    [
        ("pyproject.toml", None, ["toolchain", "ray"]),
        ("runtime/pyproject.toml", ["cpu", "approximate", "chat", "sign"], ["runtime"]),
    ],
)
def test_every_dependency_is_listed(settings: str, extras: list[str] | None, lists: list[str]) -> None:
    project = tomllib.loads((REPOSITORY / settings).read_text())["project"]
    optional = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(one for extra in extras or optional for one in optional[extra])]
    names = {canonicalize_name(Requirement(one).name) for one in wanted} - {"ftool", "ftool-runtime", "torch"}
    assert names <= {listed for name in lists for listed in versions(requirements(HASHES / f"{name}.txt"))}


def test_the_lists_are_resolved_with_what_torch_declares() -> None:
    tool = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["uv"]
    (stated,) = tool["dependency-metadata"]
    installed = importlib.metadata.distribution("torch")
    declared = [Requirement(one) for one in installed.requires or ()]
    names = {one.name for one in declared if one.marker is None or one.marker.evaluate({"extra": ""})}
    assert stated["version"] == installed.version.partition("+")[0]
    assert set(stated["requires-dist"]) == {name for name in names if not _CUDA.match(name)}


@pytest.mark.skipif(sys.platform != "linux", reason="NOTICE lists the packages on Linux")
def test_the_notice_lists_what_the_runtime_depends_on() -> None:
    rows = re.findall(
        r"^\| *([\w.-]+) *\| *([\w.]+) *\| *(.+?) *\|", (REPOSITORY / "runtime" / "NOTICE").read_text(), re.M
    )
    listed = [
        one for one in requirements(HASHES / "runtime.txt") if one.marker is None or one.marker.evaluate()
    ]
    assert {canonicalize_name(name): version for name, version, _ in rows[1:]} == versions(listed), (
        "make notice"
    )
    assert not [name for name, _, licence in rows[1:] if licence == "UNKNOWN"]
