"""Reading texts from files: every format, and errors that name file and line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import ftool_runtime as ft
from ftool_runtime.text_files import read_texts

FileMaker = Callable[[str, str | bytes], Path]


@pytest.fixture
def make_file(tmp_path: Path) -> FileMaker:
    def make(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return make


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("lines.txt", "play\nmüsic, off\n"),
        ("no_last_newline.txt", "play\nmüsic, off"),
        ("windows.txt", "play\r\nmüsic, off\r\n"),
        ("with_mark.txt", "\ufeffplay\nmüsic, off\n"),
        ("objects.jsonl", '{"text": "play", "id": 1}\n\n{"id": 2, "text": "m\\u00fcsic, off"}\n'),
        ("strings.ndjson", '"play"\n"müsic, off"\n'),
        ("table.csv", 'id,text\n1,play\n2,"müsic, off"\n'),
        ("blank_lines.csv", '\ufefftext\r\nplay\r\n\r\n"müsic, off"\r\n'),
        ("table.tsv", "text\tid\nplay\t1\nmüsic, off\t2\n"),
    ],
)
def test_every_format_gives_the_same_texts(make_file: FileMaker, name: str, content: str) -> None:
    assert list(read_texts(make_file(name, content))) == ["play", "müsic, off"]


def test_a_quoted_cell_may_hold_lines(make_file: FileMaker) -> None:
    assert list(read_texts(make_file("a.csv", 'text,n\n"two\nlines",1\n'))) == ["two\nlines"]


def test_a_cell_past_the_csv_modules_own_limit_is_read(make_file: FileMaker) -> None:
    assert list(read_texts(make_file("a.csv", "text\n" + "x" * 200_000 + "\n"))) == ["x" * 200_000]


def test_another_column_can_be_named(make_file: FileMaker) -> None:
    assert list(read_texts(make_file("a.csv", "text,query\nno,yes\n"), column="query")) == ["yes"]
    assert list(read_texts(make_file("a.jsonl", '{"query": "yes"}\n'), column="query")) == ["yes"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "", r"a\.txt is empty"),
        ("a.csv", "", r"a\.csv is empty"),
        ("a.csv", "text\n", r"a\.csv is empty"),
        ("a.txt", "play\n\nmusic\n", r"a\.txt, line 2: the text is empty"),
        ("a.txt", b"play\nm\xfcsic\n", r"a\.txt, line 2: not UTF-8 \(byte 6\)"),
        ("a.txt", "play\n".encode("utf-16"), r"a\.txt, line 1: not UTF-8 \(byte 0\)"),
        ("a.csv", "query,id\nplay,1\n", r"no column 'text'; it has query, id"),
        ("a.csv", "text,id\nplay,1,2\n", r"a\.csv, line 2: 3 cells under 2 columns"),
        ("a.csv", 'text\nplay\n"\n', r"a\.csv, line 3: the text is empty"),
        (
            "a.jsonl",
            '{"text": "play"}\n{"text": 3}\n',
            r"a\.jsonl, line 2: the text must be a string, got int",
        ),
        ("a.jsonl", '{"text": "play"}\n{"query": "x"}\n', r"a\.jsonl, line 2: no 'text' among query"),
        ("a.jsonl", '{"text": "play"\n', r"a\.jsonl, line 1: not JSON"),
        ("a.jsonl", "3\n", r"a\.jsonl, line 1: the text must be a string, got int"),
    ],
)
def test_bad_input_is_named_by_file_and_line(
    make_file: FileMaker, name: str, content: str | bytes, message: str
) -> None:
    with pytest.raises(ft.InputError, match=message):
        list(read_texts(make_file(name, content)))


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ft.InputError, match=r"can't read .*gone\.txt: No such file"):
        list(read_texts(tmp_path / "gone.txt"))
    with pytest.raises(ft.InputError, match="can't read"):
        list(read_texts(tmp_path))


def test_texts_are_read_as_they_are_asked_for(make_file: FileMaker) -> None:
    lines = [json.dumps({"text": "play"})] * 3 + ["broken"]
    texts = read_texts(make_file("a.jsonl", "\n".join(lines)))
    assert [next(texts) for _ in range(3)] == ["play"] * 3
    with pytest.raises(ft.InputError, match="line 4"):
        next(texts)


def test_a_quotation_mark_in_tsv_is_part_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "tweets.tsv"
    path.write_text('text\tid\n"so what\t1\nplay "yes" now\t2\n', encoding="utf-8")
    assert list(read_texts(path)) == ['"so what', 'play "yes" now']
