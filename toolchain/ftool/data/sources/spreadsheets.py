"""Read the sheets of an Excel workbook (.xlsx) as tables, with openpyxl, which is an extra of ftool."""

import datetime
import io
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ftool.data.columns import header_below, is_usual
from ftool.data.sources.files import DataFile
from ftool.data.splits import split_called, with_left_out_warning
from ftool.data.table import Row, Table
from ftool.errors import DataError
from ftool.extras import install
from ftool.unpacking import TooLargeError, check_archive

SPREADSHEET_SUFFIXES = (".xlsx", ".xlsm")


def read_spreadsheet(file: DataFile, columns: Sequence[str] | None = None) -> dict[str, Table]:
    """Return a dict from split name to table for an Excel workbook.

    Sheets called like splits (`train`, `test`) are these splits. Otherwise the first sheet with a usual name of a
    column is read, or else the first with rows; the only key is "all", and a warning names the others. The first row is
    a header, unless `columns` names the columns. Cells are texts, as in CSV; an empty cell is None, and a formula is
    the value that Excel saved. Row numbers are Excel's. Raises DataError if the file can't be read, if openpyxl is not
    installed, or if a cell's column has no name.
    """
    try:
        import openpyxl
    except ImportError as error:
        raise DataError(
            f"{file.source}: Excel files need openpyxl: {install('excel')}, or save the sheet as CSV"
        ) from error
    content = file.content
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            check_archive(archive, len(content))
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        sheets = {sheet.title: _rows_of(sheet) for sheet in book.worksheets}
    except TooLargeError as error:
        raise DataError(f"{file.source}: {error}") from error
    except Exception as error:  # openpyxl does not document what it raises for damaged files
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(f"{file.source}: not an Excel workbook (.xlsx), or damaged: {reason}") from error
    filled = {title: rows for title, rows in sheets.items() if rows}
    if not filled:
        raise DataError(f"{file.source}: holds no filled cell")
    splits = {split: title for title in filled if (split := split_called(title.strip())) is not None}
    if "train" in splits:
        tables = {
            split: _table(f"{file.source} ({title})", filled[title], columns)
            for split, title in splits.items()
        }
        return with_left_out_warning(
            tables, file.source, (one for one in filled if one not in splits.values())
        )
    title = next(
        (title for title, rows in filled.items() if columns is None and _has_header(rows)), next(iter(filled))
    )
    others = [other for other in filled if other != title]
    if not others:
        return {"all": _table(file.source, filled[title], columns)}
    warning = (
        f"{file.source}: only the sheet {title!r} was read, not {', '.join(map(repr, others))}; call a sheet "
        "'train' to choose it"
    )
    table = _table(f"{file.source} ({title})", filled[title], columns)
    return {"all": replace(table, warnings=(warning,))}


def _has_header(rows: Sequence[Row]) -> bool:
    """Whether a sheet has several columns, one of which has a usual name."""
    names = [cell for cell in rows[0].cells if cell is not None]
    return len(names) > 1 and any(map(is_usual, names))


def _rows_of(sheet: Any) -> list[Row]:
    rows = (
        Row(number, tuple(_text(cell) for cell in cells))
        for number, cells in enumerate(sheet.iter_rows(values_only=True), start=1)
    )
    return [row for row in rows if any(cell is not None for cell in row.cells)]


def _text(cell: Any) -> str | None:
    if cell is None or isinstance(cell, str):
        return cell or None
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime.datetime) and cell.time() == datetime.time():
        return cell.date().isoformat()
    return str(cell)


def _table(source: str, rows: Sequence[Row], columns: Sequence[str] | None) -> Table:
    if columns is None:
        header, *rows = rows
        filled = [place for place, cell in enumerate(header.cells) if cell is not None]
        names = tuple((header.cells[place] or "").strip() for place in filled)
    else:
        names, filled = tuple(columns), list(range(len(columns)))
    kept = []
    for row in rows:
        cells = [*row.cells, *[None] * len(filled)]
        beyond = [place for place, cell in enumerate(row.cells) if cell is not None and place not in filled]
        if beyond:
            raise DataError(
                f"{source}: row {row.number} has a cell, {row.cells[beyond[0]]!r}, in column {beyond[0] + 1}, which "
                "has no name; name the column or empty the cell"
                f"{header_below((one.number, one.cells) for one in rows) if columns is None else ''}"
            )
        kept.append(Row(row.number, tuple(cells[place] for place in filled)))
    if columns is not None and kept and kept[0].cells == names:  # a header in spite of `columns`
        del kept[0]
    return Table(source, names, kept)
