"""Languages of translators: the tokens or words around the source, and the answer's first token, that select them."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ftool_runtime.bundle.manifest import Languages, Manifest
from ftool_runtime.decoding.config import GenerationConfig
from ftool_runtime.errors import InputError


class Direction(NamedTuple):
    """How to translate from one language to another.

    Attributes:
        prefix: the text before the source.
        replacements: the tokens, of those that the tokenizer adds, that are replaced with others.
        changes: fields of the generation config that change.
    """

    prefix: str
    replacements: Mapping[int, int]
    changes: dict[str, Any]


def direction(
    manifest: Manifest, config: GenerationConfig, source: str | None, target: str | None
) -> Direction:
    """How a bundle translates from `source` to `target`; None: the language that the manifest names.

    Raises InputError for an unknown language code; it lists the known ones.
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
        # a checkpoint's answers begin with the language's token instead of the decoder's start, or right after it
        starts = config.decoder_start_token_id in languages.target_tokens.values()
        field = "decoder_start_token_id" if starts else "forced_bos_token_id"
        changes = {field: first}
    return Direction(
        languages.target_prefixes.get(written or "", manifest.input.prefix), replacements, changes
    )


def _checked(option: str, code: str | None, default: str | None, known: Iterable[str]) -> str | None:
    if code is None:
        return default
    if code in known or code == default:
        return code
    names = ", ".join(sorted(known)) or default
    if names is None:
        raise InputError(f"{option}={code!r}: this model has no choice of languages; leave it out")
    raise InputError(f"{option}={code!r} is not a language of this model; its languages are {names}")
