"""Search terms of the full-text index: any question gives a valid query."""

import sqlite3

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ftool_runtime.knowledge.full_text import rank_by_words
from ftool_runtime.knowledge.schema import TABLES
from ftool_runtime.knowledge.terms import index_text, query_terms

OPERATORS = [*"\"*^:-(){}+,'\\\0", " AND ", " OR ", " NOT ", "NEAR(", "terms:"]


def indexed(*texts: str) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.executescript(TABLES)
    connection.execute("INSERT INTO documents VALUES (1, 'd', 'd', '', '', 0, '')")
    for number, text in enumerate(texts, start=1):
        connection.execute(
            "INSERT INTO passages VALUES (?, 1, 0, 0, '', '', ?, NULL, ?)", (number, text, index_text(text))
        )
    connection.execute("INSERT INTO full_text (rowid, heading, terms) SELECT * FROM index_terms")
    return connection


def found(question: str, *texts: str) -> set[int]:
    return {passage for passage, _ in rank_by_words(indexed(*texts), question, 10)}


def test_text_without_unspaced_letters_is_indexed_as_it_is() -> None:
    assert index_text("Ce qui est écrit, n'est-ce pas? Αθηναι, Москва") is None


def test_chinese_is_indexed_by_bigrams_and_a_last_letter() -> None:
    assert index_text("隐私政策") == " 隐私 私政 政策 策 "


def test_words_within_chinese_are_separate_terms() -> None:
    assert index_text("使用Python编程3年") == " 使用 用 Python 编程 程 3 年 "


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("隐私", "本网站的隐私政策。"),  # two letters out of a run
        ("隱私?", "閱讀隱私聲明"),
        ("策", "隐私政策"),  # the last letter of a run
        ("水", "水道の料金"),  # the first
        ("プライバシー", "当社のﾌﾟﾗｲﾊﾞｼｰポリシー"),  # half-width kana
        ("データ", "個人データを保存します"),
        ("회사", "회사는 정보를 수집합니다"),  # the particle is attached to the word
        ("ข้อมูล", "เราเก็บข้อมูลส่วนบุคคล"),
        ("ဒေတာ", "ကျွန်ုပ်တို့သည်ဒေတာကိုသိမ်းဆည်းသည်"),
        ("cafe", "un CAFÉ noir"),
        ("café", "un cafe\u0301 noir"),  # a combining accent
        ("हिन्दी", "यह हिन्दी है"),
        ("كتاب", "هذا كِتاب جديد"),  # pointed
        ("שלום", "אמר שָׁלוֹם ברור"),
        ("ΣΟΦΟΣ", "ο σοφός"),
        ("ἀθῆναι", "ΑΘΗΝΑΙ"),
        ("елка", "зелёная ёлка"),
        ("ABC", "ＡＢＣ株式会社"),  # full width
        ("don't", "I don’t know"),
        ("𠮷野家", "𠮷野家で食べる"),  # beyond the Basic Multilingual Plane
        ("0৽", "in 0৽ of all"),  # a sign newer than SQLite's tables, which SQLite takes for a letter
        ("C++ 17", "written in c++17 or 17"),
        ("privacy政策", "政策 of all kinds"),
    ],
)
def test_a_question_finds_its_words(question: str, text: str) -> None:
    assert found(question, text, "nothing of the sort", "没有这样的东西") >= {1}


def test_one_word_of_hindi_is_not_found_in_another() -> None:
    assert found("हिन्दी", "हिमालय दीवार") == set()  # by default unicode61 splits both at their vowel signs


def test_voiced_kana_are_other_letters() -> None:
    assert found("かき", "がぎぐげご") == set()


@pytest.mark.parametrize("word", ["AND", "OR", "NOT", "NEAR"])
def test_operators_are_words(word: str) -> None:
    assert found(f"{word} {word}", f"the word {word.lower()} stands here", "nothing") == {1}


def test_a_question_of_punctuation_only_finds_nothing() -> None:
    assert found("?!… 🙂 ---", "a passage") == set()


def test_common_words_are_searched_if_there_are_no_others() -> None:
    assert found("the", "the cat", "the dog", "the cow") == {1, 2, 3}


def test_common_words_are_searched_if_the_others_are_unknown() -> None:
    assert found("the zebra", "the cat", "the dog") == {1, 2}


def test_common_words_do_not_change_the_ranking() -> None:
    texts = [f"the text number {number}" for number in range(9)] + ["the answer to the question"]
    connection = indexed(*texts)
    assert [p for p, _ in rank_by_words(connection, "the answer", 1)] == [10]
    assert rank_by_words(connection, "the answer", 5)[0][0] == 10


def test_passages_with_common_words_follow_if_few_have_the_others() -> None:
    connection = indexed("the cat sat", "a cat ran", "my dog barked", "your cat slept")
    ranking = rank_by_words(connection, "cat dog", 10)
    assert ranking[0][0] == 3
    assert sorted(passage for passage, _ in ranking) == [1, 2, 3, 4]
    assert [score for _, score in ranking] == sorted((score for _, score in ranking), reverse=True)
    assert len(rank_by_words(connection, "cat dog", 2)) == 2


@given(
    st.text(alphabet=st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("\"*^:-(){}+'\0")))
)
def test_no_question_breaks_the_query(question: str) -> None:
    rank_by_words(BASE, question, 5)


@given(st.lists(st.sampled_from([*OPERATORS, "the", "cat", "隐私", "私", "ข้อ"])).map("".join))
def test_no_operators_break_the_query(question: str) -> None:
    rank_by_words(BASE, question, 5)


@given(
    st.text(
        alphabet=st.characters(categories=["L", "M", "N", "Zs", "Pd", "Po"], max_codepoint=0xFFFF), min_size=1
    )
)
@example("0\u02ec")  # a symbol in Unicode 3.2, a letter since 4.0
def test_a_text_is_found_by_itself(text: str) -> None:
    """Words of a text in the index are words of the same text as a question."""
    connection = indexed(text)
    (terms,) = connection.execute("SELECT count(*) FROM term_counts").fetchone()
    if query_terms(text) and terms:
        assert rank_by_words(connection, text, 1)


BASE = indexed("the cat sat on the mat", "隐私政策 of the company", "ข้อมูล AND NEAR")
