"""Texts with exactly n tokens."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.onnx_writer import ONNX_WRITER
from tests.helpers.tiny_generators import LIMIT, SOURCE_LIMIT, write_generator
from tests.helpers.tiny_models import TinyModels

import ftool_runtime as ft
from ftool.bench.lengths import check_lengths, exact_text, exact_texts
from ftool.errors import BenchError

WORDS = st.lists(st.text("abc", min_size=1, max_size=12), min_size=1, max_size=30)


@given(WORDS, st.integers(3, 60))
def test_a_text_of_every_length_can_be_made_if_words_can_be_cut(words: list[str], length: int) -> None:
    def count(text: str) -> int:  # two special tokens, and a token for each three letters
        return 2 + sum(-(-len(word) // 3) for word in text.split())

    text = exact_text(lambda i: words[i % len(words)], length, count)
    assert text is not None
    assert count(text) == length
    assert text.split()[:-1] == [words[i % len(words)] for i in range(len(text.split()) - 1)]


def test_a_whole_word_is_taken_before_a_cut_one() -> None:
    words = ["one", "seven", "three"]
    assert exact_text(lambda i: words[i % 3], 8, lambda text: len(text.replace(" ", ""))) == "one seven"
    assert exact_text(lambda i: words[i % 3], 6, lambda text: len(text.replace(" ", ""))) == "one one"
    assert exact_text(lambda i: words[i % 3], 7, lambda text: len(text.replace(" ", ""))) == "one seve"


def test_words_without_tokens_give_no_text() -> None:
    assert exact_text(lambda _: "x", 5, lambda _: 2) is None


def tokens(bundle: Path, texts: list[Any]) -> set[int]:
    with ft.load(bundle, threads=1) as model:
        rows = model.encode(texts)
    assert all(len(row) == 1 and not row[0].truncated for row in rows)
    return {len(row[0].ids) for row in rows}


@pytest.mark.parametrize(
    ("task", "given", "lengths"),
    [
        ("text-classification", ["please tell me about the rain", "song and band", "  "], (3, 8, 31, 32)),
        ("feature-extraction", ["tell me about some more bread"], (3, 20)),
        (
            "question-answering",
            [
                {"question": "tell me " * 9, "context": "rain"},
                {"question": "about rain", "context": "sun and wind"},
            ],
            (7, 24),
        ),
    ],
)
def test_texts_have_exactly_as_many_tokens_as_the_model_reads(
    exported: TinyModels, task: str, given: list[Any], lengths: tuple[int, ...]
) -> None:
    bundle = exported[task] / "bundle"
    found = exact_texts(bundle, given, lengths, 4)
    for length in lengths:
        assert len(found[length]) == 4
        assert tokens(bundle, found[length]) == {length}


def test_questions_stay_whole(exported: TinyModels) -> None:
    given = [{"question": "about rain", "context": "sun and wind"}]
    [found] = exact_texts(exported["question-answering"] / "bundle", given, [20], 1)[20]
    assert found["question"] == "about rain"  # type: ignore[index]
    assert found["context"].startswith("sun and wind sun and wind")  # type: ignore[index]


def test_a_source_is_as_long_as_the_encoder_reads(tmp_path: Path) -> None:
    bundle = tmp_path / "encoder-decoder"
    write_generator(bundle, ONNX_WRITER, source=True, caches="in_place")
    found = exact_texts(bundle, ["turn the lights off", "stop ."], [2, SOURCE_LIMIT], 3)
    assert [tokens(bundle, texts) for texts in found.values()] == [{2}, {SOURCE_LIMIT}]


def test_a_prompt_leaves_room_for_a_token(tmp_path: Path) -> None:
    bundle = tmp_path / "decoder"
    write_generator(bundle, ONNX_WRITER, source=False, caches="in_place")
    found = exact_texts(bundle, ["the end of a text"], [LIMIT - 1], 2)
    with ft.TextGenerator.load(bundle, threads=1) as model:
        assert all(len(model(text).token_ids) == 1 for text in found[LIMIT - 1] if isinstance(text, str))
    message = f"at most {LIMIT - 1} tokens, so that texts of {LIMIT}, 99 tokens can't be timed"
    with pytest.raises(BenchError, match=re.escape(message)):
        check_lengths(bundle, [4, LIMIT, 99])


@pytest.mark.parametrize(
    ("given", "length", "message"),
    [
        (["rain"], 33, r"reads at most 32 tokens, so that texts of 33 tokens .* give lengths up to 32"),
        (["rain"], 2, "no text of exactly 2 tokens can be made"),
        (["", " \n"], 8, "no text of exactly 8 tokens can be made"),
        ([[{"role": "user", "content": "rain"}]], 8, "conversations, which can't be cut"),
    ],
)
def test_texts_that_can_not_be_made_are_refused(
    exported: TinyModels, given: list[Any], length: int, message: str
) -> None:
    with pytest.raises(BenchError, match=message):
        exact_texts(exported["text-classification"] / "bundle", given, [length], 1)
