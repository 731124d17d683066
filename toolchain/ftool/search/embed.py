"""Bundles of embedders and readers, by their folders or by the name of a base model, which is exported once."""

import logging
from importlib.metadata import version
from pathlib import Path

from ftool.bases import BASES, resolve_base
from ftool.cache_folder import cache_folder
from ftool.workspace import ModelFolder
from ftool_runtime.bundle.paths import MANIFEST_FILE
from ftool_runtime.errors import InputError
from ftool_runtime.knowledge.models import EMBEDDER_TASK

NONE = "none"

_log = logging.getLogger(__name__)


def embedder_bundle(name: str) -> Path:
    """The folder of the bundle that `name` means: a bundle, a model folder with one, or a base that ftool knows.

    A base's bundle is made once and kept in ftool's cache. Raises FtoolError where there is none.
    """
    if name in BASES and not Path(name).is_dir():
        return _exported(name)
    folder = bundle_folder(Path(name))
    if folder is not None:
        return folder
    folder = Path(name)
    if (folder / "config.json").is_file():
        raise InputError(
            f"{folder} is a checkpoint; make a bundle of it first: ftool export --checkpoint {folder} "
            f"--task {EMBEDDER_TASK} -o BUNDLE"
        )
    raise InputError(f"{name} is neither a bundle's folder nor one of {', '.join(BASES)}")


def bundle_folder(folder: Path) -> Path | None:
    """The bundle that a folder is, or has as a model folder; None where it is neither.

    Raises ModelFolderError where a model folder has no bundle yet.
    """
    if (folder / MANIFEST_FILE).is_file():
        return folder
    model = ModelFolder(folder)
    return model.require_bundle() if model.recipe.is_file() or model.bundle.is_dir() else None


def model_bundle(name: str | None) -> str | None:
    """What a flag names, as the runtime takes it: a bundle's folder; "none" and None stay. Raises as above."""
    if name is None or name == NONE:
        return name
    if name in BASES and not Path(name).is_dir():
        return str(_exported(name))
    return str(bundle_folder(Path(name)) or name)


def _exported(name: str) -> Path:
    from ftool.export import export_any
    from ftool_export.settings import ExportSettings

    bundle = cache_folder("bundles") / f"{name}-{EMBEDDER_TASK}-{version('ftool')}"
    if not (bundle / MANIFEST_FILE).is_file():
        _log.info("%s: exporting it as an embedder, once, to %s", name, bundle)
        bundle.parent.mkdir(parents=True, exist_ok=True)
        settings = ExportSettings(checkpoint=resolve_base(name), bundle=bundle, task=EMBEDDER_TASK, name=name)
        export_any(settings, None, base=BASES[name].hub_id)
    return bundle
