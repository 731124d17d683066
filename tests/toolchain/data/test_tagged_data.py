"""Texts with entities: CoNLL files, words with tags, character spans; tag schemes, refusals and splits."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.files import write_jsonl

from ftool.data.dataset import Dataset
from ftool.data.label_policy import ModelFacts
from ftool.data.load import load_dataset, load_split
from ftool.data.rows.tag_schemes import TypedSpan, count_repaired, detect_scheme, spans_of_tags, tags_of_spans
from ftool.data.rows.tagged_text import TaggedText
from ftool.data.rows.tags import TagReader
from ftool.data.sources.conll import read_conll
from ftool.data.sources.files import data_file
from ftool.errors import DataError
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe

SENTENCES = "Ann\tB-per\nLee\tI-per\nsaw\tO\nRome\tB-loc\n\nOslo\tB-loc\nslept\tO\n"


def load(path: Path, **settings: Any) -> Dataset[TaggedText]:
    """Data of one file, which is its own validation and test."""
    return load_dataset(
        TagReader, DataSettings(path=str(path), validation=str(path), test=str(path), **settings)
    )


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", newline="")
    return path


def write_rows(path: Path, *rows: dict[str, Any]) -> Path:
    return write_jsonl(path, rows)


# --- One word in each row --------------------------------------------------------------------------------------------

KAGGLE = """Sentence #,Word,POS,Tag
Sentence: 1,Ann,NNP,B-per
{0},Lee,NNP,I-per
{0},saw,VBD,O
{0},Rome,NNP,B-loc
Sentence: 2,Oslo,NNP,B-loc
{1},slept,VBD,O
"""


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("first_word.csv", KAGGLE.format("", "")),
        ("every_word.csv", KAGGLE.format("Sentence: 1", "Sentence: 2")),
        (
            "documents_and_numbers.csv",
            "doc_id,sent_id,word,tag\n1,1,Ann,B-per\n1,1,Lee,I-per\n1,1,saw,O\n1,1,Rome,B-loc\n2,1,Oslo,B-loc\n2,1,slept,O\n",
        ),
        ("numbers.csv", KAGGLE.format(1, 2).replace("Sentence: ", "").replace("Sentence #", "sentence_idx")),
        ("semicolons.csv", KAGGLE.format("", "").replace(",", ";")),
        ("tabs.tsv", KAGGLE.format("", "").replace(",", "\t")),
        ("empty_lines.csv", "word,tag\nAnn,B-per\nLee,I-per\nsaw,O\nRome,B-loc\n\nOslo,B-loc\nslept,O\n"),
        ("empty_rows.csv", "word,tag\nAnn,B-per\nLee,I-per\nsaw,O\nRome,B-loc\n,\nOslo,B-loc\nslept,O\n"),
        (
            "documents.csv",
            "word,tag\n-DOCSTART-,O\nAnn,B-per\nLee,I-per\nsaw,O\nRome,B-loc\n\nOslo,B-loc\nslept,O\n",
        ),
    ],
)
def test_rows_of_single_words_are_joined_into_sentences(tmp_path: Path, name: str, content: str) -> None:
    data = load(write(tmp_path / name, content))
    assert [one.tokens for one in data.train.examples] == [["Ann", "Lee", "saw", "Rome"], ["Oslo", "slept"]]
    assert [one.tags for one in data.train.examples] == [("B-per", "I-per", "O", "B-loc"), ("B-loc", "O")]


def test_rows_of_single_words_keep_a_word_with_a_space_and_their_class_numbers(tmp_path: Path) -> None:
    import pandas

    pandas.DataFrame(
        {"sentence_id": [1, None, 2], "token": ["1 000", "Lee", "Oslo"], "ner_tags": [0, 1, 2]}
    ).to_parquet(tmp_path / "data.parquet")
    names = write(tmp_path / "names.txt", "O\nB-per\nB-loc\n")
    data = load(tmp_path / "data.parquet", label_names=str(names))
    assert [(one.tokens, one.tags) for one in data.train.examples] == [
        (["1 000", "Lee"], ("O", "B-per")),
        (["Oslo"], ("B-loc",)),
    ]


def test_numbers_of_tags_in_csv_have_names_from_a_file(tmp_path: Path) -> None:
    names = write(tmp_path / "names.txt", "O\nB-per\n")
    path = write(tmp_path / "data.csv", "sentence_id,word,tag\n1,Ann,1\n1,saw,0\n2,Lee,1\n")
    assert [one.tags for one in load(path, label_names=str(names)).train.examples] == [
        ("B-per", "O"),
        ("B-per",),
    ]
    with pytest.raises(DataError, match="row 2 has the number 1 as a tag; give a file of tags"):
        load(path)


def test_rows_of_single_words_without_a_word_or_with_a_number_again_are_counted(tmp_path: Path) -> None:
    text = "sentence_id,word,tag\n1,Ann,B-per\n1,,O\n2,Oslo,B-loc\n1,Lee,B-per\n"
    data = load(write(tmp_path / "data.csv", text))
    assert [one.tokens for one in data.train.examples] == [["Ann"], ["Oslo"], ["Lee"]]
    assert any("row 3 without a word; left out" in warning for warning in data.warnings)
    assert any("1 of 2 values of the column 'sentence_id' come back" in warning for warning in data.warnings)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("word,tag\nAnn,B-per\nsaw,O\n", "nothing says where a sentence ends; add a column 'sentence_id'"),
        ("sentence_id,word,tag\n1,Ann,B-per\n1,,I-per\n", "row 3 has the tag 'I-per' but no word"),
        ("sentence_id,word,tag\n1,Ann,B-per\n1,saw,verb\n", "row 3 has a tag for 'saw' that is not a tag"),
    ],
)
def test_rows_of_single_words_that_can_not_be_read_are_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        load(write(tmp_path / "data.csv", text))


def test_sentences_of_one_string_are_not_single_words(tmp_path: Path) -> None:
    text = "sentence_id,tokens,ner_tags\n1,Ann Lee saw,B-per I-per O\n2,Oslo slept,B-loc O\n"
    data = load(write(tmp_path / "data.csv", text))
    assert [one.tokens for one in data.train.examples] == [["Ann", "Lee", "saw"], ["Oslo", "slept"]]


# --- CoNLL -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        SENTENCES,
        SENTENCES.replace("\t", " "),
        SENTENCES.replace("\t", "   "),
        SENTENCES.replace("\n", "\r\n"),
        SENTENCES.replace("\n\n", "\n\t\n \n\n"),
        "-DOCSTART- -X- -X- O\n\n" + SENTENCES.replace("\t", " NNP B-NP "),
        "# sent_id = 1\n" + SENTENCES,
        SENTENCES.replace("\n\n", "\n-DOCSTART-\tO\n"),
        "\ufeff" + SENTENCES.rstrip("\n"),
    ],
)
def test_conll_is_read_however_it_is_laid_out(tmp_path: Path, text: str) -> None:
    data = load(write(tmp_path / "data.conll", text))
    assert [one.tokens for one in data.train.examples] == [["Ann", "Lee", "saw", "Rome"], ["Oslo", "slept"]]
    assert [one.tags for one in data.train.examples] == [("B-per", "I-per", "O", "B-loc"), ("B-loc", "O")]
    assert data.labels == ("O", "B-loc", "I-loc", "B-per", "I-per")


@pytest.mark.parametrize("name", ["train.txt", "train.tsv", "train.bio", "train.conll.gz"])
def test_conll_is_known_by_what_is_in_it(tmp_path: Path, name: str) -> None:
    import gzip

    content = SENTENCES.encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert len(load(tmp_path / name).train) == 2


def test_words_keep_odd_spaces_and_hash_signs(tmp_path: Path) -> None:
    text = "1\u00a0000\tO\n\u3000\tO\n#\tO\n# x\tB-a\n\u2028\tO\nb\u0085c\tI-a\n"
    (example,) = load(write(tmp_path / "data.conll", text)).train.examples
    assert example.tokens == ["1\u00a0000", "\u3000", "#", "# x", "\u2028", "b\u0085c"]
    spaced = write(tmp_path / "spaced.conll", "1\u00a0000 O\n# O\nRome B-a\n")
    assert load(spaced).train.examples[0].tokens == ["1\u00a0000", "#", "Rome"]


def test_the_text_is_the_words_with_one_space_each(tmp_path: Path) -> None:
    example = load(write(tmp_path / "data.conll", SENTENCES)).train.examples[0]
    assert example.text == "Ann Lee saw Rome"
    assert example.words == ((0, 3), (4, 7), (8, 11), (12, 16))
    assert example.row == 1


def test_columns_can_be_named(tmp_path: Path) -> None:
    path = write(tmp_path / "data.conll", "1\tAnn\tB-per\tNNP\n2\tran\tO\tVBD\n")
    names = ("id", "form", "entity", "pos")
    data = load(path, columns=names, label="entity")
    assert data.train.examples[0].tokens == ["Ann", "ran"]
    assert "'form'" in data.notes[0]
    assert "'entity'" in data.notes[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Ann\tB-per\nran\n\n", "line 2 has 1 column instead of 2 columns: 'ran'"),
        ("Ann\tB-per\nran\tVB\tO\n", "line 2 has 3 columns instead of 2 columns"),
        ("Ann\tB-per\n\tO\n", "line 2 has nothing in column 1"),
        ("Ann\n", "line 1 has 1 column instead of a word and its tag"),
        ("a\tO\n\nAnn\tB-per\nran\tVB\n", "row 3 has a tag for 'ran' that is not a tag of IOB"),
        ("\n\n", "the file is empty"),
        ("-DOCSTART-\tO\n", "holds no sentence"),
        ("a\tO\nb\tO\n", "have no entity, only the tag O"),
    ],
)
def test_a_line_that_can_not_be_read_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path / "data.conll", text)
    with pytest.raises(DataError) as error:
        load(path)
    assert str(path) in str(error.value)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_tsv_of_texts_is_still_one(tmp_path: Path) -> None:
    from ftool.data.sources.find import read_file

    path = write(tmp_path / "data.tsv", "text\tlabel\nplay a song\tmusic\n")
    assert read_file(path, None)["all"].columns == ("text", "label")


# --- rows of words and tags ------------------------------------------------------------------------------------------


def test_rows_of_words_and_tags(tmp_path: Path) -> None:
    path = write_rows(
        tmp_path / "data.jsonl",
        {"tokens": ["Ann", "ran"], "ner_tags": ["B-per", "O"]},
        {"tokens": ["to", "Rome"], "ner_tags": ["O", "B-loc"]},
    )
    assert [one.tags for one in load(path).train.examples] == [("B-per", "O"), ("O", "B-loc")]


def test_numbers_have_names_from_a_file(tmp_path: Path) -> None:
    names = write(tmp_path / "names.txt", "O\nB-per\nI-per\n")
    path = write_rows(tmp_path / "data.jsonl", {"tokens": ["Ann", "Lee", "ran"], "tags": [1, 2, 0]})
    assert load(path, label_names=str(names)).train.examples[0].tags == ("B-per", "I-per", "O")
    with pytest.raises(
        DataError, match=r"row 1 has the number 1 as a tag; give a file of tags.*--label-names"
    ):
        load(path)


def test_a_text_beside_the_words_is_taken_as_it_is(tmp_path: Path) -> None:
    text = "Ann's here,  Lee."
    words = ["Ann", "'s", "here", ",", "Lee", "."]
    tags = ["B-per", "O", "O", "O", "B-per", "O"]
    example = load(
        write_rows(tmp_path / "data.jsonl", {"text": text, "tokens": words, "tags": tags})
    ).train.examples[0]
    assert (example.text, example.tokens) == (text, words)
    other = write_rows(tmp_path / "other.jsonl", {"text": "Bob", "tokens": ["Ann"], "tags": ["B-per"]})
    with pytest.raises(DataError, match="row 1 has a text that its words were not cut from: word 1, 'Ann'"):
        load(other)
    skipped = {"text": "Ann X Lee", "tokens": ["Ann", "Lee"], "tags": ["B-per", "O"]}
    with pytest.raises(DataError, match="word 2, 'Lee', does not follow 'Ann'"):
        load(write_rows(tmp_path / "skipped.jsonl", skipped))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"tokens": ["Ann", "ran"], "tags": ["B-per"]}, "row 2 has 2 words and 1 tags; each word needs one"),
        ({"tokens": ["Ann", ""], "tags": ["B-per", "O"]}, "row 2 has a word, number 2, that is empty"),
        (
            {"tokens": ["Ann", 7], "tags": ["B-per", "O"]},
            "row 2 has a word, number 2, that is not a string ('7')",
        ),
        ({"tokens": [], "tags": []}, "row 2 has no words"),
        ({"tokens": ["Ann"], "tags": ["PER"]}, "row 2 has a tag for 'Ann' that is not a tag of IOB"),
        ({"tokens": ["Ann"], "tags": [None]}, "row 2 has a tag for 'Ann' that is not a string: None"),
        ({"tokens": ["\ud800"], "tags": ["O"]}, "half a surrogate pair"),
    ],
)
def test_a_row_that_does_not_match_is_named(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    good = {"tokens": ["Ann"], "tags": ["B-per"]}
    path = write(tmp_path / "data.jsonl", "".join(json.dumps(one) + "\n" for one in (good, row)))
    with pytest.raises(DataError) as error:
        load(path)
    assert f"{path}: " in str(error.value)
    assert message in str(error.value)


@pytest.mark.parametrize("bad", [{"tokens": ["a"], "tags": []}, {"text": "a", "entities": None}])
def test_all_bad_rows_are_named(tmp_path: Path, bad: dict[str, Any]) -> None:
    good = {"tokens": ["a"], "tags": ["O"]} if "tokens" in bad else {"text": "a", "entities": [[0, 1, "x"]]}
    with pytest.raises(DataError, match=r"row 2 has .*; rows 4 and 5 can't be read either"):
        load(write_rows(tmp_path / "data.jsonl", good, bad, good, bad, bad))


def test_sentences_of_spaces_alone_are_left_out_and_counted(tmp_path: Path) -> None:
    data = load(write(tmp_path / "data.conll", SENTENCES + "\n\u3000\tO\n"))
    assert len(data.train) == 2
    assert any("1 sentences of only white space were left out" in line for line in data.warnings)


# --- spans of characters ---------------------------------------------------------------------------------------------


def span(start: int, end: int, label: str = "loc", **more: Any) -> dict[str, Any]:
    return {"start": start, "end": end, "label": label, **more}


@pytest.mark.parametrize(
    "spans",
    [
        [span(11, 17), span(0, 3, "per")],
        [[0, 3, "per"], [11, 17, "loc"]],
        [{"start_offset": 0, "end_offset": 3, "type": "per"}, {"begin": 11, "end": 17, "tag": "loc"}],
    ],
)
def test_spans_become_tags_of_words(tmp_path: Path, spans: list[Any]) -> None:
    data = load(write_rows(tmp_path / "data.jsonl", {"text": "Ann was in 东京 Bay.", "entities": spans}))
    (example,) = data.train.examples
    assert example.tokens == ["Ann", "was", "in", "东", "京", "Bay", "."]
    assert example.tags == ("B-per", "O", "O", "B-loc", "I-loc", "I-loc", "O")
    assert data.facts["scheme"] == "spans"
    assert not any("widened" in line for line in data.warnings)


def test_entities_within_words_are_widened_and_counted(tmp_path: Path) -> None:
    row = {"text": "preRome and Oslo", "spans": [span(3, 7), span(12, 14), span(14, 16), span(7, 8)]}
    data = load(write_rows(tmp_path / "data.jsonl", row))
    assert data.train.examples[0].tags == ("B-loc", "O", "B-loc")
    assert any(
        "2 entities begin or end inside a word" in line and "row 1, 'Rome'" in line for line in data.warnings
    )
    assert any("2 entities share a word with another or contain no word" in line for line in data.warnings)


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        (
            [span(0, 5), span(4, 8, "per")],
            "entities that overlap, 'Rome ' (loc, 0 to 5) and ' and' (per, 4 to 8)",
        ),
        ([span(0, 99)], "an entity from 0 to 99 in a text of 13 characters"),
        ([span(4, 4)], "an entity from 4 to 4"),
        ([span(-2, 4)], "an entity from -2 to 4"),
        ([span(0, 4, text="Oslo")], "an entity 'Oslo' at 0 to 4, but its text there is 'Rome'"),
        ([span(0, 4, "")], "an entity without a label at 0 to 4"),
        ([{"start": "0", "end": 4, "label": "x"}], "an entity from '0' to 4"),
        (["Rome"], 'has an entity that is not {"start", "end", "label"}'),
        (None, "has no list of entities: 'None'"),
    ],
)
def test_wrong_spans_are_refused_with_their_row(tmp_path: Path, spans: Any, message: str) -> None:
    rows = [{"text": "Oslo", "entities": [span(0, 4)]}, {"text": "Rome and Oslo", "entities": spans}]
    with pytest.raises(DataError) as error:
        load(write_rows(tmp_path / "data.jsonl", *rows))
    assert "data.jsonl: row 2 " in str(error.value)
    assert message in str(error.value)


# --- schemes ---------------------------------------------------------------------------------------------------------

SCHEMES = {
    "IOB1": ["I-a", "I-a", "O", "I-b", "B-b", "I-a"],
    "IOB2": ["B-a", "I-a", "O", "B-b", "B-b", "B-a"],
    "IOBES": ["B-a", "E-a", "O", "S-b", "S-b", "S-a"],
    "BILOU": ["B-a", "L-a", "O", "U-b", "U-b", "U-a"],
    "BMES": ["B-a", "E-a", "O", "S-b", "B-b", "M-b", "E-b"],
}


@pytest.mark.parametrize("scheme", ["IOB1", "IOB2", "IOBES", "BILOU"])
def test_every_scheme_is_told_and_read_as_iob2(tmp_path: Path, scheme: str) -> None:
    rows = zip("abcdef", SCHEMES[scheme], strict=True)
    text = "".join(f"{word}\t{tag}\n" for word, tag in rows)
    data = load(write(tmp_path / "data.conll", text))
    assert data.facts["scheme"] == scheme
    assert f"in {scheme}" in data.notes[0]
    assert list(data.train.examples[0].tags) == SCHEMES["IOB2"]
    assert not any(scheme in line for line in data.warnings)


def test_middles_are_insides_too() -> None:
    assert detect_scheme([SCHEMES["BMES"]]) == "BMES"
    assert spans_of_tags(SCHEMES["BMES"])[-1] == TypedSpan(4, 7, "b")


def test_tags_that_break_their_scheme_are_read_and_counted(tmp_path: Path) -> None:
    text = SENTENCES + "\nin\tO\nNew\tI-loc\nYork\tI-loc\n"
    data = load(write(tmp_path / "data.conll", text))
    assert data.train.examples[-1].tags == ("O", "B-loc", "I-loc")
    assert any(
        "1 tags in 1 sentences break the rules of IOB2 (first: row 9)" in line for line in data.warnings
    )


@st.composite
def entities(draw: st.DrawFn) -> tuple[list[TypedSpan], int]:
    spans, position = [], 0
    for _ in range(draw(st.integers(0, 5))):
        first = position + draw(st.integers(0, 2))
        position = first + draw(st.integers(1, 3))
        spans.append(TypedSpan(first, position, draw(st.sampled_from("ab"))))
    return spans, position + draw(st.integers(0, 2))


@given(entities(), st.sampled_from(["IOB1", "IOB2", "IOBES", "BILOU", "BMES", "BMEW"]))
def test_entities_survive_every_scheme(given: tuple[list[TypedSpan], int], scheme: str) -> None:
    spans, words = given
    tags = tags_of_spans(spans, words, scheme)
    assert spans_of_tags(tags) == spans
    assert count_repaired(tags, scheme) == 0


# --- splits and names ------------------------------------------------------------------------------------------------


def many(kinds: Sequence[str], count: int = 60) -> str:
    return "".join(f"w{i}\tB-{kinds[i % len(kinds)]}\nx\tO\n\n" for i in range(count))


def test_missing_splits_are_cut_off_by_kind(tmp_path: Path) -> None:
    path = write(tmp_path / "data.conll", many("abc"))
    data = load_dataset(TagReader, DataSettings(path=str(path)))
    assert (len(data.train), len(data.validation), len(data.test)) == (48, 6, 6)
    for split in (data.validation, data.test):
        assert {tag for one in split.examples for tag in one.tags} == {"O", "B-a", "B-b", "B-c"}
    again = load_dataset(TagReader, DataSettings(path=str(path)))
    assert again == data


def test_a_folder_of_splits(tmp_path: Path) -> None:
    for name in ("train", "dev", "test"):
        write(tmp_path / f"{name}.conll", SENTENCES)
    data = load_dataset(TagReader, DataSettings(path=str(tmp_path)))
    assert len(data.validation) == 2
    assert any("2 of 2 texts are also in the training data" in line for line in data.warnings)


def test_a_kind_that_training_lacks_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "train.conll", SENTENCES)
    write(tmp_path / "test.conll", "\nEiffel\tB-thing\n")
    with pytest.raises(
        DataError, match=r"test\.conll: row 2 with the label 'thing', which no training example has"
    ):
        load_dataset(TagReader, DataSettings(path=str(tmp_path)))


def test_other_data_may_hold_only_kinds_that_the_model_knows(tmp_path: Path) -> None:
    settings = DataSettings(path=str(write(tmp_path / "data.conll", SENTENCES)))
    labels = ("O", "B-loc", "I-loc", "B-per", "I-per")
    assert len(load_split(TagReader, settings, model=ModelFacts(labels))) == 2
    with pytest.raises(DataError, match="'per', which the model does not know"):
        load_split(TagReader, settings, model=ModelFacts(labels[:3]))


def test_a_models_own_data_may_lack_kinds_that_it_knows(tmp_path: Path) -> None:
    settings = DataSettings(path=str(write(tmp_path / "data.conll", many("ab"))))
    model = ModelFacts(("O", "B-a", "I-a", "B-b", "I-b", "B-person", "I-person"))
    data = load_dataset(TagReader, settings, model)
    assert (data.labels, len(data.test)) == (model.labels, 6)
    assert data.warnings == (
        f"{settings.path}: no example has 1 of the 3 labels that the model knows: 'person'",
    )
    other = DataSettings(path=str(write(tmp_path / "other.conll", many(["a", "persons"]))))
    with pytest.raises(DataError, match="'persons', which the model does not know; did you mean 'person'"):
        load_dataset(TagReader, other, model)


def test_the_fingerprint_is_of_words_and_tags_whatever_the_file(tmp_path: Path) -> None:
    conll = load(write(tmp_path / "a.conll", SENTENCES))
    iob1 = load(write(tmp_path / "b.txt", SENTENCES.replace("B-", "I-").replace("\t", " ")))
    rows = [{"tokens": one.tokens, "tags": one.tags} for one in conll.train.examples]
    assert conll.sha256 == iob1.sha256 == load(write_rows(tmp_path / "c.jsonl", *rows)).sha256
    other = load(write(tmp_path / "d.conll", SENTENCES.replace("B-loc", "B-place")))
    assert other.sha256 != conll.sha256


def test_wnut17_is_what_its_authors_count(shared_data: Path) -> None:
    data = load_dataset(TagReader, DataSettings(path=str(shared_data / "wnut17")))
    assert (len(data.train), len(data.validation), len(data.test)) == (3394, 1009, 1287)
    found = [
        sum(len(spans_of_tags(one.tags)) for one in data.split(name).examples) for name in ("train", "test")
    ]
    assert found == [1975, 1079]  # Derczynski et al. 2017
    assert data.facts["scheme"] == "IOB2"
    (told,) = data.warnings
    assert (
        "9 texts with different labels in different rows: rows 45 (corporation) and 2297 (none); rows" in told
    )


def test_settings_for_tagging_are_settings_of_a_recipe() -> None:
    recipe = Recipe(task="token-classification", data=DataSettings(path="a", text="words", label="tags"))
    assert recipe.train.stride == 42


def test_columns_of_conll_differ_only_by_line(tmp_path: Path) -> None:
    table = read_conll(data_file(write(tmp_path / "a.conll", "a x O\nb y B-c\n")))
    assert table.columns == ("tokens", "column2", "tags")
    assert table.rows[0].cells == (["a", "b"], ["x", "y"], ["O", "B-c"])


def test_numbers_in_parquet_have_the_names_of_its_schema(tmp_path: Path) -> None:
    from datasets import ClassLabel, Dataset, Features, List, Value

    names = ["O", "B-per", "I-per"]
    features = Features({"tokens": List(Value("string")), "ner_tags": List(ClassLabel(names=names))})
    rows = {"tokens": [["Ann", "Lee", "ran"], ["ran"]], "ner_tags": [[1, 2, 0], [0]]}
    Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "data.parquet")
    data = load(tmp_path / "data.parquet")
    assert data.train.examples[0].tags == ("B-per", "I-per", "O")
    assert data.train.examples[1].row == 2


@pytest.mark.parametrize(
    "row",
    [
        {"tokens": "['Ann', 'slept']", "ner_tags": "['B-per', 'O']"},
        {"tokens": "['Ann' 'slept']", "ner_tags": "['B-per' 'O']"},
        {"text": "Ann slept", "entities": "[(0, 3, 'per')]"},
        {"text": "Ann slept", "entities": "[{'start': 0, 'end': 3, 'label': 'per'}]"},
    ],
)
def test_lists_that_pandas_wrote_as_text_are_read(tmp_path: Path, row: dict[str, Any]) -> None:
    (example,) = load(write_rows(tmp_path / "d.jsonl", row)).train.examples
    assert (example.tokens, example.tags) == (["Ann", "slept"], ("B-per", "O"))
