"""What a bundle's golden answers were made from, so that `verify` also finds changes that no golden input shows.

A manifest's `max_length` shows only in a text that long, `none_below` only in a call that asks for it, and a chat
template only in a chat. `golden.json` therefore holds the settings of the manifest, and the hashes of the files beside
the graphs. Like all of a bundle, it can be forged: against that only a signature helps.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from ftool_runtime.bundle.golden import Golden
from ftool_runtime.bundle.integrity import file_record
from ftool_runtime.bundle.manifest import DIGEST, Manifest
from ftool_runtime.bundle.paths import (
    CHAT_TEMPLATE_FILE,
    GENERATION_CONFIG_FILE,
    MANIFEST_FILE,
    REPLAY_FILE,
    TOKENIZER_CONFIG_FILE,
    TOKENIZER_FILE,
)
from ftool_runtime.schema import join, show

# Fields of a manifest that tell where a bundle comes from, and change no answer.
_TOLD: Final = (
    "schema",
    "ftool",
    "created",
    "name",
    "architecture",
    "base",
    "files",
    "licence",
    "versions",
    "training_data",
    "evidence",
    DIGEST,
)
_FILES: Final = (
    TOKENIZER_FILE,
    TOKENIZER_CONFIG_FILE,
    GENERATION_CONFIG_FILE,
    CHAT_TEMPLATE_FILE,
    REPLAY_FILE,
)


def with_origin(golden: Golden, folder: Path, manifest: Manifest) -> Golden:
    """Return golden answers that also hold what they were made from: the bundle in `folder`, whose files are complete.

    Raises OSError and BundleError if a file can't be read.
    """
    settings = {key: value for key, value in manifest.to_json().items() if key not in _TOLD}
    hashes = {name: file_record(folder / name).sha256 for name in _FILES if (folder / name).is_file()}
    return replace(golden, settings=settings, files=hashes)


def changed_since(golden: Golden, manifest: Manifest) -> dict[str, str]:
    """Return, by file name, what differs in a bundle from what its golden answers were made from.

    Empty for golden answers that don't say what they were made from. Raises BundleError if they hold no settings of a
    manifest.
    """
    if not golden.settings:
        return {}
    was = Manifest.from_json({**manifest.to_json(), **golden.settings})  # other versions' fields are left out
    before, now = (dict(_leaves(asdict(one))) for one in (was, manifest))
    changed = [f"{at} is {show(now.get(at))}" for at in {**before, **now} if before.get(at) != now.get(at)]
    problems = {MANIFEST_FILE: f"was changed since the export: {', '.join(changed)}"} if changed else {}
    for name in _FILES:
        record = manifest.files.get(name)
        if golden.files.get(name) != (record and record.sha256):
            problems[name] = "is not the file of the export, from which golden.json was made"
    return problems


def _leaves(value: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, join(at, key))
    yield at, None if isinstance(value, Mapping) else value
