"""Cut vocabularies: texts of kept pieces become the same tokens, every text can still be read, ids have no gaps."""

import json
import string
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from ftool_export.errors import CheckpointError
from ftool_export.shrinking.vocabulary import Vocabulary

WORDS = [
    *(
        "card",
        "cards",
        "carding",
        "payment",
        "payments",
        "paying",
        "paid",
        "transfer",
        "transferred",
        "transferring",
    ),
    *(
        "account",
        "accounting",
        "top",
        "topping",
        "balance",
        "balanced",
        "unbalanced",
        "cash",
        "cashback",
        "limit",
    ),
    *("limits", "unlimited", "verify", "verified", "verification", "identity"),
]
CORPUS = [" ".join(WORDS[place:] + WORDS[:place]) for place in range(len(WORDS))] * 3
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


def _wordpiece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=160, special_tokens=SPECIAL)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


def _byte_level_bpe() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_special_tokens(["<s>", "</s>"])  # behind all pieces, whose number changes
    end, start = ((token, tokenizer.token_to_id(token)) for token in ("</s>", "<s>"))
    tokenizer.post_processor = processors.RobertaProcessing(end, start)
    return tokenizer


def _suffixed_bpe() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]", end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.BPEDecoder(suffix="</w>")
    trainer = trainers.BpeTrainer(
        vocab_size=200,
        special_tokens=SPECIAL,
        end_of_word_suffix="</w>",
        initial_alphabet=[*string.ascii_lowercase],
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def _unigram() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=150, special_tokens=["[UNK]"], unk_token="[UNK]")
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_special_tokens(["[CLS]", "[SEP]"])
    template = {"single": "[CLS] $A [SEP]", "pair": "[CLS] $A [SEP] $B [SEP]"}
    tokenizer.post_processor = processors.TemplateProcessing(
        **template, special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    )
    return tokenizer


MAKERS: dict[str, Callable[[], Tokenizer]] = {
    "WordPiece": _wordpiece,
    "BPE of bytes": _byte_level_bpe,
    "BPE with a suffix": _suffixed_bpe,
    "Unigram": _unigram,
}
KINDS = sorted(MAKERS)


@cache
def made(kind: str) -> Tokenizer:
    return MAKERS[kind]()


def content_of(kind: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(made(kind).to_str())
    return content


def cut_for(kind: str, texts: Sequence[str], more: int = 0) -> tuple[Tokenizer, list[int]]:
    """The tokenizer without pieces that the texts don't have, but with `more` frequent ones."""
    vocabulary = Vocabulary(content_of(kind))
    used = {made(kind).id_to_token(number) for text in texts for number in made(kind).encode(text).ids}
    needed = vocabulary.always() | vocabulary.with_parts(used)
    content, old = vocabulary.cut(vocabulary.filled(needed, len(needed) + more))
    return Tokenizer.from_str(json.dumps(content)), old


SENTENCES = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join)
ODD = st.text(alphabet=string.ascii_lowercase + " ", min_size=1, max_size=12)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40)
@given(texts=st.lists(SENTENCES | ODD, min_size=1, max_size=4), more=st.integers(0, 40))
def test_texts_whose_pieces_are_kept_become_the_same_tokens(kind: str, texts: list[str], more: int) -> None:
    cut, old = cut_for(kind, texts, more)
    for text in texts:
        before, after = made(kind).encode(text), cut.encode(text)
        assert after.tokens == before.tokens
        assert [old[number] for number in after.ids] == before.ids
        assert after.special_tokens_mask == before.special_tokens_mask


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40)
@given(text=SENTENCES | ODD | st.text(max_size=8))
def test_a_text_that_could_be_read_still_can(kind: str, text: str) -> None:
    cut, _ = cut_for(kind, ["card"])
    known, left = made(kind).encode(text), cut.encode(text)
    if "[UNK]" not in known.tokens:
        assert "[UNK]" not in left.tokens
        assert cut.decode(left.ids) == made(kind).decode(known.ids)


@pytest.mark.parametrize("kind", KINDS)
def test_ids_have_no_gaps_and_keep_their_order(kind: str) -> None:
    cut, old = cut_for(kind, ["card payment"])
    assert sorted(cut.get_vocab().values()) == list(range(len(old)))
    assert old == sorted(old)
    assert len(old) < made(kind).get_vocab_size()
    assert all(made(kind).token_to_id(token) == old[number] for token, number in cut.get_vocab().items())


@pytest.mark.parametrize("kind", KINDS)
def test_frequent_pieces_fill_the_room_that_is_left(kind: str) -> None:
    vocabulary = Vocabulary(content_of(kind))
    always = vocabulary.always()
    kept = vocabulary.filled(always, len(always) + 10)
    assert (
        len(always) + 8 <= len(kept) <= len(always) + 10
    )  # a piece of BPE may need more parts than there is room for
    assert kept == vocabulary.with_parts(kept)
    first = next(piece for piece in vocabulary.by_frequency() if piece not in always)
    assert first in kept


def test_merges_are_kept_only_if_their_parts_and_their_result_are() -> None:
    vocabulary = Vocabulary(content_of("BPE of bytes"))
    kept = vocabulary.always() | vocabulary.with_parts(["card"])
    model = vocabulary.cut(kept)[0]["model"]
    assert model["merges"]
    for first, second in model["merges"]:
        assert {first, second, first + second} <= model["vocab"].keys()


def test_a_score_on_which_unknown_characters_depend_is_kept() -> None:
    scored = [["[UNK]", 0.0], ["a", -1.0], ["b", -1.5], ["ab", -9.0], ["ba", -3.0]]
    content = {"added_tokens": [], "model": {"type": "Unigram", "unk_id": 0, "vocab": scored}}
    assert Vocabulary(content).always() == {"[UNK]", "a", "b", "ab"}


def test_pieces_stay_whose_characters_are_no_pieces() -> None:
    scored = [["[UNK]", 0.0], ["a", -1.0], ["qu", -2.0], ["aa", -3.0], ["b", -9.0]]
    content = {"added_tokens": [], "model": {"type": "Unigram", "unk_id": 0, "vocab": scored}}
    assert Vocabulary(content).always() == {"[UNK]", "a", "b", "qu"}


def test_a_vocabulary_of_words_is_refused() -> None:
    with pytest.raises(CheckpointError, match="of the kind WordLevel, whose vocabulary can't be cut"):
        Vocabulary({"model": {"type": "WordLevel", "vocab": {"a": 0}}})


def test_placeholders_come_after_all_other_pieces() -> None:
    numbers = {"[unused0]": 0, "[UNK]": 1, "[unused1]": 2, "a": 3, "##a": 4, "aa": 5}
    model = {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "vocab": numbers}
    order = ["[UNK]", "a", "##a", "aa", "[unused0]", "[unused1]"]
    assert list(Vocabulary({"model": model}).by_frequency()) == order
