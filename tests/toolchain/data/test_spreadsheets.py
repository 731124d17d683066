"""Excel workbooks are read like CSV; SQLite databases by a query or a table."""

import datetime
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from tests.helpers.cli import ftool

from ftool.data.load import load_dataset
from ftool.data.rows.labels import LabelReader
from ftool.data.sources.find import find_tables
from ftool.errors import DataError
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe


def tables(path: object, **changes: Any) -> dict[str, Any]:
    return find_tables(DataSettings(path=str(path), **changes))


def workbook(path: Path, **sheets: list[list[object]]) -> Path:
    book = openpyxl.Workbook()
    assert book.active is not None
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


HEADER: list[object] = ["Ticket text", "queue"]


def test_cells_are_texts_and_rows_have_excels_numbers(tmp_path: Path) -> None:
    day = datetime.datetime(2024, 3, 1)
    rows = [[], HEADER, ["five", 5], [6, "six"], [None, None], [day, 7.0], [0.5, True]]
    table = tables(workbook(tmp_path / "d.xlsx", Tickets=rows))["train"]
    assert table.columns == ("Ticket text", "queue")
    assert [(row.number, row.cells) for row in table.rows] == [
        (3, ("five", "5")),
        (4, ("6", "six")),
        (6, ("2024-03-01", "7")),
        (7, ("0.5", "True")),
    ]


def test_sheets_called_like_splits_are_these(tmp_path: Path) -> None:
    path = workbook(
        tmp_path / "d.xlsx", Train=[HEADER, ["a", "x"]], Test=[HEADER, ["b", "x"]], Notes=[["hi"]]
    )
    found = tables(path)
    assert {split: table.rows[0].cells for split, table in found.items()} == {
        "train": ("a", "x"),
        "test": ("b", "x"),
    }


def test_other_sheets_are_told_of(tmp_path: Path) -> None:
    path = workbook(tmp_path / "d.xlsx", Empty=[], Tickets=[HEADER, ["a", "x"]], Notes=[["hi"]])
    table = tables(path)["train"]
    assert table.warnings == (
        f"{path}: only the sheet 'Tickets' was read, not 'Notes'; call a sheet 'train' to choose it",
    )


def test_a_sheet_without_a_header_takes_names(tmp_path: Path) -> None:
    path = workbook(tmp_path / "d.xlsx", Tickets=[["a", "x"], ["b", "y"]])
    assert [row.cells for row in tables(path, columns=("text", "label"))["train"].rows] == [
        ("a", "x"),
        ("b", "y"),
    ]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([HEADER, ["a", "x", "stray"]], r"row 2 has a cell, 'stray', in column 3, which has no name"),
        ([], "holds no filled cell"),
    ],
)
def test_a_sheet_that_can_not_be_read_is_refused(tmp_path: Path, rows: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        tables(workbook(tmp_path / "d.xlsx", Tickets=rows))


def test_without_openpyxl_the_remedy_is_one_line_and_status_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = workbook(tmp_path / "d.xlsx", Tickets=[HEADER, ["a", "x"]])
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    result = ftool("new", tmp_path / "m", "--base", "minilm", "--data", path)
    assert result.exit_code == 2
    assert result.stderr.endswith("need openpyxl: pip install 'ftool[excel]', or save the sheet as CSV\n")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "tickets.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE tickets (id INTEGER, body TEXT, queue INTEGER)")
        connection.execute('CREATE TABLE "my queues" (id INTEGER, name TEXT)')
        connection.executemany(
            "INSERT INTO tickets VALUES (?, ?, ?)", [(n, f"my card {n} is lost", n % 2) for n in range(40)]
        )
        connection.executemany('INSERT INTO "my queues" VALUES (?, ?)', [(0, "card"), (1, "account")])
    return path


JOINED = (
    'SELECT body AS text, name AS label FROM tickets JOIN "my queues" q ON q.id = queue WHERE tickets.id != 3'
)


@pytest.mark.parametrize("query", [JOINED, JOINED.replace(" ", "%20").replace("=", "%3D")])
def test_a_query_gives_the_rows(database: Path, query: str) -> None:
    data = load_dataset(LabelReader, DataSettings(path=f"sqlite:///{database}?query={query}"))
    assert data.labels == ("account", "card")
    assert sum(map(len, data.splits.values())) == 39


def test_a_table_is_read_by_its_name(database: Path) -> None:
    assert tables(f"sqlite:///{database}?table=my queues")["train"].columns == ("id", "name")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("", r"the tables are 'tickets', 'my queues'; name one with sqlite:///.*tickets\.db\?table=NAME"),
        ("?table=ticket", r"has no table 'ticket'; .*; did you mean tickets\?"),
        ("?query=SELECT topic FROM tickets", r"no such column: topic \(SELECT topic FROM tickets\)"),
        ("?query=DROP TABLE tickets", "not authorized"),
        ("?query=ATTACH 'other.db' AS other", "not authorized"),
        ("?limit=3", r"write sqlite:///FILE\?query=SELECT"),
    ],
)
def test_what_a_database_can_not_give_is_refused(database: Path, option: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        tables(f"sqlite:///{database}{option}")
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT count(*) FROM tickets").fetchone() == (40,)


def test_a_file_that_is_no_database_and_a_missing_one_are_named(tmp_path: Path) -> None:
    (tmp_path / "d.db").write_text("text,label\n" * 100)
    with pytest.raises(DataError, match=r"d\.db: file is not a database"):
        tables(tmp_path / "d.db")
    with pytest.raises(DataError, match=r"gone\.db: there is no such file"):
        tables("sqlite:///gone.db")
    assert not Path("gone.db").exists()


def test_a_database_is_relative_to_the_recipe_that_names_it(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = ftool("new", "models/m", "--base", "minilm", "--data", f"sqlite:///tickets.db?query={JOINED}")
    assert result.exit_code == 0, result.stderr
    assert (
        'path = "sqlite:///../../tickets.db?query=SELECT' in (tmp_path / "models/m/recipe.toml").read_text()
    )
    monkeypatch.chdir("/")
    recipe = Recipe.read(tmp_path / "models" / "m" / "recipe.toml")
    assert len(find_tables(recipe.data)["train"].rows) == 39
