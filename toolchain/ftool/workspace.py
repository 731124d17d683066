"""One model, one folder: what stands where in it."""

from dataclasses import dataclass
from pathlib import Path

from ftool_runtime.bundle.integrity import check_hashes
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.errors import FtoolError


class ModelFolderError(FtoolError):
    """A model folder lacks what a command needs; the message names the command that makes it."""


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """The paths inside a model folder."""

    path: Path

    @property
    def recipe(self) -> Path:
        """The whole of what made the model."""
        return self.path / "recipe.toml"

    @property
    def run(self) -> Path:
        """The trained checkpoint in Hugging Face layout, with its metrics."""
        return self.path / "run"

    @property
    def bundle(self) -> Path:
        """What ships."""
        return self.path / "bundle"

    @property
    def reports(self) -> Path:
        """What parity and bench found."""
        return self.path / "reports"

    def require_run(self) -> Path:
        """The trained checkpoint's folder. Raises ModelFolderError where nothing was trained yet."""
        if not self.run.is_dir():
            raise ModelFolderError(f"{self.run} is missing: `ftool train {self.path}` makes it")
        return self.run

    def require_bundle(self) -> Path:
        """The bundle's folder. Raises ModelFolderError where nothing was exported yet."""
        if not self.bundle.is_dir():
            raise ModelFolderError(f"{self.bundle} is missing: `ftool export {self.path}` makes it")
        return self.bundle

    def check_bundle(self) -> None:
        """Check every file of the bundle by its hash. Raises BundleError naming the first one that is altered."""
        check_hashes(self.require_bundle(), Manifest.read(self.bundle))
