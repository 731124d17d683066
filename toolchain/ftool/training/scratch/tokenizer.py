"""Learn tokenizers from the training data, for models with random weights.

Every text can be encoded: characters that are not in the vocabulary, of any script, are encoded as bytes.
"""

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from ftool.errors import TrainingError

PAD, END, UNKNOWN, START = "<pad>", "</s>", "<unk>", "<s>"
TURN_START, TURN_END = "<|im_start|>", "<|im_end|>"

# ChatML. The {% generation %} markers are for users who train run/ further with assistant masks; ftool does not.
CHAT_TEMPLATE: Final = (
    "{%- set seen = namespace(user=false) -%}"
    "{%- for message in messages -%}"
    "{%- set role = message['role'] -%}"
    "{%- if role not in ['system', 'user', 'assistant', 'tool'] -%}"
    "{{- raise_exception('a role must be system, user, assistant or tool, got ' ~ role) -}}"
    "{%- elif role == 'system' and not loop.first -%}"
    "{{- raise_exception('a system turn must be the first; move it there') -}}"
    "{%- elif role == 'tool' and not seen.user -%}"
    "{{- raise_exception('a tool turn must come after a user turn') -}}"
    "{%- elif role in ['user', 'assistant'] and not loop.first and loop.previtem['role'] == role -%}"
    "{{- raise_exception('two ' ~ role ~ ' turns in a row; join them into one') -}}"
    "{%- endif -%}"
    "{%- if role == 'user' -%}{%- set seen.user = true -%}{%- endif -%}"
    "{%- if message['role'] == 'assistant' -%}"
    "{{- '<|im_start|>assistant\n' -}}"
    "{%- generation -%}{{- message['content'] + '<|im_end|>' -}}{%- endgeneration -%}"
    "{{- '\n' -}}"
    "{%- else -%}"
    "{{- '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' -}}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}"
)

_SPECIAL: Final = (PAD, END, UNKNOWN, START)  # ids 0 to 3; the first three are the same as T5's
_BYTES: Final = tuple(f"<0x{byte:02X}>" for byte in range(256))
_COVERAGE: Final = 0.9995  # share of all characters that have tokens of their own; rarer ones become bytes
_DIGITS: Final = 4  # decimal places to which scores are rounded
_LEAST_STEP: Final = 1e-4  # between the scores of characters that the trainer found useless
_LEAST: Final = 300  # tokens
_NEVER: Final = -1e6  # the score of tokens that no text is split into, such as special tokens
_SPELLING: Final = sorted(
    set("".join((*_SPECIAL, TURN_START, TURN_END, *_BYTES)))
)  # characters of these names
_SPARE: Final = 8  # pieces that the trainer needs in addition to characters
_SPACE: Final = "▁"


def learn_tokenizer(
    texts: Sequence[str],
    *,
    kind: Literal["bpe", "unigram"],
    vocabulary_size: int,
    max_length: int,
    ends: bool,
    chat: bool,
    exact: Iterable[str] = (),
) -> PreTrainedTokenizerFast:
    """Learn a tokenizer of at most `vocabulary_size` tokens, or of fewer if `texts` is too short for that number.

    Args:
        texts: the texts to learn from.
        kind: byte-level BPE (Sennrich et al. 2016), or a unigram model (Kudo 2018) that falls back to bytes.
        vocabulary_size: most tokens, including special tokens and single bytes.
        max_length: the model's limit in tokens.
        ends: whether an end token follows every text, as encoder-decoders require.
        chat: whether the tokenizer gets tokens for turns and a chat template.
        exact: texts that encoding and decoding must not change. Compatibility forms (full-width digits, ligatures) are
            normalised (NFKC) only if there are such texts and none of them contains a compatibility form.

    Raises TrainingError for a vocabulary too small to spell every text.
    """
    if vocabulary_size < _LEAST:
        raise TrainingError(
            f"train.vocabulary_size must be {_LEAST} or more for a base of random weights, got {vocabulary_size}: "
            "single bytes need 256"
        )
    special = [*_SPECIAL, TURN_START, TURN_END] if chat else list(_SPECIAL)
    normalizer = normalizers.NFKC() if _plain(exact) else None
    learn = _learn_bpe if kind == "bpe" else _learn_unigram
    tokenizer = learn(texts, special, vocabulary_size, normalizer)
    if ends:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"$A {END}", pair=f"$A {END} $B {END}", special_tokens=[(END, special.index(END))]
        )
    return _wrapped(tokenizer, max_length, chat=chat)


def _wrapped(tokenizer: Tokenizer, max_length: int, *, chat: bool) -> PreTrainedTokenizerFast:
    """Return the tokenizer in transformers' class, with its special tokens and, if `chat`, a chat template."""
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=TURN_END if chat else END,
        unk_token=UNKNOWN,
        bos_token=START,
        additional_special_tokens=[TURN_START] if chat else None,
        model_max_length=max_length,
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
    )
    if chat:
        wrapped.chat_template = CHAT_TEMPLATE
    return wrapped


def count_altered(tokenizer: Any, texts: Sequence[str]) -> int:
    """Return the number of texts that have unknown tokens or are changed by encoding and decoding.

    Changes by NFKC, if it is the tokenizer's normaliser, don't count.
    """
    encoded = tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True)["input_ids"]
    back = tokenizer.batch_decode(encoded, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    nfkc = isinstance(tokenizer.backend_tokenizer.normalizer, normalizers.NFKC)
    return sum(
        tokenizer.unk_token_id in ids or again != (unicodedata.normalize("NFKC", text) if nfkc else text)
        for text, again, ids in zip(texts, back, encoded, strict=True)
    )


def _plain(exact: Iterable[str]) -> bool:
    """Return whether `exact` has at least one text, and NFKC would change none of its texts."""
    texts = list(exact)
    return bool(texts) and all(unicodedata.is_normalized("NFKC", text) for text in texts)


def _learn_bpe(texts: Sequence[str], special: list[str], size: int, normalizer: Any) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token=None))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [_digits(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=2,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _learn_unigram(texts: Sequence[str], special: list[str], size: int, normalizer: Any) -> Tokenizer:
    """Learn a unigram model, and add byte tokens to the vocabulary, because the trainer of unigram models can't."""
    learner = Tokenizer(models.Unigram())
    if normalizer is not None:
        learner.normalizer = normalizer
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(replacement=_SPACE, prepend_scheme="always"), _digits()]
    )
    common = _common_characters(texts, normalizer)
    characters = len({character for text in common for character in text})
    trainer = trainers.UnigramTrainer(
        vocab_size=max(size - len(special) - len(_BYTES) - len(_SPELLING), characters + _SPARE),
        unk_token=UNKNOWN,
        show_progress=False,
    )
    learner.train_from_iterator(common, trainer)
    pieces = _pieces(learner, common)
    vocabulary = [(token, _NEVER) for token in (*special, *_BYTES)]
    spelling = [(letter, pieces[-1][1] - 1.0) for letter in _SPELLING if letter not in dict(pieces)]
    vocabulary += pieces[: max(size - len(vocabulary) - len(spelling), 0)] + spelling
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=special.index(UNKNOWN), byte_fallback=True))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = learner.pre_tokenizer
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace(_SPACE, " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    tokenizer.add_special_tokens(special)
    return tokenizer


def _digits() -> Any:
    """Return a pre-tokenizer that splits numbers into digits, so that rare and frequent numbers are tokenised alike."""
    return pre_tokenizers.Digits(individual_digits=True)


def _pieces(learner: Tokenizer, texts: Sequence[str]) -> list[tuple[str, float]]:
    """Return the learnt pieces with their scores, most probable first, without the trainer's unknown token.

    The trainer orders characters that it finds useless at random; this function orders them by frequency, so that the
    same texts give the same tokenizer. Scores are rounded because the order in which the trainer's threads add numbers
    varies.
    """
    learnt = json.loads(learner.to_str())["model"]["vocab"]
    scores = {
        piece: round(float(score), _DIGITS) for piece, score in learnt if piece not in (UNKNOWN, *_BYTES)
    }
    singles = [piece for piece in scores if len(piece) == 1]
    lowest = min(scores.values(), default=0.0)
    useless = [piece for piece in singles if scores[piece] <= lowest + _LEAST_STEP * (len(singles) + 1)]
    counts = Counter(character for text in texts for character in text)
    for rank, piece in enumerate(sorted(useless, key=lambda piece: (-counts[piece], piece)), start=1):
        scores[piece] = lowest - rank * _LEAST_STEP
    return sorted(scores.items(), key=lambda entry: (-entry[1], entry[0]))


def _common_characters(texts: Sequence[str], normalizer: Any) -> list[str]:
    """Return the texts with rare characters replaced by spaces, because the trainer would give each one a token."""
    if normalizer is not None:
        texts = [unicodedata.normalize("NFKC", text) for text in texts]
    counts = Counter(character for text in texts for character in text)
    left = sum(counts.values()) * (1 - _COVERAGE)
    rare: dict[int, str] = {}
    for character, count in reversed(counts.most_common()):
        left -= count
        if left < 0:
            break
        rare[ord(character)] = " "
    return [text.translate(rare) for text in texts]
