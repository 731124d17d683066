"""The paths and JSON files in a model folder (recipe, run/, bundle/, reports/), and the folders of ftool's caches."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from ftool.errors import ModelFolderError
from ftool_runtime.atomic import replacing
from ftool_runtime.bundle.integrity import check_hashes
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.bundle.paths import MANIFEST_FILE
from ftool_runtime.errors import FtoolError
from ftool_runtime.json_reader import read_json as parse_json
from ftool_runtime.regular_files import open_regular

METRICS_FILE: Final = "metrics.json"  # in run/
_LARGEST_REPORT: Final = (
    2**28
)  # bytes of a JSON file that a command writes; real ones have up to some megabytes


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
        """The folder of the reports of `ftool evaluate`, `ftool parity`, `ftool bench` and `ftool report`."""
        return self.path / "reports"

    @property
    def evaluations(self) -> Path:
        """The folder of the evaluations that `ftool report` shows, which `ftool.evaluation.records` writes."""
        return self.reports / "evaluations"

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


def read_metrics(run: Path) -> dict[str, Any]:
    """Return the content of metrics.json in the folder `run`; empty if the file is missing or is not JSON."""
    try:
        content = json_in(run / METRICS_FILE)
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def json_in(file: Path) -> Any:
    """Return the JSON value in a file that a command wrote, such as a report.

    Raises OSError if the file is missing, not a regular one, or can't be read; ValueError if it is not JSON, or larger
    than any report.
    """
    with open_regular(file) as opened:
        content = opened.read(_LARGEST_REPORT + 1)
    if len(content) > _LARGEST_REPORT:
        raise ValueError(f"is larger than {_LARGEST_REPORT:,} bytes")
    return parse_json(content, strict=False)


def read_json(file: Path) -> dict[str, Any] | None:
    """Return the JSON object in a report's file; None if there is no such file. Raises ModelFolderError for others."""
    if not file.is_file():
        return None
    try:
        found = json_in(file)
    except ValueError as error:
        raise ModelFolderError(
            f"{file} can't be read ({error}); delete it, or run the command that wrote it again"
        ) from error
    if not isinstance(found, dict):
        raise ModelFolderError(
            f"{file} has no JSON object; delete it, or run the command that wrote it again"
        )
    return found


@contextmanager
def form_checked(file: Path) -> Iterator[None]:
    """Within the block, in which the content of a report's file is used, raise ModelFolderError for content of a wrong
    form: values that are missing or of another type, as in the file of another version of ftool.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        if isinstance(error, FtoolError):
            raise
        raise wrong_form(file, error) from error


def wrong_form(file: Path, error: Exception) -> ModelFolderError:
    """Return the error for a report's file whose content has a form that raised `error`."""
    return ModelFolderError(
        f"{file} has not the form that this version of ftool writes ({type(error).__name__}: {str(error)[:200]}); "
        "delete it, or run the command that wrote it again"
    )


def write_json(file: Path, value: Mapping[str, Any]) -> None:
    """Write plain JSON to `file`, which is replaced whole or not at all; its folder is made. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as opened:
        json.dump(value, opened, indent=1, ensure_ascii=False, allow_nan=False)
        opened.write("\n")


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
