"""From tags of tokens to entities: aggregation, positions in the given text, merged windows, and tags of words."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from ftool_runtime.bundle.manifest import InputContract
from ftool_runtime.numerics import softmax
from ftool_runtime.postprocessing.entities import (
    Aggregation,
    Entity,
    TokenScores,
    find_entities,
    first_tokens,
    tags_of_words,
)
from ftool_runtime.postprocessing.tag_names import begins, split_tag
from ftool_runtime.postprocessing.window_stitching import shared_tokens, stitch
from ftool_runtime.text.encode import Tokens, read_tokenizer
from ftool_runtime.text.windows import Window, WindowEncoder
from ftool_runtime.text.words import join_words, split_words

LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


def scores(*tags: str, sure: float = 4.0) -> NDArray[np.float64]:
    """Probabilities (tokens, labels) that prefer these tags."""
    logits = np.zeros((len(tags), len(LABELS)), np.float32)
    logits[range(len(tags)), [LABELS.index(tag) for tag in tags]] = sure
    return softmax(logits)


def found(
    text: str, offsets: Sequence[tuple[int, int]], tags: Sequence[str], aggregation: Aggregation = "first"
) -> list[tuple[str, str]]:
    entities = find_entities(text, TokenScores(offsets, scores(*tags)), LABELS, aggregation)
    assert all(entity.text == text[entity.start : entity.end] for entity in entities)
    return [(entity.text, entity.label) for entity in entities]


# --- words -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("José lives in Nairobi, Kenya's capital.", "José|lives|in|Nairobi|,|Kenya|'|s|capital|."),
        ("Jose\u0301 (e)", "Jose\u0301|(|e|)"),
        ("东京tower", "东|京|tower"),
        ("カタ", "カ|タ"),
        ("नमस्ते दुनिया", "नमस्ते|दुनिया"),
        ("ที่นี่", "ที่|นี่"),
        ("👩‍👩‍👧❤️Kenya🇰🇪 👍🏽", "👩‍👩‍👧❤️|Kenya|🇰🇪|👍🏽"),
        ("\ufeffa\u200bb\tc\u3000d\u00a0e", "a|b|c|d|e"),
        ("مرحبا بالعالم", "مرحبا|بالعالم"),
        ("(see https://a.example/Nairobi_x?y=1&z).", "(|see|https://a.example/Nairobi_x?y=1&z|)|."),
        ("www.a.example, 看http://b.example吧", "www.a.example|,|看|http://b.example|吧"),
        ("éa://b c:// x", "é|a://b|c|:|/|/|x"),
        ("نمی\u200cخواهم", "نمی\u200cخواهم"),  # the non-joiner stands inside a Persian word
    ],
)
def test_words_are_runs_of_letters_and_every_other_character_is_a_word_of_its_own(
    text: str, words: str
) -> None:
    assert [text[start:end] for start, end in split_words(text)] == words.split("|")


@given(st.text() | st.text(alphabet="ahw.:/é 看\u0301,)"))
def test_words_cover_all_but_spaces_and_never_overlap(text: str) -> None:
    end = 0
    for first, last in split_words(text):
        assert end <= first < last
        end = last
    covered = {place for first, last in split_words(text) for place in range(first, last)}
    assert all(place in covered for place, character in enumerate(text) if character.isalnum())


# --- aggregation -----------------------------------------------------------------------------------------------------


def test_an_entity_of_several_words_is_one() -> None:
    text = "Ann Lee saw Rome"
    offsets = [(0, 3), (4, 7), (8, 11), (12, 16)]
    assert found(text, offsets, ["B-PER", "I-PER", "O", "B-LOC"]) == [("Ann Lee", "PER"), ("Rome", "LOC")]


def test_neighbours_that_both_begin_stay_two() -> None:
    assert found("Ann Lee", [(0, 3), (4, 7)], ["B-PER", "B-PER"]) == [("Ann", "PER"), ("Lee", "PER")]


def test_an_inside_tag_after_nothing_or_another_kind_begins_an_entity() -> None:
    assert found("Ann Rome", [(0, 3), (4, 8)], ["I-PER", "I-LOC"]) == [("Ann", "PER"), ("Rome", "LOC")]


def test_a_word_has_the_tag_that_the_aggregation_chooses() -> None:
    text, offsets = "Nairobi", [(0, 3), (3, 5), (5, 7)]
    logits = np.array([[0, 2, 0, 0, 0], [0, 0, 0, 1.9, 0], [9, 0, 0, 0, 0]], np.float32)
    tokens = TokenScores(offsets, softmax(logits))
    answers = {how: find_entities(text, tokens, LABELS, how) for how in ("first", "average", "max", "simple")}
    assert [(e.text, e.label) for e in answers["first"]] == [("Nairobi", "PER")]
    assert answers["average"] == answers["max"] == []  # "O" has the largest mean, and the surest token
    assert [(e.text, e.label) for e in answers["simple"]] == [("Nai", "PER"), ("ro", "LOC")]


def test_without_aggregation_every_token_has_its_own_tag() -> None:
    assert found("Nairobi", [(0, 3), (3, 7)], ["B-LOC", "I-LOC"], "none") == [
        ("Nai", "B-LOC"),
        ("robi", "I-LOC"),
    ]


def test_the_score_is_the_mean_of_the_words() -> None:
    logits = np.array([[0, 3, 0, 0, 0], [0, 0, 1, 0, 0]], np.float32)
    tokens = TokenScores([(0, 3), (4, 7)], softmax(logits))
    (entity,) = find_entities("Ann Lee", tokens, LABELS, "first")
    expected = (np.exp(3) / (np.exp(3) + 4) + np.exp(1) / (np.exp(1) + 4)) / 2
    assert entity.score == pytest.approx(expected)


def test_other_schemes_of_tags_are_read_too() -> None:
    labels = ("O", "B-X", "I-X", "L-X", "U-X")
    logits = np.eye(5, dtype=np.float32)[[1, 2, 3, 4, 4]] * 5
    tokens = TokenScores([(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)], softmax(logits))
    assert [entity.text for entity in find_entities("a b c d e", tokens, labels, "simple")] == [
        "a b c",
        "d",
        "e",
    ]


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("B-creative-work", ("B", "creative-work")),
        ("I_per", ("I", "per")),
        ("O", ("O", "")),
        ("NOUN", ("I", "NOUN")),
    ],
)
def test_tags_are_prefix_and_kind(tag: str, expected: tuple[str, str]) -> None:
    assert split_tag(tag) == expected


def test_where_an_entity_begins_is_what_conlleval_says() -> None:
    assert begins("O", "I-a")
    assert begins("I-a", "B-a")
    assert begins("I-a", "I-b")
    assert begins("E-a", "I-a")
    assert not begins("B-a", "I-a")
    assert not begins("B-a", "O")


# --- places in the text as given -------------------------------------------------------------------------------------


def test_spaces_that_a_tokenizer_counts_as_its_own_are_in_no_entity() -> None:
    text = "to\tNairobi  now"
    assert found(text, [(0, 2), (2, 10), (10, 15)], ["O", "B-LOC", "O"]) == [("Nairobi", "LOC")]


def test_marks_that_a_tokenizer_dropped_belong_to_the_entity() -> None:
    assert found("Jose\u0301 ran", [(0, 4), (6, 9)], ["B-PER", "O"]) == [("Jose\u0301", "PER")]


def test_a_mark_with_a_token_of_its_own_keeps_entities_apart() -> None:
    entities = found("e\u0301", [(0, 1), (1, 2)], ["B-PER", "B-LOC"], "simple")
    assert entities == [("e", "PER"), ("\u0301", "LOC")]


def test_several_tokens_of_one_character_are_one() -> None:
    text = "🇰🇪 ok"  # byte-level tokenizers give a flag four tokens or more
    offsets = [(0, 1), (0, 1), (1, 2), (1, 2), (2, 5)]
    for aggregation in ("simple", "first"):
        assert found(text, offsets, ["B-LOC", "O", "I-LOC", "O", "O"], aggregation) == [("🇰🇪", "LOC")]


def test_a_token_may_hold_several_chinese_words() -> None:
    assert found("去东京玩", [(0, 1), (1, 3), (3, 4)], ["O", "B-LOC", "O"]) == [("东京", "LOC")]


def character_tokenizer(path: Path, text: str, normalizer: normalizers.Normalizer) -> Path:
    """A tokenizer of single characters behind a normalizer that changes lengths, saved as tokenizer.json."""
    characters = sorted({*"".join(map(normalizer.normalize_str, [text])), *"abcdefghijklmnopqrstuvwxyz"})
    vocabulary = {
        token: index for index, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *characters])
    }
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save(str(path))
    return path


@pytest.mark.parametrize(
    ("text", "entity"),
    [
        ("Ich sah ＮＡＩＲＯＢＩ heute", "ＮＡＩＲＯＢＩ"),
        ("die ﬁrma Großköln AG", "Großköln"),
        ("\tin\u00a0Malmo\u0308 👩‍👩‍👧!", "Malmo\u0308"),
        ("价格㎏东京 ok", "东京"),
        ("İstanbul'da", "İstanbul"),  # lower-cased it is a character longer
        ("بيروت كبيرة", "بيروت"),
    ],
)
@pytest.mark.parametrize("form", ["NFKC", "NFD", "strip"])
def test_entities_have_their_places_in_the_given_text_whatever_the_tokenizer_changes(
    tmp_path: Path, text: str, entity: str, form: str
) -> None:
    steps = {
        "NFKC": [normalizers.NFKC(), normalizers.Lowercase()],
        "NFD": [normalizers.NFD(), normalizers.Lowercase()],
        "strip": [normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase()],
    }
    path = character_tokenizer(tmp_path / "tokenizer.json", text, normalizers.Sequence(steps[form]))
    encoder = WindowEncoder(read_tokenizer(path), InputContract(names=("input_ids",), max_length=64), 8)
    windows = encoder.windows(text, 0)
    start = text.index(entity)
    outputs = [logits_of_span(window, start, start + len(entity)) for window in windows]
    answers = find_entities(text, stitch(text, windows, outputs, LABELS), LABELS, "first")
    assert [(answer.text, answer.start) for answer in answers] == [(entity, start)]


def logits_of_span(window: Window, start: int, end: int) -> NDArray[np.float32]:
    """Logits (tokens, labels) of a model that knows where one place is."""
    logits = np.zeros((len(window.offsets), len(LABELS)), np.float32)
    for position in window.text_positions:
        first, last = window.offsets[position]
        tag = "O" if last <= start or first >= end else "B-LOC" if first <= start else "I-LOC"
        logits[position, LABELS.index(tag)] = 5
    return logits


# --- windows ---------------------------------------------------------------------------------------------------------


def windows_of(count: int, size: int, stride: int) -> list[Window]:
    """Windows over a text of one-letter words, `count` of them with a space behind each."""
    offsets = [(2 * index, 2 * index + 1) for index in range(count)]
    windows = []
    for first in range(0, max(count - stride, 1), size - stride):
        own = offsets[first : first + size]
        ids = [0] * (len(own) + 2)
        windows.append(Window(Tokens(ids, None, False), [(0, 0), *own, (0, 0)], range(1, len(own) + 1)))
        if first + size >= count:
            break
    return windows


def logits_of_tags(window: Window, tags: Sequence[str]) -> NDArray[np.float32]:
    """Logits that give each one-letter word its tag; those of special tokens match no tag."""
    logits = np.full((len(window.offsets), len(LABELS)), 50, np.float32)
    for position in window.text_positions:
        logits[position] = 0
        logits[position, LABELS.index(tags[window.offsets[position][0] // 2])] = 5
    return logits


@given(st.lists(st.sampled_from(LABELS), min_size=1, max_size=60), st.integers(4, 12), st.integers(0, 3))
def test_windows_that_agree_are_the_text_in_one_piece(tags: list[str], size: int, stride: int) -> None:
    text = "x " * len(tags)
    windows = windows_of(len(tags), size, stride)
    joined = stitch(text, windows, [logits_of_tags(window, tags) for window in windows], LABELS)
    (whole,) = windows_of(len(tags), len(tags), 0)
    alone = stitch(text, [whole], [logits_of_tags(whole, tags)], LABELS)
    assert list(joined.offsets) == list(alone.offsets)
    np.testing.assert_array_equal(joined.probabilities, alone.probabilities)


def test_an_entity_that_a_window_cut_off_is_taken_whole_from_the_next() -> None:
    text = "x " * 12
    first, second = windows_of(12, 8, 4)  # words 0 to 7, and 4 to 11
    before = (
        ["O"] * 6 + ["B-PER", "O"] + ["O"] * 4
    )  # sees an entity's first word at its end, and stops too early
    after = ["O"] * 6 + ["B-PER", "I-PER", "I-PER"] + ["O"] * 3
    joined = stitch(
        text, [first, second], [logits_of_tags(first, before), logits_of_tags(second, after)], LABELS
    )
    (entity,) = find_entities(text, joined, LABELS, "first")
    assert (entity.start, entity.end) == (12, 17)


def test_an_entity_whose_beginning_a_window_lacks_is_taken_whole_from_the_one_before() -> None:
    text = "x " * 12
    first, second = windows_of(12, 8, 4)
    before = ["O"] * 3 + ["B-PER"] + ["I-PER"] * 3 + ["O"] * 5
    after = ["O"] * 12
    joined = stitch(
        text, [first, second], [logits_of_tags(first, before), logits_of_tags(second, after)], LABELS
    )
    (entity,) = find_entities(text, joined, LABELS, "first")
    assert (entity.start, entity.end) == (6, 13)


def test_an_entity_in_the_overlap_is_found_once() -> None:
    text = "x " * 12
    first, second = windows_of(12, 8, 4)
    tags = ["O"] * 5 + ["B-PER", "I-PER"] + ["O"] * 5
    joined = stitch(text, [first, second], [logits_of_tags(one, tags) for one in (first, second)], LABELS)
    assert len(find_entities(text, joined, LABELS, "first")) == 1


def test_shared_tokens_are_counted_by_their_places() -> None:
    assert shared_tokens([(0, 1), (1, 2), (2, 3)], [(1, 2), (2, 3), (3, 4)]) == 2
    assert shared_tokens([(0, 1)], [(1, 2)]) == 0
    assert shared_tokens([(0, 1), (0, 1)], [(0, 1), (0, 1), (1, 2)]) == 2


# --- words that are given --------------------------------------------------------------------------------------------


def test_tags_of_words_are_iob2() -> None:
    words = join_words(["Ann", "Lee", "saw", "Rome", "Oslo"])[1]
    entities = [Entity("", "PER", 0, 7, 1), Entity("", "LOC", 12, 16, 1), Entity("", "LOC", 17, 21, 1)]
    assert tags_of_words(words, entities) == ["B-PER", "I-PER", "O", "B-LOC", "B-LOC"]


def test_a_dropped_word_within_an_entity_is_within_it() -> None:
    words = join_words(["a", "\u200b", "b", "\u200b"])[1]
    assert tags_of_words(words, [Entity("", "X", 0, 5, 1)]) == ["B-X", "I-X", "I-X", "O"]


def test_the_first_token_of_a_word_counts_for_it() -> None:
    text, words = join_words(["Nairobi", "\u200b", "ok", "."])
    assert first_tokens(text, [(0, 3), (3, 7), (9, 12), (13, 14)], words) == [0, None, 2, 3]


def test_a_token_counts_for_only_one_word() -> None:
    assert first_tokens("东京", [(0, 2)], [(0, 1), (1, 2)]) == [0, None]
