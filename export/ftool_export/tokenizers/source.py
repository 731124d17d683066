"""Load a checkpoint's tokenizer in the form that bundles ship, and compare it with the checkpoint's files.

transformers rebuilds tokenizers from a vocabulary and may lose normalisation that tokenizer.json or a sentencepiece
model specifies: release 5.23 drops DeBERTa's character table, and lower-cases texts even if vocab.txt has capitals.
Therefore the tokenizer that transformers builds is compared with the files on texts in many scripts. A difference is
repaired if the files specify the right behaviour; otherwise the checkpoint is refused.
"""

import json
import logging
import math
import unicodedata
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, normalizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast
from transformers.tokenization_utils_base import VERY_LARGE_INTEGER

from ftool_export.checkpoints.adapters import holder
from ftool_export.checkpoints.files import find_file, first_line
from ftool_export.errors import CheckpointError
from ftool_export.tokenizers.references import (
    Reference,
    lossless,
    sentencepiece_reference,
    wordpiece_reference,
)
from ftool_export.tokenizers.sentencepiece_bpe import STRICT_TEXTS, converted_by_scores
from ftool_export.tokenizers.texts import TEXTS
from ftool_runtime.json_reader import JsonError, read_json

log = logging.getLogger(__name__)

_SENTENCEPIECE = (
    "spiece.model",
    "spm.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
    "sentencepiece.model",
)
# Files that hold a vocabulary. Without one of them, transformers makes up a tokenizer of special tokens.
_VOCABULARIES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "bpe.codes",
    "source.spm",
    "tekken.json",
    *_SENTENCEPIECE,
)
_TIKTOKEN = "tiktoken"
# Settings of tokenizer_config.json that may contradict the normalisation in tokenizer.json.
_SWITCHES = {"do_lower_case", "strip_accents", "tokenize_chinese_chars"}


def load_tokenizer(source: str) -> Any:
    """Load a checkpoint's tokenizer from tokenizer.json, or convert the files of a slow (pure Python) tokenizer.

    Tokens keep the white space before a word in their character ranges; see `_keep_spaces`.

    Raises CheckpointError if the checkpoint has no tokenizer, or one that can only run as Python code, and if the
    converted tokenizer splits a text differently from the tokenizer that the files describe.
    """
    tokenizer = _read(holder(source, *_VOCABULARIES))
    _keep_spaces(tokenizer.backend_tokenizer.post_processor)
    return tokenizer


def _keep_spaces(step: Any) -> None:
    """Stop a byte-level post-processor from shortening the character ranges of tokens.

    For each space at the beginning of a token, the post-processor leaves out a character of the text. If a
    pre-tokenizer put that space there, as in RobBERT, this character is the word's first letter. Users of character
    ranges leave out white space themselves.
    """
    if isinstance(step, processors.Sequence):
        for one in step:  # type: ignore[attr-defined]
            _keep_spaces(one)
    elif isinstance(step, processors.ByteLevel | processors.RobertaProcessing):
        step.trim_offsets = False


def _read(source: str) -> Any:
    tokenizer = _load(source)
    _require_vocabulary(source, tokenizer)
    tokenizer.model_max_length = _length_limit(tokenizer.model_max_length)
    _check_unknown_words(source, tokenizer)
    if not tokenizer.is_fast:
        raise CheckpointError(
            f"{source}: {type(tokenizer).__name__} is Python code, which tokenizer.json can't hold and a bundle does "
            "not run; choose a checkpoint whose tokenizer is WordPiece, BPE or Unigram"
        )
    path = find_file(source, "tokenizer.json")
    if path is not None:
        return _as_in_file(tokenizer, path, _config(source))
    if (model := _find_sentencepiece(source)) is not None:
        return _as_in_sentencepiece(source, tokenizer, model)
    if (words := find_file(source, "vocab.txt")) is not None:
        return _checked(tokenizer, wordpiece_reference(tokenizer, words), words)
    if (merges := find_file(source, "merges.txt")) is not None:
        for text in TEXTS:
            if not lossless(tokenizer, text):
                raise CheckpointError(
                    f"{merges}: the tokenizer made from it does not decode to {text!r} again; {_REMEDY}"
                )
    return tokenizer


def read_tokenizer(source: str, config: Any) -> Any:
    """Load a tokenizer as `load_tokenizer` does; set a missing padding token in the tokenizer and in `config`.

    Raises CheckpointError also if there is no special token that could be the padding token.
    """
    tokenizer = load_tokenizer(source)
    if tokenizer.pad_token is None:  # decoders
        pad_with_special_token(tokenizer, len(tokenizer), source)
    if getattr(config, "pad_token_id", None) is None:  # Perceiver's configuration has no such field
        config.pad_token_id = tokenizer.pad_token_id
    return tokenizer


def pad_with_special_token(tokenizer: Any, size: int, source: str) -> None:
    """Make a special token with an id below `size` the padding token: the end token, or else the first that there is.

    An ordinary token is not possible, because decoding leaves out the padding token. Raises CheckpointError, naming
    `source`, if there is no such special token.
    """
    ids = zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True)
    usable = [token for number, token in ids if number < size]
    if not usable:
        raise CheckpointError(
            f"{source}: its tokenizer has no special token that could fill up the rows of a batch; give it a padding "
            "token that its vocabulary has (tokenizer.pad_token = ...) and save it again"
        )
    tokenizer.pad_token = tokenizer.eos_token if tokenizer.eos_token in usable else usable[0]


def _check_unknown_words(source: str, tokenizer: Any) -> None:
    """Raise CheckpointError if the tokenizer fails on a text instead of using a token for unknown words."""
    try:
        tokenizer(list(TEXTS), verbose=False)
    except Exception as error:  # tokenizers raises nothing more specific
        raise CheckpointError(
            f"{source}: its tokenizer fails on words that its vocabulary lacks ({error}); name one of its tokens as "
            "the token for unknown words (unk_token under model in tokenizer.json, unk_id for Unigram)"
        ) from error


_REMEDY = "save the tokenizer as tokenizer.json with the release of transformers that trained the model"


def _load(source: str) -> Any:
    options: dict[str, Any] = {}
    if _is_cased_without_saying_so(source):
        log.warning(
            "%s: its vocabulary has capitals and tokenizer_config.json does not set do_lower_case, so texts keep "
            "their capitals", source,
        )  # fmt: skip
        options["do_lower_case"] = False
    try:
        return AutoTokenizer.from_pretrained(source, trust_remote_code=False, **options)
    except Exception as error:  # tokenizers raises nothing more specific for a damaged tokenizer.json
        raise CheckpointError(f"{source}: {_reason(source, error)}") from error


def _require_vocabulary(source: str, tokenizer: Any) -> None:
    """Raise CheckpointError if `tokenizer` was made without a file that holds its vocabulary."""
    files = getattr(type(tokenizer), "vocab_files_names", {}).values()
    own = [name for name in files if name != "tokenizer_config.json"]
    if own and not _has_any(source, "tokenizer.json", *own, *_SENTENCEPIECE):
        raise CheckpointError(f"{source}: {_without_vocabulary(own)}")


def _has_any(source: str, *names: str) -> bool:
    return any(find_file(source, name) is not None for name in names)


def _without_vocabulary(wanted: Iterable[str]) -> str:
    names = ", ".join(dict.fromkeys(["tokenizer.json", *wanted]))
    return (
        f"no tokenizer in this folder (none of {names}); copy there the tokenizer's files of the model that this one "
        "was trained from: AutoTokenizer.from_pretrained(BASE).save_pretrained(FOLDER)"
    )


def _length_limit(written: object) -> int:
    """Return the limit in tokenizer_config.json as a number of tokens; 1e30, transformers' "no limit", if it is none.

    Some files hold -1 or Infinity for no limit, or a number as text.
    """
    try:
        limit = math.nan if isinstance(written, bool) else float(written)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        limit = math.nan
    return int(limit) if math.isfinite(limit) and limit >= 1 else VERY_LARGE_INTEGER


def _reason(source: str, error: Exception) -> str:
    """Return why transformers can't read the tokenizer of `source`, for an error message."""
    if "auto_map" in _config(source) or "trust_remote_code" in str(error):
        return (
            "its tokenizer is the checkpoint's own Python code (auto_map), which ftool does not run; "
            + _REMEDY
        )
    if not _has_any(source, *_VOCABULARIES):
        return _without_vocabulary(["vocab.txt", "vocab.json", "tokenizer.model"])
    if "`merges` must" in str(error):
        lacking = next(name for name in ("merges.txt", "vocab.json") if find_file(source, name) is None)
        return (
            f"its tokenizer lacks {lacking}; copy vocab.json and merges.txt, or tokenizer.json, of one model"
        )
    if _TIKTOKEN in str(error):  # transformers tries this format last
        return (
            "its tokenizer is not a sentencepiece model; if it is a tiktoken file, a bundle can't ship it; "
            + _REMEDY
        )
    if isinstance(error, TypeError):  # a special token that the vocabulary lacks
        return (
            "its vocabulary lacks a special token that its kind of tokenizer needs, such as [CLS]; " + _REMEDY
        )
    return f"no tokenizer could be read ({first_line(error)})"


def _is_cased_without_saying_so(source: str) -> bool:
    path = find_file(source, "vocab.txt")
    if path is None or find_file(source, "tokenizer.json") is not None or "do_lower_case" in _config(source):
        return False
    words = path.read_text(encoding="utf-8").split("\n")
    return any(word != word.lower() for word in words if word[:1] not in "[<")


def _as_in_file(tokenizer: Any, path: Path, config: dict[str, Any]) -> Any:
    """Return `tokenizer`, or, if transformers lost normalisation, the tokenizer exactly as in the file `path`.

    `config` is the content of tokenizer_config.json. Its settings may ask for other normalisation than in the file;
    then nothing was lost.
    """
    backend = Tokenizer.from_str(path.read_text(encoding="utf-8"))
    backend.no_truncation()
    backend.no_padding()
    if all(_same(tokenizer, backend, text) for text in TEXTS):
        return tokenizer
    content = json.loads(path.read_text(encoding="utf-8"))
    lost_table = '"Precompiled"' in json.dumps(content.get("normalizer")) and not _has_table(tokenizer)
    unsaid = content["model"].get("type") == "WordPiece" and not _SWITCHES & config.keys()
    if not lost_table and not unsaid:
        return tokenizer
    log.info(
        "%s: transformers' %s normalises differently, so the file is used", path, type(tokenizer).__name__
    )
    return with_backend(tokenizer, backend)


def _as_in_sentencepiece(source: str, tokenizer: Any, model: Path) -> Any:
    """Return `tokenizer`, repaired where the sentencepiece file `model` splits texts differently.

    Raises CheckpointError if they still differ.
    """
    reference = sentencepiece_reference(tokenizer, model)
    tokenizer = _with_table(tokenizer, model)
    with suppress(CheckpointError):
        return _checked(tokenizer, reference, model, STRICT_TEXTS)
    unstated = "add_bos_token" not in _config(source)
    backend = converted_by_scores(tokenizer, model, begins=unstated)
    if backend is None:
        return _checked(tokenizer, reference, model)
    converted = _checked(with_backend(tokenizer, backend), reference, model, STRICT_TEXTS)
    if unstated and converted.bos_token is not None:
        log.warning(
            "%s: tokenizer_config.json does not set add_bos_token, so texts begin with %s, as Llama's do",
            source, converted.bos_token,
        )  # fmt: skip
    return converted


def _with_table(tokenizer: Any, model: Path) -> Any:
    """Return `tokenizer` with the sentencepiece file's character table restored, if transformers dropped the table."""
    from sentencepiece import sentencepiece_model_pb2

    table = sentencepiece_model_pb2.ModelProto.FromString(
        model.read_bytes()
    ).normalizer_spec.precompiled_charsmap
    if not table or _has_table(tokenizer):
        return tokenizer
    lower = [normalizers.Lowercase()] if getattr(tokenizer, "do_lower_case", False) else []
    backend = tokenizer.backend_tokenizer
    backend.normalizer = normalizers.Sequence(
        [
            *lower,
            normalizers.Strip(),
            normalizers.Precompiled(table),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    return with_backend(tokenizer, backend)


def _has_table(tokenizer: Any) -> bool:
    return "Precompiled" in repr(tokenizer.backend_tokenizer.normalizer)


def with_backend(tokenizer: Any, backend: Tokenizer) -> Any:
    """Return `backend` as a PreTrainedTokenizerFast, with the other settings of `tokenizer`.

    transformers loads tokenizers of this class without rebuilding them.
    """
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_input_names=list(tokenizer.model_input_names),
        model_max_length=tokenizer.model_max_length,
        truncation_side=tokenizer.truncation_side,
        split_special_tokens=tokenizer.split_special_tokens,
        chat_template=tokenizer.chat_template,
        **tokenizer.special_tokens_map,
    )


def _same(tokenizer: Any, backend: Tokenizer, text: str) -> bool:
    return bool(tokenizer(text, verbose=False)["input_ids"] == backend.encode(text).ids)


def _checked(tokenizer: Any, reference: Reference, path: Path, texts: Sequence[str] = TEXTS) -> Any:
    """Return `tokenizer`. Raises CheckpointError if the reference splits one of `texts` differently."""
    vocabulary = tokenizer.get_vocab()
    shifts: set[int] = (
        set()
    )  # one value if all ids are shifted alike: XLM-R inserts a token before the file's own
    for text in texts:
        # Composed characters only: transformers' Python tokenizer of BERT composes them, Google's original did not.
        composed = unicodedata.normalize("NFC", text)
        converted, expected = (
            [piece if piece in vocabulary else tokenizer.unk_token for piece in pieces]
            for pieces in (tokenizer.tokenize(composed), reference.pieces(composed))
        )
        if converted != expected:
            pairs = zip_longest(converted, expected)
            position = next(place for place, (one, other) in enumerate(pairs) if one != other)
            raise CheckpointError(
                f"{path}: this file splits {text[:40]!r} into {_shown(expected, position)}, but after conversion to "
                f"tokenizer.json it becomes {_shown(converted, position)}; {_REMEDY}"
            )
        ids = tokenizer.convert_tokens_to_ids(converted)
        shifts |= {
            number - reference.number(piece)
            for piece, number in zip(converted, ids, strict=True)
            if piece != tokenizer.unk_token
        }
    if len(shifts) > 1:
        raise CheckpointError(
            f"{path}: after conversion to tokenizer.json, tokens have different ids; {_REMEDY}"
        )
    return tokenizer


def _shown(pieces: Sequence[str], at: int) -> str:
    return repr(" ".join(pieces[max(at - 1, 0) : at + 3]))[1:-1] or "nothing"


def _find_sentencepiece(source: str) -> Path | None:
    for name in _SENTENCEPIECE:
        path = find_file(source, name)
        if path is not None and _TIKTOKEN not in path.name:
            return path
    return None


def _config(source: str) -> dict[str, Any]:
    path = find_file(source, "tokenizer_config.json")
    if path is None:
        return {}
    try:
        content = read_json(path.read_bytes(), strict=False)
    except JsonError as error:
        raise CheckpointError(
            f"{path}: not valid JSON ({error}); fetch or write the checkpoint again"
        ) from error
    return content if isinstance(content, dict) else {}


def tokenizer_text(tokenizer: Any) -> str:
    """Return a fast tokenizer as JSON text, without the padding and truncation settings of the last call."""
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    return json.dumps({name: part for name, part in content.items() if name not in ("padding", "truncation")})
