"""Very long texts: the parts that can't matter are not tokenized, and the tokens are the same."""

import random
from typing import Any

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from ftool_runtime.bundle.contracts import InputContract
from ftool_runtime.text import encode, shortening
from ftool_runtime.text.encode import TokenEncoder
from ftool_runtime.text.shortening import LONG, Shortener

VOCABULARY = (
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "a",
    "##a",
    "b",
    "##b",
    "e",
    "##e",
    ",",
    "1",
    "##1",
)
MAX_LENGTH = 32


def tokenizer(**parts: Any) -> Tokenizer:
    made = Tokenizer(models.WordPiece({one: at for at, one in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    made.normalizer = parts.get("normalizer", normalizers.BertNormalizer())
    made.pre_tokenizer = parts.get("splitter", pre_tokenizers.BertPreTokenizer())
    made.add_special_tokens(["[MASK]", "[CLS]", "[SEP]"])
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return made


def tokens(made: Tokenizer, side: str, text: str) -> Any:
    contract = InputContract(names=("input_ids",), max_length=MAX_LENGTH, truncation_side=side, prefix="a: ")
    return TokenEncoder(made, contract).encode(text, 0)


def shorten_from(characters: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (shortening, encode):
        monkeypatch.setattr(module, "LONG", characters)


def texts() -> list[str]:
    random.seed(5)
    pieces = (
        "a",
        "ab",
        "bé",
        "e\u0301",
        "[MASK]",
        "b" * 5000,
        "a1" * 700,
        ",,",
        "\u00a0",
        "中",
        "\x00",
        "\u3000a",
        "?",
    )
    spaces = (" ", "\n", "\t", "  \n", " \u0301")
    made = ["".join(random.choice(pieces) + random.choice(spaces) for _ in range(300)) for _ in range(12)]
    return [
        *made,
        "b" * 9000,
        " " * 9000 + "a b",
        "a b" + " " * 9000,
        "a " * 5000,
        "\x00 " * 4000 + "a",
        "a " + "," * 9000,
        "ab " * 14 + "a" * 5000 + " b" * 14,
        "," * 40 + "[MASK]" + "b" * 5000 + "[MASK]" + "," * 40,
    ]


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("splitter", ["BertPreTokenizer", "Whitespace", "WhitespaceSplit", "Metaspace"])
@pytest.mark.parametrize("normalizer", ["BertNormalizer", "NFC", "NFKD", "StripAccents", "Lowercase"])
def test_the_tokens_are_those_of_the_whole_text(
    monkeypatch: pytest.MonkeyPatch, side: str, splitter: str, normalizer: str
) -> None:
    parts = {
        "normalizer": getattr(normalizers, normalizer)(),
        "splitter": getattr(pre_tokenizers, splitter)(),
    }
    made = tokenizer(**parts)
    given = texts()
    expected = [tokens(made, side, text) for text in given]
    shorten_from(400, monkeypatch)
    assert [tokens(made, side, text) for text in given] == expected


def test_a_part_is_enough_where_words_are_read_one_by_one() -> None:
    text = "a b " * LONG
    for side in ("right", "left"):
        part = next(Shortener(tokenizer(), side).parts(text))
        assert LONG // 8 < len(part) < LONG // 3
        assert text.startswith(part) if side == "right" else text.endswith(part)
    assert next(Shortener(tokenizer(), "right").parts("x" * 10 * LONG)) == "x" * 1000
    assert next(Shortener(tokenizer(), "right").parts("a")) == "a"


def test_where_words_depend_on_each_other_the_text_is_read_whole() -> None:
    text = "a b " * LONG
    with_space = tokenizer()
    with_space.add_tokens(["a b"])
    others = (
        with_space,
        tokenizer(splitter=pre_tokenizers.ByteLevel()),
        tokenizer(normalizer=normalizers.Strip()),
    )
    for made in others:
        assert list(Shortener(made, "right").parts(text)) == [text]
    for inside in ("xx", "\u1e8b"):  # x with a dot, which the normaliser takes away
        in_words = tokenizer()
        in_words.add_tokens([inside])
        assert next(Shortener(in_words, "right").parts("x" * LONG)) == "x" * LONG
