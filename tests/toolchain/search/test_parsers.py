"""Parsing HTML, Markdown and JSONL, and detecting encodings."""

import codecs
import json
import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftool.encodings import examine, read_decoded
from ftool.errors import DocumentError
from ftool.search.parsers.html import visible_text
from ftool.search.parsers.json_lines import BadRows, json_documents
from ftool.search.parsers.markdown import visible_markdown
from ftool.search.types import Heading, Piece, Title


def text_of(pieces: Iterable[Piece]) -> str:
    return "".join(piece for piece in pieces if isinstance(piece, str))


def html(page: str) -> str:
    return text_of(visible_text([page]))


@pytest.mark.parametrize(
    ("page", "shown"),
    [
        ("<p>One\n  line,</p><p>and <b>bo</b>ld.</p>", "One line,\n\nand bold."),
        ("a<br>b<br><br>c", "a\nb\n\nc"),
        ("<ul><li>one<li>two</ul>after", "one\ntwo\n\nafter"),
        ("<table><tr><td>a<td>b<tr><td>c</table>", "a b\nc"),
        ("<pre>x\n  y</pre>", "x\n  y"),
        ("x &lt; y &amp;&nbsp;z &#20013;", "x < y &\xa0z 中"),
        ("<script>var a='<p>no</p>'</script>yes<style>p{}</style>", "yes"),
        (
            "<p hidden>no</p>yes<div style='color:red; DISPLAY : none'>n<p>o</p></div><p hidden=until-found>found",
            "yes\n\nfound",
        ),
        ("<p>no end <i>at all", "no end at all"),
        ("</div></p>only ends", "only ends"),
        ("no tags, a < b", "no tags, a < b"),
        ("", ""),
        ("  \n ", ""),
        ("<p>隐私<em>政策</em></p>", "隐私政策"),
        ('<meta charset="gbk"><p>é隐</p>', "é隐"),  # ignored: the text is already decoded
        ("<p dir=rtl>שלום <b>עולם</b></p>", "שלום עולם"),
    ],
)
def test_html_gives_the_text_that_a_browser_shows(page: str, shown: str) -> None:
    assert html(page) == shown


def test_titles_and_headings_are_found() -> None:
    page = "<title> My\n page </title><h1>Top</h1><p>a<h2>Be<b>low</b></h2>b<svg><title>no</title></svg>"
    assert list(visible_text([page])) == [
        Title("My page"),
        Heading(1, "Top"),
        "Top",
        "\n\na",
        "\n\n",
        Heading(2, "Below"),
        "Below",
        "\n\nb",
    ]


@given(st.text(alphabet="<>/ab \nph1&;'\"=é中", max_size=60), st.integers(1, 7))
def test_html_in_pieces_gives_the_same_text(page: str, size: int) -> None:
    assert text_of(visible_text(page[at : at + size] for at in range(0, len(page), size))) == html(page)


def test_markdown_gives_text_without_markup() -> None:
    source = "# The *top*\n\nSee [the page](https://x.org/very/long) and `code`.\n\n* one\n* two\n"
    source += "\n| a | b |\n|---|---|\n| c | d |\n"
    pieces = list(visible_markdown([source]))
    assert Heading(1, "The top") in pieces
    assert text_of(pieces) == "The top\n\nSee the page and code.\n\none\ntwo\n\na b\nc d"


@pytest.mark.parametrize("depth", [9, 30, 300, 3000])
@pytest.mark.parametrize("kind", ["list", "quote", "quotes and lists", "brackets"])
def test_no_text_of_nested_markdown_is_lost(kind: str, depth: int) -> None:
    lines = {
        "list": [f"{'  ' * level}- item{level}." for level in range(depth)],
        "quote": [f"{'>' * depth} item0.", "", f"item{depth - 1}."],
        "quotes and lists": [f"{'> ' * level}- item{level}.\n" for level in range(0, depth, 7)],
        "brackets": [f"item0. {'[' * depth} item{depth - 1}."],
    }[kind]
    found = text_of(visible_markdown(["\n".join(lines)]))
    wanted = re.findall(r"item\d+\.", "\n".join(lines))
    assert re.findall(r"item\d+\.", found) == wanted


def test_front_matter_is_not_text() -> None:
    pieces = list(visible_markdown(['---\ntitle: "Keeping"\ndate: 2026\n---\n\nText.\n']))
    assert pieces[0] == Title("Keeping")
    assert text_of(pieces) == "Text."


def test_a_horizontal_rule_at_the_top_is_not_front_matter() -> None:
    assert text_of(visible_markdown(["---\n\nText, and no second rule.\n"])) == "Text, and no second rule."


def test_long_markdown_is_parsed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    source = "# A\n\nOne.\n\n```\n# no heading\n\nin code\n```\n\n## B\n\n" + "Two.\n\n" * 50
    whole = list(visible_markdown([source]))
    monkeypatch.setattr("ftool.search.parsers.markdown._PART", 20)
    parted = list(visible_markdown([source[at : at + 7] for at in range(0, len(source), 7)]))
    assert text_of(parted) == text_of(whole)
    assert [p for p in parted if isinstance(p, Heading)] == [Heading(1, "A"), Heading(2, "B")]


@pytest.mark.parametrize(
    ("content", "encoding", "guessed"),
    [
        ("naïve 中文".encode(), "utf-8", False),
        (codecs.BOM_UTF8 + "naïve".encode(), "utf-8-sig", False),
        ("naïve 中文".encode("utf-16"), "utf-16", False),
        (codecs.BOM_UTF16_BE + "naïve".encode("utf-16-be"), "utf-16", False),
        ("naïve plain text".encode("utf-16-le"), "utf-16-le", False),
        ("naïve plain text".encode("utf-16-be"), "utf-16-be", False),
        ("naïve “text”".encode("windows-1252"), "windows-1252", True),
        ("Größe und Maß: die Straße führt über den Fluß.".encode("windows-1252"), "windows-1252", True),
        ("whale: 这是一个国标编码的文件，里面有关于鲸鱼的内容。".encode("gb18030"), "gb18030", True),
        ("這是一個大五碼的文件，裡面有關於鯨魚的內容。".encode("big5"), "big5", True),
        ("これは日本語の文書です。クジラは海に住む哺乳類です。".encode("cp932"), "cp932", True),
        ("이것은 한국어 문서입니다. 고래는 바다에 사는 포유류입니다.".encode("cp949"), "cp949", True),
        ("Киты живут в море и дышат воздухом.".encode("cp1251"), "cp1251", True),
        ("naïve \x81 text".encode("latin-1"), "latin-1", True),
        ("<html><meta charset='gb2312'><p>隐私政策".encode("gb2312"), "gb2312", False),
        (b"\x7fELF\x02\x01\x00\x00\x00\x00", None, False),
        (bytes(range(1, 256)) * 20, None, False),
    ],
)
def test_encodings_are_detected(tmp_path: Path, content: bytes, encoding: str | None, guessed: bool) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    found = examine(path)
    assert (found.encoding, found.guessed) == (encoding, guessed)
    if encoding is not None:
        assert "".join(read_decoded(path, encoding)).encode("utf-8", "ignore")


def test_line_ends_and_characters_are_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(codecs.BOM_UTF8 + "a\r\nb\rc\n𠮷".encode())
    assert "".join(read_decoded(path, "utf-8-sig")) == "a\r\nb\rc\n𠮷"


def test_a_character_across_two_chunks_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    path.write_text("中文字" * 10, encoding="utf-8")
    monkeypatch.setattr("ftool.encodings._CHUNK", 4)
    assert examine(path).encoding == "utf-8"
    assert "".join(read_decoded(path, "utf-8")) == "中文字" * 10


def test_a_wrong_encoding_is_refused_with_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"abc\xff")
    with pytest.raises(DocumentError, match="not utf-8: byte 0xff near offset 3"):
        list(read_decoded(path, "utf-8"))


def test_an_unknown_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("abc")
    with pytest.raises(DocumentError, match="unknown encoding 'utf-9'"):
        examine(path, "utf-9")


@pytest.mark.parametrize(
    "encoding", ["hex", "rot13", "zlib", "undefined", "unicode_escape", "idna", "punycode", "a\0b"]
)
def test_codecs_that_are_not_for_files_are_refused(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.txt"
    path.write_text("abc")
    with pytest.raises(DocumentError, match="unknown encoding"):
        examine(path, encoding)


def test_utf_16_without_a_byte_order_mark_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"abcd")
    with pytest.raises(DocumentError, match=r"not utf-16: .*BOM"):
        list(read_decoded(path, "utf-16"))


@pytest.mark.parametrize(
    ("declared", "encoding", "guessed"),
    [
        ("utf-16", "utf-8", False),  # as in the HTML standard
        ("utf-16le", "utf-8", False),
        ("hex", "windows-1252", True),
    ],
)
def test_an_impossible_declared_encoding_is_ignored(
    tmp_path: Path, declared: str, encoding: str, guessed: bool
) -> None:
    path = tmp_path / "a.html"
    path.write_bytes(f"<meta charset={declared}><p>naïve".encode("latin-1"))
    found = examine(path)
    assert (found.encoding, found.guessed) == (encoding, guessed)


def rows(*values: object, column: str | None = None, bad: BadRows | None = None) -> list[tuple[str, str]]:
    lines = "\n".join(value if isinstance(value, str) else json.dumps(value) for value in values)
    found = json_documents([lines], "a.jsonl", BadRows() if bad is None else bad, column)
    return [(d.name, text_of(d.pieces())) for d in found]


def test_rows_of_jsonl_are_documents() -> None:
    assert rows({"_id": "x", "title": "T", "text": "one"}, "", {"content": "two"}, '"three"') == [
        ("a.jsonl#x", "one"),
        ("a.jsonl#3", "two"),
        ("a.jsonl#4", "three"),
    ]


def test_lone_surrogates_of_json_are_replaced_one_for_one() -> None:
    assert rows('{"text": "a\\ud800b"}') == [("a.jsonl#1", "a\ufffdb")]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (['{"text": "a"', {}], "row 1 is not JSON"),
        ([{"text": "a"}, {"words": "b"}], "row 2 has none of text, content"),
        ([{"text": 7}], "row 1: 'text' must be a string, got int"),
        ([[1, 2]], "row 1 must be an object with a text"),
        ([{"id": 1, "text": "a"}, {"id": "1", "text": "b"}], "row 2 has the id '1', which row 1 has too"),
    ],
)
def test_bad_rows_are_noted_by_number(values: list[object], said: str) -> None:
    bad = BadRows()
    rows(*values, bad=bad)
    assert said in bad.message("a.jsonl")


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([{"id": "2", "text": "a"}, {"text": "b"}], ["2", "row 2"]),
        ([{"text": "a"}, {"id": 1, "text": "b"}], ["1", "id 1"]),
        ([{"id": 1.5, "text": "a"}, {"id": 2.0, "text": "b"}], ["1.5", "2.0"]),
        ([{"id": None, "text": "a"}, {"id": "", "text": "b"}], ["1", "2"]),
    ],
)
def test_ids_and_row_numbers_are_distinguished(values: list[object], names: list[str]) -> None:
    bad = BadRows()
    assert [name for name, _ in rows(*values, bad=bad)] == [f"a.jsonl#{name}" for name in names]
    assert bad.count == 0


def test_ids_are_unique() -> None:
    bad = BadRows()
    assert len(rows({"text": "a"}, {"id": 1, "text": "b"}, {"id": "1", "text": "c"}, bad=bad)) == 2
    assert "row 3 has the id '1', which row 2 has too" in bad.message("a.jsonl")


def test_rows_after_a_bad_one_are_read() -> None:
    bad = BadRows()
    values = [{"id": 7, "text": None}, {"id": 7, "text": "one"}, {"text": 1}, {"id": "b", "text": "two"}]
    assert rows(*values, bad=bad) == [("a.jsonl#7", "one"), ("a.jsonl#b", "two")]
    assert bad.message("a.jsonl") == (
        "2 rows of a.jsonl left out: row 1: 'text' must be a string, got NoneType; "
        "row 3: 'text' must be a string, got int"
    )


def test_of_many_bad_rows_the_first_are_listed() -> None:
    bad = BadRows()
    assert rows(*[{"text": None}] * 30, {"text": "good"}, bad=bad) == [("a.jsonl#31", "good")]
    assert bad.message("a.jsonl").startswith("30 rows of a.jsonl left out: row 1: ")
    assert bad.message("a.jsonl").endswith("; and 25 more")


def test_the_given_column_is_used() -> None:
    assert rows({"text": "no", "answer": "yes"}, column="answer") == [("a.jsonl#1", "yes")]
    bad = BadRows()
    assert rows({"text": "no"}, column="answer", bad=bad) == []
    assert "row 1 has no 'answer' among its keys text" in bad.message("a.jsonl")


def test_ids_that_differ_only_in_what_can_not_be_stored_do_not_replace_each_other() -> None:
    bad = BadRows()
    values = (
        '{"id": "\\ud800", "text": "one"}',
        '{"id": "\\ud801", "text": "two"}',
        '{"id": "c", "text": "three"}',
    )
    assert rows(*values, bad=bad) == [("a.jsonl#\ufffd", "one"), ("a.jsonl#c", "three")]
    assert "row 2 has the id '\ufffd', which row 1 has too" in bad.message("a.jsonl")
