"""The paths in a model folder (recipe, run/, bundle/ and reports/), and the folders of ftool's caches."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ftool.errors import ModelFolderError
from ftool_runtime.bundle.integrity import check_hashes
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.bundle.paths import MANIFEST_FILE


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """The paths inside a model folder."""

    path: Path

    @property
    def recipe(self) -> Path:
        """The file of the recipe, which has all settings of the model."""
        return self.path / "recipe.toml"

    @property
    def run(self) -> Path:
        """The folder of the trained checkpoint in Hugging Face layout, with its metrics."""
        return self.path / "run"

    @property
    def bundle(self) -> Path:
        """The folder of the bundle, which is shipped with an app."""
        return self.path / "bundle"

    @property
    def ladder(self) -> Path:
        """The work folder of `ftool export --precision auto`, with its candidates and its report."""
        return self.path / "ladder"

    @property
    def reports(self) -> Path:
        """The folder of the reports of `ftool parity` and `ftool bench`."""
        return self.path / "reports"

    def require_run(self) -> Path:
        """Return the trained checkpoint's folder. Raises ModelFolderError if it is missing."""
        if not self.run.is_dir():
            raise ModelFolderError(f"{self.run} is missing; create it with `ftool train {self.path}`")
        return self.run

    def require_bundle(self) -> Path:
        """Return the bundle's folder. Raises ModelFolderError if it is missing."""
        if not self.bundle.is_dir():
            raise ModelFolderError(f"{self.bundle} is missing; create it with `ftool export {self.path}`")
        return self.bundle

    def require_origin(self) -> Path:
        """Return the folder of the checkpoint that the bundle was made from.

        It is run/, or a smaller model in ladder/ if `ftool export --precision auto` has chosen one.

        Raises ModelFolderError if it is missing, and BundleError if the bundle can't be read.
        """
        source = Manifest.read(self.require_bundle()).evidence.get("ladder", {}).get("source")
        if not source:
            return self.require_run()
        origin = type(self)(self.ladder / "models" / source).run
        if not origin.is_dir():
            raise ModelFolderError(
                f"{self.bundle} was made from another model, {source}, which is not in {self.ladder / 'models'}: "
                f"name that model's run/ with --checkpoint, as in `ftool parity {self.bundle} --checkpoint RUN`"
            )
        return origin

    @classmethod
    def around(cls, folder: Path) -> Self | None:
        """Return the model folder that `folder` is, or whose bundle/ it is; None if `folder` is a bundle on its own."""
        if not (folder / MANIFEST_FILE).is_file():
            return cls(folder)
        parent = cls(folder.resolve().parent)
        return parent if parent.recipe.is_file() and folder.resolve() == parent.bundle else None

    def check_bundle(self) -> None:
        """Check the hash of every file in the bundle. Raises BundleError, which names the first altered file."""
        check_hashes(self.require_bundle(), Manifest.read(self.bundle))


def cache_folder(kind: str = "features") -> Path:
    """Return the folder of a cache, "features" or "bundles", inside $FTOOL_CACHE or the user's cache folder.

    Raises ModelFolderError if the user has no home folder, as in a container with a user id that has no name.
    """
    if own := os.environ.get("FTOOL_CACHE"):
        return Path(own) / kind
    try:
        if sys.platform == "win32":
            root = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        else:
            root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError as error:
        raise ModelFolderError(
            "this user has no home folder; set FTOOL_CACHE to a folder for caches"
        ) from error
    return root / "ftool" / kind
