"""Windows equal those of transformers for various tokenizers and texts; offsets refer to the text as given."""

from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, BertTokenizerFast, GPT2TokenizerFast

from ftool_runtime.bundle.manifest import InputContract
from ftool_runtime.errors import BundleError, InputError
from ftool_runtime.text.encode import read_tokenizer
from ftool_runtime.text.windows import Window, WindowEncoder

MAX_LENGTH, STRIDE = 24, 5
ALPHABET = "ab ceé e\u0301\t\n你好中文字。日本 שלום עולם 😀👩\u200d👩\u200d👧 ﬁ ﷺ .,'\"-123 Ünïcode \u200b the was kwa"
TEXTS = st.text(alphabet=ALPHABET, min_size=1, max_size=160).filter(lambda text: bool(text.strip()))
QUESTIONS = st.text(alphabet=ALPHABET, min_size=1, max_size=12).filter(lambda text: bool(text.strip()))
NAMES = ("bert-base-uncased", "bert-base-chinese", "bert-base-multilingual-cased", "gpt2", "t5-small")

Made = tuple[Any, Path]  # transformers' tokenizer, and tokenizer.json


@pytest.fixture(scope="module", params=NAMES)
def tokenizer(request: pytest.FixtureRequest, shared_data: Path, tmp_path_factory: Any) -> Made:
    folder = shared_data / "tokenizers" / request.param
    kinds: dict[str, Callable[[], Any]] = {
        "gpt2": lambda: GPT2TokenizerFast(str(folder / "vocab.json"), str(folder / "merges.txt")),
        "t5-small": lambda: AutoTokenizer.from_pretrained(folder),
    }
    bert = lambda: BertTokenizerFast(  # noqa: E731
        str(folder / "vocab.txt"), do_lower_case="uncased" in folder.name
    )
    made = kinds.get(request.param, bert)()
    written = tmp_path_factory.mktemp(request.param)
    made.save_pretrained(written)
    return made, written / "tokenizer.json"


@cache
def encoder(path: Path, *, with_question: bool, prefix: str = "", stride: int = STRIDE) -> WindowEncoder:
    contract = InputContract(
        names=("input_ids", "attention_mask", "token_type_ids"), max_length=MAX_LENGTH, prefix=prefix
    )
    return WindowEncoder(read_tokenizer(path), contract, stride, with_question=with_question)


def in_transformers(tokenizer: Any, *texts: str, truncation: str) -> Any:
    return tokenizer(
        *texts,
        truncation=truncation,
        max_length=MAX_LENGTH,
        stride=STRIDE,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        return_token_type_ids=True,
    )


def assert_same(windows: list[Window], expected: Any, sequence: int) -> None:
    assert [window.tokens.ids for window in windows] == expected["input_ids"]
    assert [window.tokens.type_ids for window in windows] == expected["token_type_ids"]
    for number, window in enumerate(windows):
        of_text = [place for place, which in enumerate(expected.sequence_ids(number)) if which == sequence]
        assert list(window.text_positions) == of_text
        for place, pair in enumerate(expected["offset_mapping"][number]):
            assert window.offsets[place] == (pair if place in window.text_positions else (0, 0))


@settings(max_examples=60)
@given(question=QUESTIONS, text=TEXTS)
@example(question="Who?", text="one\ttwo café café 你好 😀😀 " * 12)
def test_windows_beside_a_question_are_those_of_transformers(
    tokenizer: Made, question: str, text: str
) -> None:
    taken = len(tokenizer[0](question, add_special_tokens=False)["input_ids"])
    if MAX_LENGTH - tokenizer[0].num_special_tokens_to_add(pair=True) - taken <= STRIDE:
        return  # refused, see below
    if not tokenizer[0](text, add_special_tokens=False)["input_ids"]:
        return  # also refused
    windows = encoder(tokenizer[1], with_question=True).windows(text, 0, question=question)
    assert_same(windows, in_transformers(tokenizer[0], question, text, truncation="only_second"), 1)


@settings(max_examples=60)
@given(text=TEXTS)
def test_windows_of_a_text_alone_are_those_of_transformers(tokenizer: Made, text: str) -> None:
    if not tokenizer[0](text, add_special_tokens=False)["input_ids"]:
        return
    windows = encoder(tokenizer[1], with_question=False).windows(text, 0)
    assert_same(windows, in_transformers(tokenizer[0], text, truncation="only_first"), 0)


@settings(max_examples=60)
@given(text=TEXTS)
@example(text="one\ttwo café café 你好 😀😀 " * 12)
def test_offsets_behind_a_prefix_are_those_of_the_text_as_given(tokenizer: Made, text: str) -> None:
    """They are the offsets of prefix and text together, less the prefix."""
    prefix = "query: "
    if not tokenizer[0](text, add_special_tokens=False)["input_ids"]:
        return
    whole = in_transformers(tokenizer[0], prefix + text, truncation="only_first")
    windows = encoder(tokenizer[1], with_question=False, prefix=prefix).windows(text, 0)
    assert [window.tokens.ids for window in windows] == whole["input_ids"]
    for number, window in enumerate(windows):
        for place, (start, end) in enumerate(whole["offset_mapping"][number]):
            inside = end > len(prefix)
            expected = (max(start - len(prefix), 0), end - len(prefix)) if inside else (0, 0)
            assert (place in window.text_positions) == inside
            assert window.offsets[place] == expected


def test_windows_overlap_by_the_stride_and_reach_the_end(tokenizer: Made) -> None:
    text = "der Mann the man was here 123 中文文字. " * 20 + "end"
    windows = encoder(tokenizer[1], with_question=True).windows(text, 0, question="who")
    assert len(windows) > 3
    parts = [[w.offsets[place] for place in w.text_positions] for w in windows]
    for before, after in pairwise(parts):
        assert before[-STRIDE:] == after[:STRIDE]
    assert parts[-1][-1][1] == len(text)


def test_a_question_that_leaves_no_room_is_refused(tokenizer: Made) -> None:
    windows = encoder(tokenizer[1], with_question=True)
    with pytest.raises(InputError, match=r"question 7 has .* tokens; at most \d+ fit with a context") as info:
        windows.windows("the man", 7, question="is it " * 40)
    assert info.value.row == 7
    for words in range(1, 24):  # at the border too, never a panic
        try:
            assert windows.windows("the man was here " * 9, 0, question="it " * words)
        except InputError:
            assert words > 10


@pytest.mark.parametrize(
    ("question", "context", "problem"),
    [
        ("", "a", "question 2 is empty"),
        ("a", " \t", "context 2 is empty"),
        ("a", None, "context 2 must be a string, got NoneType"),
        ("a", "\ud83d", "context 2 is not valid Unicode: it holds a lone surrogate"),
    ],
)
def test_what_is_no_text_is_refused(tokenizer: Made, question: Any, context: Any, problem: str) -> None:
    with pytest.raises(InputError, match=f"^{problem}$"):
        encoder(tokenizer[1], with_question=True).windows(context, 2, question=question)


def test_a_context_without_a_token_is_refused(tokenizer: Made) -> None:
    if tokenizer[0]("\u200b", add_special_tokens=False)["input_ids"]:
        pytest.skip("this tokenizer makes a token of everything")
    with pytest.raises(InputError, match="context 1 holds nothing that the model's tokenizer can read"):
        encoder(tokenizer[1], with_question=True).windows("\u200b", 1, question="who")


def test_a_stride_that_no_window_holds_is_refused(tokenizer: Made) -> None:
    with pytest.raises(BundleError, match="a stride of 24 tokens needs a larger"):
        encoder(tokenizer[1], with_question=True, stride=MAX_LENGTH)
