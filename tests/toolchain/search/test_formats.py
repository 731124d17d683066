"""PDF, Word, PowerPoint, Excel and EPUB files, written by other programs' libraries, are indexed or refused by name."""

import datetime
import importlib.util
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.cli import ftool

from ftool.errors import DocumentError
from ftool.search.parsers.formats import format_pieces
from ftool.search.types import Heading, Piece, Title
from ftool_runtime.knowledge import KnowledgeBase

docx = pytest.importorskip("docx")
pptx = pytest.importorskip("pptx")
openpyxl = pytest.importorskip("openpyxl")
canvas = pytest.importorskip("reportlab.pdfgen.canvas")
pypdf = pytest.importorskip("pypdf")

A_PAGE = ["Duration", "The war-", "ranty of the ﬁlter lasts two years."]


def write_pdf(path: Path, *pages: list[str] | None, title: str = "", sections: bool = False) -> Path:
    """Write a PDF file of lines of text; a page that is None is an image."""
    import matplotlib
    import PIL.Image
    from reportlab.pdfbase import pdfmetrics, ttfonts

    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    pdfmetrics.registerFont(ttfonts.TTFont("DejaVu", str(fonts / "DejaVuSans.ttf")))  # has ligatures
    drawing = canvas.Canvas(str(path))
    drawing.setTitle(title or "untitled")
    for lines in pages:
        if lines is None:
            drawing.drawImage(canvas.ImageReader(PIL.Image.new("L", (40, 40), 200)), 0, 0, 500, 700)
        elif lines:
            if sections:
                drawing.bookmarkPage(lines[0])
                drawing.addOutlineEntry(lines[0], lines[0])
            drawing.setFont("DejaVu", 12)
            for at, line in enumerate(lines):
                drawing.drawString(60, 700 - 20 * at, line)
        drawing.showPage()
    drawing.save()
    return path


def protected(path: Path, password: str) -> Path:
    writer = pypdf.PdfWriter(clone_from=str(write_pdf(path, A_PAGE)))
    writer.encrypt(password, "owner", algorithm="AES-256")
    writer.write(str(path))
    return path


def write_docx(path: Path, *, text: bool = True) -> Path:
    document = docx.Document()
    if text:
        document.add_heading("Handbook", 0)
        document.add_heading("Holidays", 1)
        document.add_paragraph("Everyone has <25> days & a half.")
        document.add_paragraph("Ask early", style="List Bullet")
        table = document.add_table(rows=1, cols=2)
        table.cell(0, 0).text, table.cell(0, 1).text = "Senior", "28"
    document.save(str(path))
    return path


def write_pptx(path: Path) -> Path:
    slides = pptx.Presentation()
    slide = slides.slides.add_slide(slides.slide_layouts[1])
    slide.shapes.title.text = "Milestones"
    slide.placeholders[1].text_frame.text = "Beta in March"
    slide.notes_slide.notes_text_frame.text = "June is not certain."
    untitled = slides.slides.add_slide(slides.slide_layouts[6])
    table = untitled.shapes.add_table(2, 2, 0, 0, 3000000, 900000).table
    for at, value in enumerate(("Team", "Budget", "Sales", "40,000")):
        table.cell(at // 2, at % 2).text = value
    group = untitled.shapes.add_group_shape()
    group.shapes.add_textbox(0, 0, 9, 9).text_frame.text = "Approved"
    slides.save(str(path))
    return path


def write_xlsx(path: Path) -> Path:
    book = openpyxl.Workbook()
    faults = book.active
    faults.title = "Faults"
    for row in (
        ["Code", "Meaning", "Since"],
        ["E17", "Pump blocked", datetime.date(2026, 3, 4)],
        [],
        ["E18", None, datetime.datetime(2026, 3, 5, 10, 30)],
    ):
        faults.append(row)
    phones = book.create_sheet("Phones")
    phones.append(["Ada", "0123"])
    phones.append(["Ben", 12.5])
    secret = book.create_sheet("Secret")
    secret.append(["hidden"])
    secret.sheet_state = "hidden"
    book.create_sheet("Empty")
    book.save(path)
    return path


def write_epub(path: Path, *, lock: bool = False, without: str = "") -> Path:
    page = '<html xmlns="http://www.w3.org/1999/xhtml"><head><title>{0}</title></head><body><h1>{0}</h1><p>{1}</p></body></html>'
    files = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="OEBPS/book.opf"/></rootfiles></container>',
        "OEBPS/book.opf": '<package xmlns="http://www.idpf.org/2007/opf"><metadata '
        'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>A Novel</dc:title></metadata><manifest>'
        '<item id="b" href="text/b.xhtml" media-type="application/xhtml+xml"/>'
        '<item id="a" href="text/chapter%20a.xhtml" media-type="application/xhtml+xml"/>'
        '<item id="n" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/></manifest>'
        '<spine><itemref idref="n"/><itemref idref="a"/><itemref idref="b"/></spine></package>',
        "OEBPS/nav.xhtml": page.format("Contents", "The calm"),
        "OEBPS/text/b.xhtml": page.format("The calm", "Snails came out."),
        "OEBPS/text/chapter a.xhtml": page.format("The storm", "It rained in Ghent."),
    }
    if lock:
        files["META-INF/encryption.xml"] = (
            '<encryption xmlns:e="http://www.w3.org/2001/04/xmlenc#">'
            '<e:CipherReference URI="OEBPS/text/b.xhtml"/></encryption>'
        )
    with zipfile.ZipFile(path, "w") as book:
        for name, content in files.items():
            if name != without:
                book.writestr(name, content)
    return path


def text_of(pieces: list[Piece]) -> str:
    return "".join(piece for piece in pieces if isinstance(piece, str))


def headings_of(pieces: list[Piece]) -> list[Heading]:
    return [piece for piece in pieces if isinstance(piece, Heading)]


def test_a_pdf_file_is_read_with_title_sections_and_pages(tmp_path: Path) -> None:
    path = write_pdf(
        tmp_path / "a.pdf", A_PAGE, [], ["2 Returns", "Send it to Graz."], title="Terms", sections=True
    )
    pieces = list(format_pieces(path))
    assert pieces[0] == Title("Terms")
    assert headings_of(pieces) == [
        Heading(6, "page 1"), Heading(1, "Duration"), Heading(6, "page 1"),
        Heading(6, "page 3"), Heading(1, "2 Returns"), Heading(6, "page 3"),
    ]  # fmt: skip
    assert text_of(pieces) == (
        "Duration\nThe warranty of the filter lasts two years.\n\n2 Returns\nSend it to Graz.\n\n"
    )


def test_a_title_that_says_nothing_and_pages_without_bookmarks(tmp_path: Path) -> None:
    pieces = list(format_pieces(write_pdf(tmp_path / "a.pdf", ["One", "UTF-", "8"])))
    assert pieces == [Heading(6, "page 1"), "", "One\n", "UTF-\n", "8", "\n\n"]


def test_a_pdf_file_with_only_an_owners_password_is_read(tmp_path: Path) -> None:
    assert "two years" in text_of(list(format_pieces(protected(tmp_path / "a.pdf", ""))))


def test_pages_that_are_images_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_pdf(tmp_path / "a.pdf", None, ["Text"], [], None)
    assert text_of(list(format_pieces(path))) == "Text\n\n"
    assert "a.pdf: 2 of 4 pages are images without text and are not indexed (page 1, 4)" in caplog.text


def test_a_word_file_is_read_with_headings_lists_and_tables(tmp_path: Path) -> None:
    pieces = list(format_pieces(write_docx(tmp_path / "a.docx")))
    assert headings_of(pieces) == [Heading(1, "Handbook"), Heading(2, "Holidays")]
    assert text_of(pieces) == (
        "Handbook\n\nHolidays\n\nEveryone has <25> days & a half.\n\nAsk early\n\nSenior 28"
    )


def test_a_powerpoint_file_is_read_with_tables_groups_and_notes(tmp_path: Path) -> None:
    pieces = list(format_pieces(write_pptx(tmp_path / "a.pptx")))
    assert headings_of(pieces) == [Heading(1, "Milestones"), Heading(6, "slide 1"), Heading(1, "slide 2")]
    assert text_of(pieces) == (
        "Milestones\n\nBeta in March\n\nJune is not certain.\n\nTeam: Sales; Budget: 40,000\n\nApproved\n\n"
    )


def test_an_excel_file_is_read_row_by_row_with_the_names_of_columns(tmp_path: Path) -> None:
    pieces = list(format_pieces(write_xlsx(tmp_path / "a.xlsx")))
    assert headings_of(pieces) == [Heading(1, "Faults"), Heading(1, "Phones")]
    assert text_of(pieces) == (
        "Faults\n\nCode: E17; Meaning: Pump blocked; Since: 2026-03-04\n\nCode: E18; Since: 2026-03-05 10:30\n\n"
        "Phones\n\nAda; 0123\n\nBen; 12.5\n\n"
    )


def test_a_book_is_read_in_the_order_of_its_spine(tmp_path: Path) -> None:
    pieces = list(format_pieces(write_epub(tmp_path / "a.epub")))
    assert (pieces[0], headings_of(pieces)) == (
        Title("A Novel"),
        [Heading(1, "The storm"), Heading(1, "The calm")],
    )
    assert text_of(pieces) == "The storm\n\nIt rained in Ghent.\n\nThe calm\n\nSnails came out.\n\n"


def zipped_bomb(path: Path) -> Path:
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("word/document.xml", "w") as part,
    ):
        for _ in range(2**8 + 1):
            part.write(bytes(2**20))
    return path


def cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def bytes_at(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda d: write_pdf(d / "a.pdf", None, None), "a scan; its 2 pages are images without text; recognise"),
        (lambda d: write_pdf(d / "a.pdf", None), "a scan; its 1 page is an image without text; recognise"),
        (lambda d: protected(d / "a.pdf", "secret"), "needs a password"),
        (lambda d: cut(write_pdf(d / "a.pdf", A_PAGE)), "damaged, or not in PDF format"),
        (lambda d: bytes_at(d / "a.pdf", b"<html>not found"), "damaged, or not in PDF format"),
        (lambda d: cut(write_docx(d / "a.docx")), "damaged, or not in Word format"),
        (lambda d: bytes_at(d / "a.docx", b"\xd0\xcf\x11\xe0" * 99), "has a password or the format of Office 97"),
        (lambda d: write_xlsx(d / "a.xlsx").rename(d / "a.docx"), "damaged, or not in Word format"),
        (lambda d: write_docx(d / "a.docx").rename(d / "a.pptx"), "damaged, or not in PowerPoint format"),
        (lambda d: zipped_bomb(d / "a.docx"), "unpacks to a part of 269,484,032 bytes"),
        (lambda d: write_epub(d / "a.epub", lock=True), "encrypted for its reading device"),
        (lambda d: write_epub(d / "a.epub", without="OEBPS/text/b.xhtml"), "its chapter OEBPS/text/b.xhtml is missing"),
        (lambda d: write_epub(d / "a.epub", without="OEBPS/book.opf"), "damaged, or not in EPUB format"),
    ],
)  # fmt: skip
def test_what_can_not_be_read_is_refused_by_name(
    make: Callable[[Path], Path], said: str, tmp_path: Path
) -> None:
    path = make(tmp_path)
    with pytest.raises(DocumentError) as error:
        list(format_pieces(path))
    assert str(error.value).startswith(f"{path}: ")
    assert said in str(error.value)


@pytest.fixture
def mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of five documents in different formats, in the current folder."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "mixed"
    folder.mkdir()
    write_pdf(folder / "warranty.pdf", A_PAGE)
    write_pdf(folder / "price.PDF", ["The price is 40 EUR."])
    write_docx(folder / "handbook.docx")
    write_epub(folder / "novel.epub")
    (folder / "note.txt").write_text("Nobody sells your data.")
    return folder


def index(*roots: object) -> tuple[int, str, str]:
    done = ftool("index", *roots, "-o", "kb.db", "--embedder", "none")
    return done.exit_code, done.stdout, done.stderr


def test_a_folder_of_documents_is_indexed_and_updated(mixed: Path) -> None:
    assert "5 documents" in index("mixed")[1]
    write_pdf(mixed / "warranty.pdf", ["Seven years."])
    assert "0 added, 1 replaced, 4 unchanged, 0 deleted" in index("mixed")[1]
    with KnowledgeBase.open("kb.db") as base:
        found = base.search("seven years")[0]
        assert (found.document, found.heading, found.text) == ("mixed/warranty.pdf", "page 1", "Seven years.")
        assert base.text(found.document)[found.start : found.end] == found.text


WITHOUT_TEXT: dict[str, Callable[[Path], object]] = {
    "a.docx": lambda path: write_docx(path, text=False),
    "a.pdf": lambda path: write_pdf(path, []),
    "a.html": lambda path: path.write_text("<html><body> </body></html>"),
    "a.txt": lambda path: path.write_text(" \n"),
}


@pytest.mark.parametrize("name", WITHOUT_TEXT)
def test_a_file_without_text_is_counted_as_empty_in_every_format(name: str, mixed: Path) -> None:
    WITHOUT_TEXT[name](mixed / name)
    code, out, err = index("mixed")
    assert (code, err) == (0, "")
    assert "5 documents" in out
    assert "left out: 1 empty" in out


def test_a_document_that_lost_its_text_stays_until_sync(mixed: Path) -> None:
    index("mixed")
    write_docx(mixed / "handbook.docx", text=False)
    code, out, err = index("mixed")
    assert (code, "5 documents" in out) == (0, True)
    assert "handbook.docx is now empty; its earlier documents stay in kb.db" in err
    done = ftool("index", "mixed", "-o", "kb.db", "--sync", "--embedder", "none")
    assert "4 documents" in done.stdout


def test_a_scan_is_told_and_the_other_files_are_indexed(mixed: Path) -> None:
    write_pdf(mixed / "scan.pdf", None)
    code, out, err = index("mixed")
    assert (code, "5 documents" in out) == (2, True)
    assert "mixed/scan.pdf: a scan" in err
    assert "ocrmypdf" in err


_find_spec = importlib.util.find_spec


def without_documents(name: str) -> Any:
    """`find_spec` where the packages of [documents] are not installed, but those of [search] are."""
    return None if name in ("mammoth", "openpyxl", "pptx", "pypdf") else _find_spec(name)


def test_a_named_file_that_needs_the_extra_is_refused_before_anything_is_written(
    mixed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", without_documents)
    code, out, err = index("mixed/note.txt", "mixed/warranty.pdf", "mixed/handbook.docx")
    assert (code, out) == (2, "")
    assert (
        err
        == "Error: mixed/warranty.pdf and 1 more: install what reads them: pip install 'ftool[documents]'\n"
    )
    assert not Path("kb.db").exists()


def test_files_in_a_folder_that_need_the_extra_are_counted(
    mixed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as without:
        without.setattr(importlib.util, "find_spec", without_documents)
        code, out, err = index("mixed")
    assert (code, "2 documents" in out) == (0, True)  # the book needs lxml alone
    assert "left out: 2 .pdf, 1 .docx" in out
    assert (
        err == "Warning: left out: 1 .docx, 2 .pdf; install what reads them: pip install 'ftool[documents]'\n"
    )
    assert "5 documents" in index("mixed")[1]
    monkeypatch.setattr(importlib.util, "find_spec", without_documents)
    done = ftool("index", "mixed", "-o", "kb.db", "--sync")
    assert "5 documents" in done.stdout  # their documents stay


@pytest.mark.parametrize("name", ["photo.png", "old.doc", "data"])
def test_a_named_binary_file_of_another_format_is_refused(name: str, mixed: Path) -> None:
    Path(name).write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" * 9)
    code, _, err = index("mixed", name)
    assert code == 2
    assert f"{name}: binary, and its suffix is not one of .txt, .text, .md" in err
