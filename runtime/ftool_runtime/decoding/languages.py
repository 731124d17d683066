"""How a translator is told its languages: tokens or words around the source, and the answer's first token."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ftool_runtime.bundle.manifest import Languages, Manifest
from ftool_runtime.decoding.config import GenerationConfig
from ftool_runtime.errors import InputError


class Direction(NamedTuple):
    """From which language to which.

    Attributes:
        prefix: what goes before the source.
        exchanged: which of the tokens that the tokenizer adds become which others.
        changes: what it changes in the config.
    """

    prefix: str
    exchanged: Mapping[int, int]
    changes: dict[str, Any]


def direction(
    manifest: Manifest, config: GenerationConfig, source: str | None, target: str | None
) -> Direction:
    """What asking for `source` and `target` means for a bundle. None is the bundle's own choice.

    Raises InputError for a code that the bundle does not know, with those that it knows.
    """
    languages = (manifest.generation and manifest.generation.languages) or Languages()
    read = _checked("source_language", source, languages.source, languages.source_tokens)
    targets = {**languages.target_tokens, **languages.target_prefixes}
    written = _checked("target_language", target, languages.target, targets)
    own, other = (languages.source_tokens.get(code or "") for code in (languages.source, read))
    exchanged = {} if own is None or other is None else {own: other}
    changes = {}
    first = languages.target_tokens.get(written or "")
    if first is not None:
        # checkpoints begin with the language's token either in place of the decoder's start or right after it
        starts = config.decoder_start_token_id in languages.target_tokens.values()
        field = "decoder_start_token_id" if starts else "forced_bos_token_id"
        changes = {field: first}
    return Direction(languages.target_prefixes.get(written or "", manifest.input.prefix), exchanged, changes)


def _checked(option: str, code: str | None, default: str | None, known: Iterable[str]) -> str | None:
    if code is None:
        return default
    if code in known or code == default:
        return code
    names = ", ".join(sorted(known)) or default
    if names is None:
        raise InputError(f"{option}={code!r}: this model is not told its languages; leave it out")
    raise InputError(f"{option}={code!r} is not a language that this model knows; it knows {names}")
