"""Extract the text of Word, PowerPoint and Excel files: with mammoth, python-pptx and openpyxl."""

import datetime
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ftool.search.parsers.html import visible_text
from ftool.search.types import Heading, Piece, Title

_BELOW_TITLES = 6  # the level of "slide 3", below all titles
_CELL_EDGES = re.compile(
    r"(<t[dh][^>]*>)<p>|</p>(</t[dh]>)"
)  # without them, the cells of a row stay on one line
# Word's title stands above its headings, which mammoth knows as h1 to h6.
_STYLES = "\n".join(
    [
        "p[style-name='Title'] => h1:fresh",
        *(f"p[style-name='Heading {level}'] => h{min(level + 1, 6)}:fresh" for level in range(1, 7)),
        *(f"p[style-name='heading {level}'] => h{min(level + 1, 6)}:fresh" for level in range(1, 7)),
    ]
)


def docx_pieces(path: Path) -> Iterator[Piece]:
    """Yield the text and the headings of the Word file at `path`, with notes, without page headers and footers."""
    import mammoth

    with path.open("rb") as file:
        page = mammoth.convert_to_html(
            file, style_map=_STYLES, convert_image=mammoth.images.img_element(lambda _: {})
        )
    yield from visible_text([_CELL_EDGES.sub(r"\1\2", page.value)])


def pptx_pieces(path: Path) -> Iterator[Piece]:
    """Yield the text, the titles and the notes of the slides of the PowerPoint file at `path`."""
    from pptx import Presentation

    slides = Presentation(str(path))
    if title := slides.core_properties.title:
        yield Title(title)
    for number, slide in enumerate(slides.slides, start=1):
        title = slide.shapes.title
        if title is not None and title.text_frame.text.strip():
            text = " ".join(title.text_frame.text.split())
            yield from (Heading(1, text), text, "\n\n")
        yield from (Heading(1 if title is None else _BELOW_TITLES, f"slide {number}"), "")
        for text in _shape_texts(shape for shape in slide.shapes if title is None or shape != title):
            yield from (text, "\n\n")
        if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
            yield from (slide.notes_slide.notes_text_frame.text.strip(), "\n\n")


def _shape_texts(shapes: Iterable[Any]) -> Iterator[str]:
    """Yield the texts of shapes, including those in groups, and the rows of tables."""
    for shape in shapes:
        if hasattr(shape, "shapes"):
            yield from _shape_texts(shape.shapes)
        elif getattr(shape, "has_table", False):
            rows = [[cell.text.strip() for cell in row.cells] for row in shape.table.rows]
            yield "\n".join(_row_lines(rows))
        elif shape.has_text_frame and shape.text_frame.text.strip():
            yield shape.text_frame.text.strip().replace("\v", "\n")


def xlsx_pieces(path: Path) -> Iterator[Piece]:
    """Yield the rows of the visible sheets of the Excel file at `path`; each sheet's name is a heading.

    Formulas are read as the value that the file holds, which the program that saved the file has computed.
    """
    from openpyxl import load_workbook

    book = load_workbook(path, read_only=True, data_only=True)
    try:
        for sheet in book.worksheets:
            if sheet.sheet_state != "visible":
                continue
            rows = ([_cell(value) for value in row] for row in sheet.iter_rows(values_only=True))
            begun = False
            for line in _row_lines(rows):
                if not begun:
                    yield from (Heading(1, sheet.title), sheet.title, "\n\n")
                begun = True
                yield from (line, "\n\n")
    finally:
        book.close()


def _row_lines(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield each row of a table as a line: "Code: E17; Meaning: pump blocked" if the first row names the columns."""
    filled = (row for row in rows if any(row))
    first = next(filled, None)
    if first is None:
        return
    width = max(at + 1 for at, value in enumerate(first) if value)
    names = list(first[:width])
    if width == 1 or not all(names) or any(map(_is_number, names)):
        names = []
        yield "; ".join(filter(None, first))
    second = next(filled, None)
    if second is None:
        if names:
            yield "; ".join(names)
        return
    yield _line(second, names)
    yield from (_line(row, names) for row in filled)


def _line(row: Sequence[str], names: Sequence[str]) -> str:
    named = [*names, *[""] * (len(row) - len(names))]
    return "; ".join(
        f"{name}: {value}" if name else value for name, value in zip(named, row, strict=False) if value
    )


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).replace("-", "", 1).isdigit()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime.datetime):
        return (
            value.date().isoformat() if value.time() == datetime.time() else value.isoformat(" ", "minutes")
        )
    return " ".join(str(value).split())
