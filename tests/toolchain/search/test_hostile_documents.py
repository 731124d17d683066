"""Documents that were made to hang or to fill the memory are named, and the other documents are indexed."""

import os
import zipfile
from pathlib import Path

import pytest
from tests.toolchain.search.conftest import Indexing

from ftool import unpacking
from ftool.errors import DocumentError
from ftool.search.parsers.formats import format_pieces

_CONTAINER = '<container><rootfiles><rootfile full-path="book.opf"/></rootfiles></container>'
_ITEM = "<item id='{0}' href='{0}.html' media-type='text/html'/>"
_REFERENCE = "<itemref idref='{0}'/>"


def book(path: Path, chapters: dict[str, str], spine: list[str]) -> Path:
    """Write an EPUB file whose spine lists the chapters of these names."""
    items = "".join(map(_ITEM.format, chapters))
    package = f"<package><manifest>{items}</manifest><spine>{''.join(map(_REFERENCE.format, spine))}</spine>"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("META-INF/container.xml", _CONTAINER)
        archive.writestr("book.opf", package + "</package>")
        for name, text in chapters.items():
            archive.writestr(f"{name}.html", f"<p>{text}</p>")
    return path


@pytest.mark.skipif(os.name == "nt", reason="needs named pipes and devices")
@pytest.mark.timeout(20, func_only=True)
def test_pipes_and_devices_among_documents_are_named_and_not_opened(index: Indexing, docs: Path) -> None:
    names = ("a.txt", "b.md", "c.html", "d.jsonl", "e.epub", "f.pdf")
    for name in names:
        os.mkfifo(docs / f"pipe-{name}")
        (docs / f"device-{name}").symlink_to("/dev/zero")
    built = index("docs")
    assert built.report.added == 3
    what = {"pipe": "a named pipe", "device": "a device"}
    assert built.report.failed == {
        f"docs/{kind}-{name}": f"can't be read: it is {what[kind]}, not a regular file"
        for kind in what
        for name in names
        if f"docs/{kind}-{name}" in built.report.failed or name != "f.pdf"  # left out without pypdf
    }
    assert "it is a named pipe" in index("docs/pipe-a.txt").report.failed["docs/pipe-a.txt"]


def test_a_chapter_is_read_once_however_often_the_spine_names_it(tmp_path: Path) -> None:
    path = book(tmp_path / "a.epub", {"one": "It rained.", "two": "It ended."}, ["one", "two", *["one"] * 9])
    assert "".join(map(str, format_pieces(path))).split() == ["It", "rained.", "It", "ended."]


def test_a_document_that_unpacks_to_far_more_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacking, "_RATIO", 10)
    monkeypatch.setattr(unpacking, "_ALWAYS", 400)
    path = book(tmp_path / "a.epub", {f"c{number}": "rain " * 5_000 for number in range(5)}, ["c0"])
    with pytest.raises(DocumentError, match="unpacks from") as error:
        list(format_pieces(path))
    assert str(error.value).startswith(f"{path}: ")


def test_text_is_bounded_where_the_parts_are_not() -> None:
    assert list(unpacking.bounded(["a" * 30, None, "b"], 1)) == ["a" * 30, None, "b"]
    with pytest.raises(unpacking.TooLargeError, match="unpacks from 9 bytes to more"):
        for _ in unpacking.bounded(("a" * 10**6 for _ in range(10**6)), 9):
            pass
