"""Model folders (the paths of recipe, run/, bundle/ and reports/), and the folder of ftool's caches."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from ftool.errors import ModelFolderError
from ftool_runtime.bundle.integrity import check_hashes
from ftool_runtime.bundle.manifest import Manifest


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """The paths inside a model folder."""

    path: Path

    @property
    def recipe(self) -> Path:
        """The recipe: all settings of the model."""
        return self.path / "recipe.toml"

    @property
    def run(self) -> Path:
        """The trained checkpoint in Hugging Face layout, with its metrics."""
        return self.path / "run"

    @property
    def bundle(self) -> Path:
        """The bundle, which is shipped with an app."""
        return self.path / "bundle"

    @property
    def reports(self) -> Path:
        """The reports of parity and bench."""
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

    def check_bundle(self) -> None:
        """Check the hash of every file in the bundle. Raises BundleError, which names the first altered file."""
        check_hashes(self.require_bundle(), Manifest.read(self.bundle))


def cache_folder(kind: str = "features") -> Path:
    """Return the folder for one kind of cache ("features", "bundles"), in $FTOOL_CACHE or the user's cache folder."""
    if own := os.environ.get("FTOOL_CACHE"):
        return Path(own) / kind
    if sys.platform == "win32":
        root = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "ftool" / kind
