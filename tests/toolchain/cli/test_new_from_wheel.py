"""The wheel contains the data set and the recipes that ship with ftool."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tests.helpers.paths import REPOSITORY

from ftool.recipe.recipe import Recipe


@pytest.fixture(scope="module")
def installed_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ftool as its wheel installs it."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=REPOSITORY, check=True, capture_output=True)
    (wheel,) = folder.glob("ftool-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "installed")
    return folder / "installed"


@pytest.mark.parametrize("name", ["intents", "dates"])
def test_new_from_a_shipped_recipe_works_from_the_wheel(
    installed_wheel: Path, tmp_path: Path, name: str
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(installed_wheel)}
    where = [sys.executable, "-c", "import ftool; print(ftool.__file__)"]
    found = subprocess.run(where, env=environment, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert Path(found.stdout.strip()).is_relative_to(installed_wheel)
    new = [sys.executable, "-m", "ftool", "new", "mine", "--from", name]
    subprocess.run(new, env=environment, cwd=tmp_path, check=True, capture_output=True)
    assert Recipe.read(tmp_path / "mine" / "recipe.toml").data.path == f"builtin:{name}"


def test_the_wheel_holds_both_packages_typed(installed_wheel: Path) -> None:
    for name in ("ftool/py.typed", "ftool_export/py.typed", "ftool/builtin/intents/test.csv"):
        assert (installed_wheel / name).is_file()
    assert not (installed_wheel / "ftool_runtime").exists()
