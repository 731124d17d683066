"""Long texts give the tokens of the whole text with real tokenizers, though parts of them are not tokenized."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, BertTokenizerFast, GPT2TokenizerFast

from ftool_runtime.bundle.manifest import InputContract
from ftool_runtime.errors import InputError
from ftool_runtime.text import encode, shortening
from ftool_runtime.text.encode import TokenEncoder, Tokens, read_tokenizer

NAMES = ("bert-base-uncased", "bert-base-chinese", "bert-base-multilingual-cased", "gpt2", "t5-small")
# Added tokens that look at their neighbours, or that are found in a text only after it is normalised.
ADDED = ((), ("é", "[X]"), ("中文", "ab"), ("\u00a8", "a\u00a8"), ("new york",), ("\uff21",))
CHARACTERS = "abeé中。,. \n\t\u00a0\u3000\u0301\u00a8\u200b\x00\uff21"
WORDS = (
    "  ",
    "[MASK]",
    "[SEP]",
    "</s>",
    "<|endoftext|>",
    "[X]",
    "中文",
    "new york",
    "the ",
    "你好",
    "😀👩\u200d👩",
)
LONG_WORDS = ("my card has not arrived. ", "unaffordable ", "x" * 1500, "a1" * 800, "é" * 120)
PIECES = st.sampled_from((*CHARACTERS, *WORDS, *LONG_WORDS))
TEXTS = (
    st.lists(PIECES, min_size=1, max_size=120).map("".join).filter(lambda text: bool(text.strip(" \n\t\x00")))
)


@pytest.fixture(scope="module", params=NAMES)
def path(request: pytest.FixtureRequest, shared_data: Path, tmp_path_factory: Any) -> Path:
    folder = shared_data / "tokenizers" / request.param
    kinds: dict[str, Callable[[], Any]] = {
        "gpt2": lambda: GPT2TokenizerFast(str(folder / "vocab.json"), str(folder / "merges.txt")),
        "t5-small": lambda: AutoTokenizer.from_pretrained(folder),
    }
    bert = lambda: BertTokenizerFast(  # noqa: E731
        str(folder / "vocab.txt"), do_lower_case="uncased" in folder.name
    )
    written: Path = tmp_path_factory.mktemp(request.param)
    kinds.get(request.param, bert)().save_pretrained(written)
    return written / "tokenizer.json"


@cache
def encoder(path: Path, side: str, added: tuple[str, ...]) -> TokenEncoder:
    tokenizer = read_tokenizer(path)
    tokenizer.add_tokens(list(added))
    contract = InputContract(
        names=("input_ids", "token_type_ids"),
        max_length=16,
        truncation_side=side,
        prefix="on: ",
        split_special_tokens=not added,
    )
    return TokenEncoder(tokenizer, contract)


def tokens(encoder: TokenEncoder, text: str) -> Tokens | str:
    try:
        return encoder.encode(text, 0)
    except InputError as error:
        return str(error)


@settings(max_examples=80)
@given(text=TEXTS, side=st.sampled_from(["right", "left"]), added=st.sampled_from(ADDED))
@example(text="e" * 5000, side="right", added=("é",))
@example(text="a \u0308 " * 60, side="right", added=("a\u00a8",))
@example(text="中文 " * 200, side="left", added=("中文", "ab"))
def test_the_tokens_are_those_of_the_whole_text(
    path: Path, text: str, side: str, added: tuple[str, ...]
) -> None:
    made = encoder(path, side, added)
    whole = tokens(made, text)
    with mock.patch.object(encode, "LONG", 40), mock.patch.object(shortening, "LONG", 40):
        assert tokens(made, text) == whole


def test_berts_tokenizers_read_a_part_of_a_long_text(path: Path) -> None:
    parts = list(shortening.Shortener(read_tokenizer(path), "right").parts("a b " * shortening.LONG))
    assert len(parts) == (3 if "bert" in str(path.parent.name) else 1)
