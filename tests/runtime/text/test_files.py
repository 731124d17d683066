"""Texts are read from files of each format; errors name the file and the line."""

import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

import ftool_runtime as ft
from ftool_runtime.text.files import ArrivingLines, numbered_texts, read_batches, read_texts
from ftool_runtime.text.input_rows import input_rows
from ftool_runtime.text.rows import RowError, csv_rows, json_rows, tsv_rows

FileMaker = Callable[[str, str | bytes], Path]


@pytest.mark.skipif(sys.platform == "win32", reason="needs named pipes and devices")
@pytest.mark.parametrize("kind", ["named pipe", "device"])
@pytest.mark.timeout(10, func_only=True)
def test_a_pipe_or_device_in_place_of_a_file_is_not_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "texts.txt"
    if kind == "device":
        path.symlink_to("/dev/zero")
    else:
        os.mkfifo(path)
    with pytest.raises(ft.InputError, match=f"can't read {path}: it is a {kind}, not a regular file"):
        list(read_texts(path))


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
        ("old_mac.txt", "play\rmüsic, off\r"),
        ("old_mac.csv", 'id,text\r1,play\r2,"müsic, off"\r'),
        ("old_mac.tsv", "text\tid\rplay\t1\rmüsic, off\t2"),
        ("old_mac.jsonl", '{"text": "play"}\r{"text": "müsic, off"}\r'),
        ("twice.csv", "text\r\r\nplay\r\r\nmüsic, off\r\r\n".replace("müsic, off", '"müsic, off"')),
        ("excel.txt", "play\r\nmüsic, off\r\n".encode("utf-16")),
        ("excel.csv", "id;text\r\n1;play\r\n2;müsic, off\r\n".encode("utf-16")),
        ("with_mark.txt", "\ufeffplay\nmüsic, off\n"),
        ("objects.jsonl", '{"text": "play", "id": 1}\n\n{"id": 2, "text": "m\\u00fcsic, off"}\n'),
        ("strings.ndjson", '"play"\n"müsic, off"\n'),
        ("table.csv", 'id,text\n1,play\n2,"müsic, off"\n'),
        ("blank_lines.csv", '\ufefftext\r\nplay\r\n\r\n"müsic, off"\r\n'),
        ("semicolons.csv", "id;text\n1;play\n2;müsic, off\n"),
        ("named_separator.csv", "sep=;\r\nid;text\r\n1;play\r\n2;müsic, off\r\n"),
        ("tabs.csv", 'id\ttext\n1\tplay\n2\t"müsic, off"\n'),
        ("table.tsv", "text\tid\nplay\t1\nmüsic, off\t2\n"),
    ],
)
def test_every_format_gives_the_same_texts(make_file: FileMaker, name: str, content: str | bytes) -> None:
    assert list(read_texts(make_file(name, content))) == ["play", "müsic, off"]


def test_a_quoted_cell_may_hold_lines(make_file: FileMaker) -> None:
    assert list(read_texts(make_file("a.csv", 'text,n\n"two\nlines",1\n'))) == ["two\nlines"]


def test_a_row_that_ends_with_a_carriage_return_may_have_line_feeds_in_quotes(make_file: FileMaker) -> None:
    path = make_file("a.csv", 'n,text\r1,"two\nlines"\r2,one\r')
    assert list(read_texts(path)) == ["two\nlines", "one"]


def test_a_carriage_return_inside_a_line_is_part_of_the_text(make_file: FileMaker) -> None:
    assert list(read_texts(make_file("a.txt", "50 %\r100 %\nplay\n"))) == ["50 %\r100 %", "play"]


def test_a_cell_past_the_csv_modules_own_limit_is_read(make_file: FileMaker) -> None:
    assert list(read_texts(make_file("a.csv", "text\n" + "x" * 200_000 + "\n"))) == ["x" * 200_000]


def test_another_column_can_be_named(make_file: FileMaker) -> None:
    assert list(read_texts(make_file("a.csv", "text,query\nno,yes\n"), column="query")) == ["yes"]
    assert list(read_texts(make_file("a.jsonl", '{"query": "yes"}\n'), column="query")) == ["yes"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'play,1\n"müsic, off",2\n'),
        ("a.csv", 'play;1\n"müsic, off";2\n'),
        ("a.tsv", "play\t1\nmüsic, off\t2\n"),
        ("a.txt", "play\t1\nmüsic, off\t2\n"),
        ("a.tsv", "text\tid\nplay\t1\nmüsic, off\t2\n"),
        ("a.jsonl", '["play", 1]\n{"text": "müsic, off"}\n'),
    ],
)
def test_columns_can_be_named_for_a_file_without_a_header(
    make_file: FileMaker, name: str, content: str
) -> None:
    assert list(read_texts(make_file(name, content), names=("text", "id"))) == ["play", "müsic, off"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", "\nplay\n \nmusic\n"),
        ("a.csv", 'text\n""\nplay\n" "\nmusic\n'),
        ("a.tsv", "text\tid\n\t1\nplay\t2\n\t3\nmusic\t4\n"),
        ("a.jsonl", '{"text": ""}\n"play"\nnull\n"music"\n'),
    ],
)
def test_empty_texts_can_keep_their_places(make_file: FileMaker, name: str, content: str) -> None:
    assert list(read_batches(make_file(name, content))) == [[None, "play", None, "music"]]


def test_an_input_that_lacks_one_of_its_texts_is_empty(make_file: FileMaker) -> None:
    path = make_file("a.csv", "question,context\nq,c\nq,\n")
    inputs = list(read_texts(path, {"question": "question", "context": "context"}, keep_blank=True))
    assert inputs == [{"question": "q", "context": "c"}, None]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "", r"a\.txt is empty"),
        ("a.csv", "", r"a\.csv is empty"),
        ("a.csv", "text\n", r"a\.csv is empty"),
        ("a.txt", "play\n\nmusic\n", r"a\.txt, line 2: the text is empty"),
        ("a.txt", b"play\nm\xfcsic\n", r"a\.txt, line 2: not UTF-8 \(byte 2 of the line is 0xfc\); save it"),
        ("a.txt", "play\n".encode("utf-16")[:-1], r"a\.txt: not utf-16: .*truncated data; save it as UTF-8"),
        ("a.csv", "query,id\nplay,1\n", r"no column 'text'; it has query, id"),
        ("a.csv", "text,id\nplay,1,2\n", r"a\.csv, line 2 has 3 cells under 2 columns"),
        ("a.csv", 'text\nplay\n"\n', r"a\.csv, line 3 is not CSV: unexpected end of data"),
        (
            "a.jsonl",
            '{"text": "play"}\n{"text": 3}\n',
            r"a\.jsonl, line 2: the text must be a string, got int",
        ),
        ("a.jsonl", '{"text": "play"}\n{"query": "x"}\n', r"a\.jsonl, line 2: no 'text' among query"),
        ("a.csv", 'text\n"play\nmusic\n', r"a\.csv, line 2 is not CSV: unexpected end of data"),
        ("a.csv", 'text,id\n" ",1\n', r"a\.csv, line 2: the text is empty"),
        ("a.json", '[{"text": "play"}]', r"can't read .*a\.json: convert it to an uncompressed \.jsonl"),
        ("a.csv.gz", b"\x1f\x8b", r"can't read .*a\.csv\.gz: .* uncompressed"),
        ("a.jsonl", '"play"\n"\\ud800"\n', r"a\.jsonl, line 2: the text is not valid Unicode"),
        ("a.jsonl", '{"text": "play"\n', r"a\.jsonl, line 1 is not JSON"),
        ("a.jsonl", "[" * 100_000 + "\n", r"a\.jsonl, line 1 is JSON that can't be read"),
        ("a.jsonl", "9" * 5_000 + "\n", r"a\.jsonl, line 1 is JSON that can't be read"),
        ("a.jsonl", "3\n", r"a\.jsonl, line 1: the text must be a string, got int"),
    ],
)
def test_bad_input_is_named_by_file_and_line(
    make_file: FileMaker, name: str, content: str | bytes, message: str
) -> None:
    with pytest.raises(ft.InputError, match=message):
        list(read_texts(make_file(name, content)))


@pytest.mark.parametrize(
    ("name", "content", "remedy"),
    [
        ("a.csv", "premise,hypothesis\na,b\n", "name them with --column text=NAME --column text_pair=NAME"),
        (
            "a.jsonl",
            '{"premise": "a", "hypothesis": "b"}\n',
            "name them with --column text=NAME --column text_pair=NAME",
        ),
        ("a.csv", "text,hypothesis\na,b\n", "name it with --column text_pair=NAME"),
    ],
)
def test_columns_that_are_missing_come_with_the_flags_that_name_them(
    make_file: FileMaker, name: str, content: str, remedy: str
) -> None:
    columns = {"text": "text", "text_pair": "text_pair"}
    with pytest.raises(ft.InputError, match=f"hypothesis; {remedy}"):
        list(read_texts(make_file(name, content), columns))
    with pytest.raises(ft.InputError, match="it has query; name it with --column NAME, or all with"):
        list(read_texts(make_file("b.csv", "query\na\n")))


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ft.InputError, match=r"can't read .*gone\.txt: No such file"):
        list(read_texts(tmp_path / "gone.txt"))
    with pytest.raises(ft.InputError, match="can't read"):
        list(read_texts(tmp_path))


def test_texts_are_read_as_they_are_consumed(make_file: FileMaker) -> None:
    lines = [json.dumps({"text": "play"})] * 3 + ["broken"]
    texts = read_texts(make_file("a.jsonl", "\n".join(lines)))
    assert [next(texts) for _ in range(3)] == ["play"] * 3
    with pytest.raises(ft.InputError, match="line 4"):
        next(texts)


def test_a_quotation_mark_in_tsv_is_part_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "tweets.tsv"
    path.write_text('text\tid\n"so what\t1\nplay "yes" now\t2\n', encoding="utf-8")
    assert list(read_texts(path)) == ['"so what', 'play "yes" now']


class Arriving:
    """A stream whose parts arrive one at a time; None is a pause during which reading must not wait."""

    def __init__(self, *parts: bytes | None) -> None:
        self._parts: Iterator[bytes | None] = iter(parts)

    def read1(self, size: int) -> bytes:
        part = next(self._parts, b"")
        assert part is not None, "waited for more with lines at hand"
        assert len(part) <= size
        return part


def test_a_line_can_be_read_as_soon_as_it_is_complete() -> None:
    lines = ArrivingLines(Arriving(b"a\nb\nc", b"c", b"c\n", None))
    assert [next(lines) for _ in range(3)] == [b"a", b"b", b"ccc"]


@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize("content", [b"", b"\n", b"a", b"a\nbc\n\nd", b"a\nbc\n\n"])
def test_lines_do_not_depend_on_how_they_arrive(content: bytes, size: int) -> None:
    parts = [content[start : start + size] for start in range(0, len(content), size)]
    assert list(ArrivingLines(Arriving(*parts))) == content.splitlines()


def test_what_arrives_together_on_standard_input_is_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Arriving(b"a\nb\nc\n", b"d\n", b"e\nf")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=stream))
    assert list(read_batches(None, batch_size=2)) == [["a", "b"], ["c"], ["d"], ["e"], ["f"]]


def test_a_text_of_another_encoding_is_named_by_its_line_on_standard_input(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"a\n\xff\n")))
    with pytest.raises(ft.InputError, match="standard input, line 2: not UTF-8"):
        list(read_batches(None))


def test_a_file_comes_in_full_batches(make_file: FileMaker) -> None:
    path = make_file("a.txt", "a\nb\nc\n")
    assert list(read_batches(path, batch_size=2)) == [["a", "b"], ["c"]]


def test_wrong_json_lines_can_be_reported_and_left_out() -> None:
    bad: list[RowError] = []
    rows = list(json_rows(['{"a": 1}', "", "{", "2"], bad=bad.append))
    assert rows == [(1, {"a": 1}), (4, 2)]
    assert [(error.number, error.problem[:11]) for error in bad] == [(3, "is not JSON")]


def test_a_row_of_csv_has_the_number_of_the_line_on_which_it_begins() -> None:
    assert list(csv_rows(["a;b\r\n", '"x\r\n', 'y";1\r\n', "\r\n", "z;2"])) == [
        (1, ("a", "b")),
        (2, ("x\r\ny", "1")),
        (5, ("z", "2")),
    ]


def test_the_delimiter_of_csv_is_the_one_that_gives_the_expected_columns() -> None:
    assert list(csv_rows(["a,b;c"], columns=2)) == [(1, ("a", "b;c"))]
    assert list(csv_rows(["a,b;c;d"])) == [(1, ("a,b", "c", "d"))]


def test_quotation_marks_in_tsv_are_text() -> None:
    assert list(tsv_rows(['say "hi\t1', "  ", "\t"])) == [(1, ('say "hi', "1")), (3, ("", ""))]


@pytest.mark.parametrize(
    ("lines", "rows"),
    [
        (["Ticket, text;queue", "a, b;c"], [("Ticket, text", "queue"), ("a, b", "c")]),
        (["label, text", 'a, "b, c"'], [("label", "text"), ("a", "b, c")]),
        (["label,text", 'a, "b, c"'], [("label", "text"), ("a", "b, c")]),
        (["text,label", "'a, b','c'", "'d ''e''',f"], [("text", "label"), ("a, b", "c"), ("d 'e'", "f")]),
        (["text,label", "'tis,c", "'a',d"], [("text", "label"), ("'tis", "c"), ("'a'", "d")]),
        (["text,label", "it's, so 'tis", "x,y"], [("text", "label"), ("it's", " so 'tis"), ("x", "y")]),
    ],
)
def test_the_first_lines_show_how_csv_is_written(lines: list[str], rows: list[tuple[str, ...]]) -> None:
    assert [row.value for row in csv_rows(lines)] == rows


def test_a_known_name_decides_between_two_delimiters() -> None:
    lines = ["a,b;text", "x,y;z"]
    assert next(csv_rows(lines, known={"text"}.__contains__)).value == ("a,b", "text")
    assert next(csv_rows(lines)).value == ("a", "b;text")


def test_backslashes_before_quotation_marks_are_named() -> None:
    with pytest.raises(RowError, match="have a backslash before them"):
        list(csv_rows(["text,label", '"say \\"a\\", b",c']))


def test_rows_that_can_not_be_inputs_come_with_their_problem(make_file: FileMaker) -> None:
    path = make_file("a.jsonl", '{"text": "play"}\n\n{\n{"text": " "}\n{"text": 7}\n{"body": "x"}\n"off"\n{')
    rows = list(input_rows(numbered_texts(path, "text"), str(path)))
    assert [(row.number, row.given) for row in rows] == [
        (1, "play"), (3, None), (4, None), (5, None), (6, None), (7, "off"), (8, None),
    ]  # fmt: skip
    assert [row.number for row in rows if row.problem] == [3, 5, 6, 8]
    assert rows[1].problem.startswith(f"{path}, line 3 is not JSON")
    assert rows[4].problem.startswith(f"{path}, line 6: no 'text' among body")
    path = make_file("a.csv", "id,text\n1,play\n2\n3,off\n")
    assert [row.problem for row in input_rows(numbered_texts(path, "text"), str(path))] == [
        None, f"{path}, line 3 has 1 cells under 2 columns", None,
    ]  # fmt: skip


def test_a_key_that_the_first_object_lacks_is_an_error(make_file: FileMaker) -> None:
    path = make_file("a.jsonl", '{"body": "play"}\n{"text": "off"}\n')
    with pytest.raises(ft.InputError, match="no 'text' among body; name it with --column NAME"):
        list(input_rows(numbered_texts(path, "text"), str(path)))
