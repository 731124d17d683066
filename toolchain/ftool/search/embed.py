"""Find the bundles of embedders and readers by folder or by a base model's name; base models are exported once."""

import logging
from importlib.metadata import version
from pathlib import Path

from ftool.bases import BASES, resolve_base
from ftool.workspace import ModelFolder, cache_folder
from ftool_runtime.bundle.paths import MANIFEST_FILE
from ftool_runtime.errors import InputError
from ftool_runtime.knowledge.models import EMBEDDER_TASK

NONE = "none"

_log = logging.getLogger(__name__)


def embedder_bundle(name: str) -> Path:
    """Return the folder of an embedder's bundle.

    `name` is a bundle, a model folder with a bundle, or the short name of a base model. A base model is
    exported once, and its bundle is kept in ftool's cache. Raises FtoolError if there is no such bundle.
    """
    if name in BASES and not Path(name).is_dir():
        return _exported(name)
    folder = bundle_folder(Path(name))
    if folder is not None:
        return folder
    folder = Path(name)
    if (folder / "config.json").is_file():
        raise InputError(
            f"{folder} is a checkpoint; export it as a bundle first: ftool export --checkpoint {folder} "
            f"--task {EMBEDDER_TASK} -o BUNDLE"
        )
    raise InputError(f"{name} is not a bundle or model folder; give one, or one of {', '.join(BASES)}")


def bundle_folder(folder: Path) -> Path | None:
    """Return `folder` if it is a bundle, the bundle in `folder` if it is a model folder, otherwise None.

    Raises ModelFolderError if `folder` is a model folder without a bundle.
    """
    if (folder / MANIFEST_FILE).is_file():
        return folder
    model = ModelFolder(folder)
    return model.require_bundle() if model.recipe.is_file() or model.bundle.is_dir() else None


def model_bundle(name: str | None) -> str | None:
    """Return `name`, given for --embedder or --reader, in the runtime's form: a bundle's folder, "none" or None.

    Raises FtoolError if a model folder has no bundle or a base can't be exported.
    """
    if name is None or name == NONE:
        return name
    if name in BASES and not Path(name).is_dir():
        return str(_exported(name))
    return str(bundle_folder(Path(name)) or name)


def _exported(name: str) -> Path:
    from ftool.export import export_any
    from ftool.recipe.sections import ExportRecipe
    from ftool.tasks.registry import find_task

    bundle = cache_folder("bundles") / f"{name}-{EMBEDDER_TASK}-{version('ftool')}"
    if not (bundle / MANIFEST_FILE).is_file():
        _log.info("%s: exporting it once as an embedder to %s", name, bundle)
        bundle.parent.mkdir(parents=True, exist_ok=True)
        export_any(
            resolve_base(name),
            bundle,
            find_task(EMBEDDER_TASK),
            ExportRecipe(),
            name=name,
            base=BASES[name].hub_id,
        )
    return bundle
