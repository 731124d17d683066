"""Select a translator's languages, by the source's prefix or special tokens and the answer's first token."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ftool_runtime.bundle.manifest import Languages, Manifest
from ftool_runtime.decoding.config import GenerationConfig
from ftool_runtime.errors import InputError, is_one_of


class Direction(NamedTuple):
    """The changes to inputs and settings that select a source and a target language.

    Attributes:
        prefix: the text to put before the source.
        replacements: replacements for special tokens that the tokenizer adds, from token id to token id.
        changes: changed fields of the generation config.
    """

    prefix: str
    replacements: Mapping[int, int]
    changes: dict[str, Any]


def direction(
    manifest: Manifest, config: GenerationConfig, source: str | None, target: str | None
) -> Direction:
    """Return how a bundle translates from `source` to `target`; None stands for the manifest's default language.

    Raises InputError, which lists the known codes, for an unknown language code.
    """
    languages = (manifest.generation and manifest.generation.languages) or Languages()
    read = _checked("source_language", source, languages.source, languages.source_tokens)
    targets = {**languages.target_tokens, **languages.target_prefixes}
    written = _checked("target_language", target, languages.target, targets)
    own, other = (languages.source_tokens.get(code or "") for code in (languages.source, read))
    replacements = {} if own is None or other is None else {own: other}
    changes = {}
    first = languages.target_tokens.get(written or "")
    if first is not None:
        # Checkpoints differ: the language's token replaces the decoder's start token, or follows it.
        starts = config.decoder_start_token_id in languages.target_tokens.values()
        field = "decoder_start_token_id" if starts else "forced_bos_token_id"
        changes = {field: first}
    return Direction(
        languages.target_prefixes.get(written or "", manifest.input.prefix), replacements, changes
    )


def _checked(option: str, code: str | None, default: str | None, known: Iterable[str]) -> str | None:
    if code is None:
        return default
    if is_one_of(code, known) or is_one_of(code, (default or "",)):
        return code
    names = ", ".join(sorted(known)) or default
    if names is None:
        raise InputError(f"{option}={code!r}: this model has no choice of languages; leave it out")
    raise InputError(f"{option}={code!r} is not a language of this model; its languages are {names}")
