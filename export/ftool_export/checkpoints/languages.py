"""Languages of multilingual translators: the tokens and prefixes that select them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from ftool_export.checkpoints.generator import LoadedGenerator
from ftool_export.errors import CheckpointError
from ftool_runtime.bundle.manifest import Languages

_MARIAN: Final = re.compile(r">>(\S+)<<")  # put before a source to name the language of the answer
_CODED: Final = re.compile(
    r"__([a-z]{2,3})__|([a-z]{2}_[A-Z]{2}|[a-z]{3}_[A-Z][a-z]{3})"
)  # M2M-100; mBART, NLLB
_SHOWN: Final = 12  # codes that an error names


def set_to_languages(
    loaded: LoadedGenerator, source: str | None, target: str | None, prefix: str | None = None
) -> LoadedGenerator:
    """Return `loaded` set to a source and a target language.

    The checkpoint decides whether tokens or a prefix select the languages; if neither does, the languages are only
    recorded. A decoder is returned unchanged.

    Args:
        loaded: the model; its tokenizer and generation config are changed.
        source: the source language, as a code that the checkpoint uses; None keeps the checkpoint's setting.
        target: the target language, as a code that the checkpoint uses; None keeps the checkpoint's setting.
        prefix: text to put before every source; None uses the checkpoint's configured prefix for the task.

    Raises CheckpointError for a code that the checkpoint does not know.
    """
    if loaded.family == "decoder":
        return loaded
    config = loaded.model.config
    languages = languages_of(loaded.tokenizer, config, source, target)
    if languages is not None:
        begin_answers_in(loaded.generation_config, languages)
    elif source is not None or target is not None:
        languages = Languages(source=source, target=target)  # not used by the model, recorded for apps
    if prefix is None:
        prefix = source_prefix(config, loaded.task, languages, source, target)
    return replace(loaded, languages=languages, prefix=prefix)


def source_prefix(
    config: Any, task: str, languages: Languages | None, source: str | None, target: str | None
) -> str:
    """Return the prefix to put before every source: Marian's language token, T5's configured prefix, or ""."""
    if languages is not None and languages.target_prefixes:
        return languages.target_prefixes.get(languages.target or "", "")
    known: Mapping[str, Any] = getattr(config, "task_specific_params", None) or {}
    name = f"translation_{source}_to_{target}" if task == "translation" else task
    pairs = [key.removeprefix("translation_") for key in known if key.startswith("translation_")]
    if task == "translation" and pairs and name not in known and (source or target):
        raise CheckpointError(
            f"this checkpoint has no prefix for {source} to {target}, only for {', '.join(pairs)}; set data.prefix"
        )
    return str((known.get(name) or {}).get("prefix", ""))


def languages_of(tokenizer: Any, config: Any, source: str | None, target: str | None) -> Languages | None:
    """Return the languages of a translator, or None if its tokenizer has no tokens that select a language.

    The tokenizer of mBART, M2M-100 and NLLB is changed: it is set to the languages that are returned.

    Args:
        tokenizer: the checkpoint's tokenizer.
        config: the checkpoint's configuration.
        source: the source language, as a code that the checkpoint uses; None reads the language from the tokenizer.
        target: the target language, as a code that the checkpoint uses; None reads the language from tokenizer or
            configuration, or leaves it unset if they name none.

    Raises CheckpointError for a code that the checkpoint does not know.
    """
    codes = _language_tokens(tokenizer)
    if codes:
        read = _known(source or _source_set(tokenizer, codes), codes, "source")
        written = _known(target or _target_set(tokenizer, config, codes), codes, "target")
        _set_source(tokenizer, read, codes)
        if written is not None and hasattr(tokenizer, "tgt_lang"):
            tokenizer.tgt_lang = written
        return Languages(source=read, target=written, source_tokens=codes, target_tokens=codes)
    prefixes = {
        match[1]: f"{token} " for token in tokenizer.get_vocab() if (match := _MARIAN.fullmatch(token))
    }
    if not prefixes:
        return None
    return Languages(source=source, target=_known(target, prefixes, "target"), target_prefixes=prefixes)


def begin_answers_in(generation_config: Any, languages: Languages) -> None:
    """Change `generation_config` so that answers begin with the token of the target language.

    In the original mBART this token is the decoder's start token; mBART-50, M2M-100 and NLLB are forced to generate the
    token first.
    """
    first = languages.target_tokens.get(languages.target or "")
    if first is None:
        return
    if starts_with_language(generation_config, languages):
        generation_config.decoder_start_token_id = first
    else:
        generation_config.forced_bos_token_id = first


def first_token(generation_config: Any, languages: Languages | None) -> list[int]:
    """Return the id of the target language's token, if the model is forced to generate it first; else an empty list."""
    first = languages.target_tokens.get(languages.target or "") if languages else None
    if languages is None or first is None or starts_with_language(generation_config, languages):
        return []
    return [first]


def starts_with_language(generation_config: Any, languages: Languages) -> bool:
    """Whether the decoder's start token is the token of a language, as in the original mBART, or is not set."""
    start = generation_config.decoder_start_token_id
    return start is None or start in languages.target_tokens.values()


def _language_tokens(tokenizer: Any) -> dict[str, int]:
    """Return the ids of the tokens that select a language, by language code."""
    given = getattr(tokenizer, "lang_code_to_id", None)
    if given:
        return {str(code): int(index) for code, index in given.items()}
    found = {}
    for index, token in tokenizer.added_tokens_decoder.items():
        if match := _CODED.fullmatch(str(token)):
            found[match[1] or match[2]] = int(index)
    return found


def _source_set(tokenizer: Any, codes: Mapping[str, int]) -> str | None:
    """Return the tokenizer's current source language, found from the special tokens that the tokenizer adds."""
    return _code_of(tokenizer("")["input_ids"], codes)


def _target_set(tokenizer: Any, config: Any, codes: Mapping[str, int]) -> str | None:
    set_to = getattr(tokenizer, "tgt_lang", None)
    if set_to in codes:
        return str(set_to)
    tokens = [getattr(config, name, None) for name in ("forced_bos_token_id", "decoder_start_token_id")]
    return _code_of([token for token in tokens if isinstance(token, int)], codes)


def _code_of(tokens: Iterable[int], codes: Mapping[str, int]) -> str | None:
    by_token = {token: code for code, token in codes.items()}
    return next((by_token[token] for token in tokens if token in by_token), None)


def _set_source(tokenizer: Any, code: str | None, codes: Mapping[str, int]) -> None:
    now = _source_set(tokenizer, codes)
    if code is None or code == now:
        return
    if not hasattr(tokenizer, "src_lang"):
        raise CheckpointError(
            f"the tokenizer is fixed to the source language {now!r} and can't be set to {code!r}; "
            "save it with that source language"
        )
    tokenizer.src_lang = code


def _known(code: str | None, known: Mapping[str, Any], which: str) -> str | None:
    if code is None or code in known:
        return code
    near = sorted(other for other in known if other.lower()[:2] == code.lower()[:2])
    names = near or sorted(known)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    raise CheckpointError(
        f"{which} language {code!r} is unknown to this translator; it knows {', '.join(names[:_SHOWN])}{more}"
    )
