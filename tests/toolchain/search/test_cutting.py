"""Documents are split into passages: boundaries, lengths, and no lost text."""

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from ftool.search.chunks import CutSettings, DocumentCutter
from ftool.search.tokens import TokenizerCounter, WordCounter
from ftool.search.types import CutPassage, Heading, Piece, Title
from ftool_runtime.errors import InputError


def cut(pieces: Iterable[Piece], tokens: int = 16, overlap: int = 4) -> list[CutPassage]:
    return list(DocumentCutter(WordCounter(), CutSettings(tokens=tokens, overlap=overlap)).passages(pieces))


def texts(*pieces: Piece, tokens: int = 16, overlap: int = 0) -> list[str]:
    return [passage.text for passage in cut(pieces, tokens, overlap)]


def test_paragraphs_stay_whole() -> None:
    paragraphs = [
        "one two three four five six.",
        "seven eight nine ten.",
        "and so on and on.",
    ]  # 7, 5 and 6 tokens
    assert texts("\n\n".join(paragraphs)) == ["\n\n".join(paragraphs[:2]), paragraphs[2]]


def test_a_paragraph_that_fits_in_one_passage_is_not_split() -> None:
    first, second = "one two three four five six. a b.", "A b c. D e f. G h."
    assert texts(f"{first}\n\n{second}") == [first, second]


def test_long_paragraphs_are_cut_between_sentences() -> None:
    sentences = ["One two three four five six.", "And seven, seven, e.g. this.", "Done, and done."]
    assert texts(" ".join(sentences)) == [sentences[0], " ".join(sentences[1:])]  # 7, and 9 and 4 tokens


def test_chinese_is_cut_between_sentences() -> None:
    sentences = ["我们保存消息三十天。", "账户会一直保留！", "「您可以随时删除。」", "结束。"]  # 10, 8, 10, 3
    assert texts("".join(sentences)) == [sentences[0], sentences[1], "".join(sentences[2:])]


def test_sentences_too_long_are_cut_between_words() -> None:
    parts = texts(" ".join(f"w{n}" for n in range(50)))
    assert [len(part.split()) for part in parts] == [16, 16, 16, 2]


def test_words_too_long_are_cut_anywhere() -> None:
    assert "".join(texts("x" * 1000)) == "x" * 1000


def test_passages_overlap_in_whole_sentences() -> None:
    text = "One one one one. Two two. Three three three three three. Four four four four. Five five."
    passages = cut([text], overlap=6)
    shared = [one.start + len(one.text) - other.start for one, other in pairwise(passages)]
    for (one, other), length in zip(pairwise(passages), shared, strict=True):
        assert other.text[:length] == one.text[len(one.text) - length :]
        assert one.text[-length - 1] == " "  # the overlap starts at a sentence
    assert shared == [len("Three three three three three.")]


def test_sections_start_passages_and_headings_are_recorded() -> None:
    pieces: list[Piece] = [Title("Page"), Heading(1, "A"), "A", "\n\n", Heading(2, "B"), "B", "\n\nText."]
    pieces += ["\n\n", Heading(2, "C"), "C", "\n\nMore."]
    assert [(p.text, p.heading) for p in cut(pieces)] == [
        ("A\n\nB\n\nText.", "Page > A > B"),
        ("C\n\nMore.", "Page > A > C"),
    ]


def test_the_embedded_text_has_each_heading_once() -> None:
    pieces: list[Piece] = [Heading(1, "A"), "A", "\n\n", Heading(2, "C"), "C", "\n\nMore."]
    passage = CutPassage(start=0, text="C\n\nMore.", gap="", heading="A > C")
    assert passage.embedded == "A\nC\n\nMore."
    assert cut(pieces)[0].heading == "A > C"


TEXT = st.text(alphabet="ab .!?\n\t,中。é\u0301", max_size=400)


@given(TEXT, st.integers(16, 40), st.integers(0, 8), st.integers(1, 50))
def test_nothing_of_a_document_is_lost(text: str, tokens: int, overlap: int, size: int) -> None:
    """Passages and the white space between them make up the document; none exceeds its limit."""
    cutter = DocumentCutter(WordCounter(), CutSettings(tokens=tokens, overlap=overlap))
    passages = list(cutter.passages(text[at : at + size] for at in range(0, len(text), size)))
    rebuilt, reached = "", 0
    for passage in passages:
        assert text[passage.start : passage.start + len(passage.text)] == passage.text
        assert len(WordCounter().starts([passage.text])[0]) <= tokens
        assert passage.text == passage.text.strip()
        rebuilt += passage.gap + passage.text[max(0, reached - passage.start) :]
        reached = passage.start + len(passage.text)
    assert rebuilt + cutter.tail == text
    assert cutter.characters == len(text)


@given(st.integers(1, 300))
def test_the_pieces_of_a_document_hardly_matter(size: int) -> None:
    """A long document in pieces is split as in one piece, except near the ends of blocks."""
    text = "\n\n".join(f"Paragraph {n} of the text. It has two sentences." for n in range(40))
    parted = cut(text[at : at + size] for at in range(0, len(text), size))
    assert parted == cut([text])


def test_tokens_are_counted_with_the_tokenizer(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.enable_truncation(2)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    counter = TokenizerCounter(tmp_path / "tokenizer.json")
    assert counter.starts(["a 中 a a", ""]) == [[0, 2, 4, 6], []]  # characters, not bytes, and no truncation
    assert counter.starts(["x" * 60]) == [[0, 24, 48]]  # one unknown token of any length


@pytest.mark.parametrize(
    ("tokens", "overlap", "said"),
    [(8, 0, "at least 16 tokens, got 8"), (100, 60, "by 0 to 50 tokens, got 60"), (100, -1, "got -1")],
)
def test_wrong_lengths_are_refused(tokens: int, overlap: int, said: str) -> None:
    with pytest.raises(InputError, match=said):
        CutSettings(tokens=tokens, overlap=overlap)
