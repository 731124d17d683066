"""Data files of all formats are read alike, and errors name the row."""

import bz2
import gzip
import json
import lzma
import sqlite3
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas
import pyarrow
import pyarrow.parquet
import pytest

from ftool.data.load import load_dataset
from ftool.data.rows.labels import LabelReader
from ftool.data.sources.files import data_file
from ftool.data.sources.find import find_tables, read_file
from ftool.data.sources.hub import read_hub
from ftool.data.unlabelled_splits import without_unlabelled
from ftool.errors import DataError
from ftool.recipe.data_settings import DataSettings

ROWS = [
    ("how are you, friend?", "greet"),
    ('say "hi"', "greet"),
    ("turn it\noff", "off"),
    ("aus — dort", "off"),
]


def settings(path: Path, **changes: object) -> DataSettings:
    return DataSettings(path=str(path), **changes)  # type: ignore[arg-type]


def as_csv(path: Path) -> None:
    quoted = ['"{}",{}'.format(text.replace('"', '""'), label) for text, label in ROWS]
    path.write_text("text,label\n" + "\n".join(quoted) + "\n", encoding="utf-8")


def as_semicolons(path: Path) -> None:
    quoted = ['"{}";{}'.format(text.replace('"', '""'), label) for text, label in ROWS]
    path.write_text("text;label\r\n" + "\r\n".join(quoted), encoding="utf-8-sig", newline="")


def as_jsonl(path: Path) -> None:
    lines = [json.dumps({"text": text, "label": label}) for text, label in ROWS]
    path.write_text("\n".join(lines) + "\n\n", encoding="utf-8")


def as_json_list(path: Path) -> None:
    path.write_text(json.dumps([{"label": label, "text": text} for text, label in ROWS]), encoding="utf-8")


def as_json_data(path: Path) -> None:
    path.write_text(
        json.dumps({"data": [{"text": text, "label": label} for text, label in ROWS]}), encoding="utf-8"
    )


def as_json_columns(path: Path) -> None:
    columns = {"text": [text for text, _ in ROWS], "label": [label for _, label in ROWS]}
    path.write_text(json.dumps(columns), encoding="utf-8")


def as_json_data_with_version(path: Path) -> None:
    rows = [{"text": text, "label": label} for text, label in ROWS]
    path.write_text(json.dumps({"version": "1", "licenses": [], "data": rows}), encoding="utf-8")


def as_json_rows_with_count(path: Path) -> None:
    rows = [{"text": text, "label": label} for text, label in ROWS]
    path.write_text(json.dumps({"count": len(rows), "examples": rows}, indent=1), encoding="utf-8")


def as_pandas(orient: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        pandas.DataFrame(ROWS, columns=["text", "label"]).to_json(path, orient=orient)

    return write


def as_parquet(path: Path) -> None:
    texts, labels = zip(*ROWS, strict=True)
    pyarrow.parquet.write_table(pyarrow.table({"text": list(texts), "label": list(labels)}), path)


def as_pipes(path: Path) -> None:
    quoted = ['"{}"|{}'.format(text.replace('"', '""'), label) for text, label in ROWS]
    path.write_text("text|label\n" + "\n".join(quoted) + "\n", encoding="utf-8")


def as_feather(path: Path) -> None:
    pandas.DataFrame(ROWS, columns=["text", "label"]).to_feather(path)


def as_arrow(new: Callable[..., Any]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        texts, labels = zip(*ROWS, strict=True)
        table = pyarrow.table({"text": list(texts), "label": list(labels)})
        with path.open("wb") as file, new(file, table.schema) as writer:
            writer.write_table(table)

    return write


def as_excel(path: Path) -> None:
    pandas.DataFrame(ROWS, columns=["text", "label"]).to_excel(path, index=False)


def as_sqlite(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE rows (text TEXT, label TEXT)")
        connection.executemany("INSERT INTO rows VALUES (?, ?)", ROWS)


def zipped(name: str, write: Callable[[Path], None]) -> Callable[[Path], None]:
    def write_zipped(path: Path) -> None:
        inner = path.with_name("inner")
        write(inner)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(inner, name)
            archive.writestr("__MACOSX/._data.csv", b"\0")
            archive.writestr("README.txt", "what this is")

    return write_zipped


def compressed(write: Callable[[Path], None], compress: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def write_compressed(path: Path) -> None:
        write(path)
        path.write_bytes(compress(path.read_bytes()))

    return write_compressed


def gzipped(write: Callable[[Path], None]) -> Callable[[Path], None]:
    def write_gzipped(path: Path) -> None:
        write(path)
        path.write_bytes(gzip.compress(path.read_bytes()))

    return write_gzipped


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("data.csv", as_csv),
        ("data.CSV", as_csv),
        ("data.csv", as_semicolons),
        ("data.csv.gz", gzipped(as_csv)),
        ("data.jsonl", as_jsonl),
        ("data.csv.bz2", compressed(as_csv, bz2.compress)),
        ("data.JSON.XZ", compressed(as_json_list, lzma.compress)),
        ("data.ndjson.gz", gzipped(as_jsonl)),
        ("data.json", as_json_list),
        ("data.json", as_json_data),
        ("data.json", as_json_columns),
        ("data.json", as_jsonl),
        ("data.jsonl", as_json_list),
        ("data.jsonl", as_json_rows_with_count),
        ("data.json", as_json_data_with_version),
        ("data.json", as_json_rows_with_count),
        *(("data.json", as_pandas(orient)) for orient in ("columns", "index", "records", "split", "table")),
        ("data.parquet", as_parquet),
        ("data.psv", as_pipes),
        ("data.csv", as_pipes),
        ("data.feather", as_feather),
        ("data.arrow", as_arrow(pyarrow.ipc.new_file)),
        ("data.arrow", as_arrow(pyarrow.ipc.new_stream)),
        ("data.xlsx", as_excel),
        ("data.db", as_sqlite),
        ("data.sqlite", as_sqlite),
        ("data.zip", zipped("data.csv", as_csv)),
        ("data.zip", zipped("folder/data.jsonl", as_jsonl)),
        ("data.zip", zipped("train.csv.gz", gzipped(as_csv))),
        ("data.zip", zipped("train/part.parquet", as_parquet)),
    ],
)
def test_every_kind_of_file_gives_the_same_rows(
    tmp_path: Path, name: str, write: Callable[[Path], None]
) -> None:
    write(tmp_path / name)
    table = find_tables(settings(tmp_path / name))["train"]
    at = [table.columns.index(column) for column in ("text", "label")]
    assert [tuple(row.cells[position] for position in at) for row in table.rows] == ROWS


def test_tsv_takes_quotation_marks_as_text(tmp_path: Path) -> None:
    path = tmp_path / "data.tsv"
    path.write_text('tweet\tlabel\n"Well" he said\tcalm\r\n"half\tangry\n', encoding="utf-8")
    rows = find_tables(settings(path))["train"].rows
    assert [row.cells for row in rows] == [('"Well" he said', "calm"), ('"half', "angry")]


LINE_ENDS = (
    (
        "d.csv",
        'text,label\none,a\n"two, three",b\n',
        ("text", "label"),
        [(2, ("one", "a")), (3, ("two, three", "b"))],
    ),
    ("d.tsv", "text\tlabel\none\ta\ntwo\tb", ("text", "label"), [(2, ("one", "a")), (3, ("two", "b"))]),
    ("d.jsonl", '{"text": "one"}\n{"text": "two"}\n', ("text",), [(1, ("one",)), (2, ("two",))]),
    ("d.txt", "one\ntwo\n", ("text",), [(1, ("one",)), (2, ("two",))]),
    ("d.txt", "one\n\ntwo\n", ("text",), [(1, ("one",)), (3, ("two",))]),
    (
        "d.conll",
        "one O\ntwo B-n\n\nsix B-n\n",
        ("tokens", "tags"),
        [(1, (["one", "two"], ["O", "B-n"])), (4, (["six"], ["B-n"]))],
    ),
)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(("name", "text", "columns", "rows"), LINE_ENDS)
def test_lines_end_as_on_any_system(
    tmp_path: Path, end: str, name: str, text: str, columns: tuple[str, ...], rows: list[tuple[int, object]]
) -> None:
    (tmp_path / name).write_bytes(text.replace("\n", end).encode())
    table = find_tables(settings(tmp_path / name))["train"]
    assert (table.columns, [(row.number, row.cells) for row in table.rows]) == (columns, rows)


def test_a_row_that_ends_with_a_carriage_return_may_have_line_feeds_in_quotes(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_bytes(b'text,label\r"one\ntwo",a\rthree,b\r')
    rows = find_tables(settings(tmp_path / "d.csv"))["train"].rows
    assert [row.cells for row in rows] == [("one\ntwo", "a"), ("three", "b")]


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("windows-1252", "nine – ten"),
        ("windows-1252", "“für” 5 €"),
        ("latin-1", "für diese \x81 und jene Sache"),
        ("cp1251", "привет, как ваши дела сегодня"),
        ("gb18030", "今天天气怎么样，明天会下雨吗，我们去哪里吃饭"),
    ],
)
def test_another_encoding_is_guessed_with_a_warning(tmp_path: Path, encoding: str, text: str) -> None:
    content = "text,label\n" + "".join(f'"{text}",a\n{number},b\n' for number in range(20))
    (tmp_path / "d.csv").write_bytes(content.encode(encoding))
    data = load_dataset(LabelReader, settings(tmp_path / "d.csv"))
    assert text in {one.text for split in data.splits.values() for one in split.examples}
    (told,) = (one for one in data.warnings if "not UTF-8" in one)
    assert f"read as {encoding}, which is a guess: row 2 has" in told
    assert text[:10] in told


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_unicode_in_any_form_is_read_without_a_warning(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "d.csv").write_bytes("text,label\nnine – ten,a\nok,b\n".encode(encoding))
    table = find_tables(settings(tmp_path / "d.csv"))["train"]
    assert (table.columns, table.rows[0].cells, table.warnings) == (
        ("text", "label"),
        ("nine – ten", "a"),
        (),
    )


def test_rows_are_counted_as_an_editor_counts_lines(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text('text,label\none,a\n\n"two\nlines",b\nthree,a\n', encoding="utf-8")
    assert [row.number for row in find_tables(settings(path))["train"].rows] == [2, 4, 6]


def test_a_separator_that_python_takes_for_a_line_break_breaks_no_json_line(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"text": "a\u2028b", "label": "x"}\n', encoding="utf-8")
    assert len(find_tables(settings(path))["train"].rows) == 1


def test_a_file_without_a_header_takes_its_columns_from_the_settings(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("7,hello,greet\n8,bye,leave\n", encoding="utf-8")
    table = find_tables(settings(path, columns=("id", "text", "label")))["train"]
    assert (table.columns, [row.number for row in table.rows]) == (("id", "text", "label"), [1, 2])


def test_columns_that_repeat_the_header_do_not_make_it_an_example(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("text,label\nhello,greet\n", encoding="utf-8")
    assert len(find_tables(settings(path, columns=("text", "label")))["train"].rows) == 1


def bad_file(tmp_path: Path, name: str, content: bytes) -> str:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as refused:
        load_dataset(LabelReader, settings(tmp_path / name))
    assert str(tmp_path / name) in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("d.csv", b"", "the file is empty"),
        ("d.csv", b" \n\n", "the file is empty"),
        ("d.csv.gz", gzip.compress(b"", mtime=0), "the file is empty"),
        ("d.csv", b"text,label\n", "holds no examples"),
        (
            "d.csv",
            "text,label\nök,a\nfür,b\n".encode().replace("ü".encode(), b"\xfc"),
            "not text in utf-8: byte 0xfc at offset 18, row 3; correct the row",
        ),
        ("d.csv", b"text,label\n\x01\x02\xff\xfe\x03\x04", "not text in UTF-8: byte 0xff"),
        (
            "d.csv",
            "text,label\nok,a\n".encode("utf-16")[:-1],
            "not text in utf-16: byte 0x0a at offset 32, row 2",
        ),
        ("d.csv", b"text,label\nok,a\nn\0l,b\n", "row 3 holds a NUL byte"),
        ("d.csv", b'text,label\nok,a\n"open,b\n', "row 3 is not CSV"),
        ("d.csv", b"text,label\nok,a\nwell, yes,b\n", "row 3 has 3 cells, not 2 (text, label)"),
        ("d.csv", b"text,label\nok\n", "row 2 has 1 cell, not 2"),
        ("d.tsv", b"text\tlabel\na\tb\tc\n", "row 2 has 3 cells, not 2"),
        ("d.csv.gz", gzip.compress(b"text,label\nok,a\n" * 50, mtime=0)[:-12], "damaged or cut short"),
        ("d.csv.bz2", bz2.compress(b"text,label\nok,a\n")[:-5], "damaged or cut short"),
        ("d.csv.xz", lzma.compress(b"text,label\nok,a\n")[:-5], "damaged or cut short"),
        ("d.jsonl", b'{"text": "ok", "label": "a"}\n{"text": \n', "row 2 is not JSON"),
        ("d.jsonl", b'{"text": "ok", "label": "a"}\n"bare"\n', "row 2 is not an object"),
        ("d.jsonl", b'["ok", "a"]\n', "name its columns with --columns"),
        ("d.json", b'[{"text": "ok"},,]', "not JSON: "),
        ("d.json", b'{"text": "ok"}', "neither a list of examples nor an object"),
        ("d.json", b'{"text": ["ok"], "label": ["a", "b"]}', "not equally long"),
        ("d.jsonl", b'{"text": "a\\u0000b", "label": "a"}\n', "row 1 with a NUL byte in the text"),
        ("d.jsonl", b'{"text": "\\ud83d", "label": "a"}\n', "row 1 with half a surrogate pair"),
        ("d.jsonl", b'{"text": 5, "label": "a"}\n', "row 1 with a text that is not a string"),
        ("d.csv", b"text,label\nok,a\n  ,b\nok,b\n,a\n", "rows 3 and 5 without a text"),
        ("d.csv", b"text,label\nok,a\nno,\n", "row 3 has no label"),
        ("d.csv", b"body text,mood\nok,a\n", "the columns are 'body text', 'mood'"),
        (
            "d.csv",
            b"text,mood\nok,a\n",
            "--label-column (or a column for each label or number with --label-column A,B)",
        ),
        ("d.csv", b"text,label\nok,a\nno,a\n", "only one label, 'a'"),
        ("d.csv", b"text,label,Text\nok,a,no\n", "has several columns 'text'"),
        ("d.jsonl", b"[" * 100_000, "row 1 is JSON that can't be read"),
        ("d.json", b"[" * 100_000, "JSON that can't be read"),
        ("d.parquet", b"PAR1 and then nothing", "not a Parquet file"),
        ("d.xlsx", b"PK", "not an Excel workbook (.xlsx)"),
        ("d.xls", b"PK", ".xls is not read; save the sheet as .xlsx or CSV"),
        ("d.zip", b"PK", "not a zip archive"),
        ("d.feather", b"FEA1", "not an Arrow file"),
        (
            "d.csv",
            b"PK\x03\x04\x14\0\x06\0",
            "is an Excel workbook (.xlsx) or a zip archive, not text",
        ),
        ("d.jsonl", b"PAR1\x15\0", "is a Parquet file (.parquet), not text"),
        ("d.docx", b"PK", "unknown kind of file (.docx)"),
        ("data", b"text,label\n", "unknown kind of file (no suffix)"),
    ],
)
def test_a_bad_file_is_refused_with_its_name_row_and_remedy(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    assert message in bad_file(tmp_path, name, content)


@pytest.mark.parametrize(
    ("name", "header", "row", "empty"),
    [
        ("d.csv", "text,label\n", "text {},{}\n", ",\n"),
        ("d.csv", "text;label\n", "text {};{}\n", '" ";""\n'),
        ("d.csv", "text,label\n", "text {},{}\n", ",,,\n"),
        ("d.csv", "text,label\n", "text {},{}\n", "  \n"),
        ("d.tsv", "text\tlabel\n", "text {}\t{}\n", "\t\n"),
        ("d.jsonl", "", '{{"text": "text {}", "label": "{}"}}\n', '{"text": "", "label": null}\n'),
        ("d.jsonl", "", '{{"text": "text {}", "label": "{}"}}\n', "{}\n"),
    ],
)
def test_empty_rows_are_skipped_and_counted(
    tmp_path: Path, name: str, header: str, row: str, empty: str
) -> None:
    rows = [row.format(number, "ab"[number % 2]) for number in range(20)]
    (tmp_path / name).write_text(header + empty.join(rows[:3]) + "".join(rows[3:]), encoding="utf-8")
    data = load_dataset(LabelReader, settings(tmp_path / name))
    assert sum(len(split) for split in data.splits.values()) == 20
    assert f"{tmp_path / name}: 2 empty rows were skipped" in data.warnings


def test_many_bad_rows_are_named_by_the_first_few(tmp_path: Path) -> None:
    content = b"text,label\n" + b",a\n" * 24
    first = ", ".join(map(str, range(2, 22)))
    assert f"rows {first} and 4 more without a text" in bad_file(tmp_path, "d.csv", content)


@pytest.mark.parametrize(
    ("name", "good", "bad", "message"),
    [
        ("d.csv", "text {},{}\n", "text {}\n", "row 4 has 1 cell, not 2 (text, label)"),
        ("d.tsv", "text {}\t{}\n", "text {}\t{}\tx\n", "row 4 has 3 cells, not 2 (text, label)"),
        ("d.jsonl", '["text {}", "{}"]\n', '["text {}", "{}"\n', "row 3 is not JSON"),
        ("d.jsonl", '["text {}", "{}"]\n', '["text {}"]\n', "row 3 is a list of 1 cells; not 2"),
        ("d.jsonl", '["text {}", "{}"]\n', "{}\n", "row 3 is not an object of named values"),
        ("d.csv", "text {},{}\n", "text {},\n", "row 4 has no label"),
    ],
)
def test_all_bad_rows_are_named(tmp_path: Path, name: str, good: str, bad: str, message: str) -> None:
    rows = [(bad if n in (2, 4, 5) else good).format(n, "ab"[n % 2]) for n in range(8)]
    header = {"d.csv": "text,label\n", "d.tsv": "text\tlabel\n"}.get(name, "")
    (tmp_path / name).write_text(header + "".join(rows), encoding="utf-8")
    with pytest.raises(DataError) as error:
        load_dataset(LabelReader, settings(tmp_path / name, columns=("text", "label")))
    assert message in str(error.value)
    others = "rows 6 and 7" if header else "rows 5 and 6"
    assert str(error.value).endswith(f"; {others} can't be read either")


def test_a_missing_file_names_the_nearest_one(tmp_path: Path) -> None:
    as_csv(tmp_path / "train.csv")
    with pytest.raises(DataError, match=r"trian\.csv: there is no such file; did you mean train\.csv\?"):
        load_dataset(LabelReader, settings(tmp_path / "trian.csv"))


def test_a_named_column_that_is_missing_lists_those_there_are(tmp_path: Path) -> None:
    as_csv(tmp_path / "d.csv")
    with pytest.raises(DataError, match="no column 'intent'; the columns are 'text', 'label'"):
        load_dataset(LabelReader, settings(tmp_path / "d.csv", label="intent"))


def two_columns(path: Path, header: str, row: str = "{text},{label}") -> Path:
    rows = [row.format(text=f"my card {n} is lost", label=["card", "account"][n % 2], n=n) for n in range(40)]
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("header", "row", "flags"),
    [
        ("Ticket text,queue", "{text},{label}", {}),
        ("queue,Ticket text", "{label},{text}", {}),
        (",Ticket text,queue", "{n},{text},{label}", {}),  # as `DataFrame.to_csv` writes an index
        ("Unnamed: 0,Ticket text,queue", "{n},{text},{label}", {}),
        ("text,queue", "{text},{label}", {}),
        ("Ticket text,label", "{text},{label}", {}),
        ("What is your problem with our bank?,queue", "{text} {text} {text} {text},{label}", {}),
        ("Ticket text,queue,owner", "{text},{label},Ann", {"text": "ticket TEXT", "label": "Queue"}),
        ("Ticket text,queue", "{text},{label}", {"text": "ticket text"}),
    ],
)
def test_unusual_names_of_the_only_two_columns_are_enough(
    tmp_path: Path, header: str, row: str, flags: dict[str, str]
) -> None:
    data = load_dataset(LabelReader, settings(two_columns(tmp_path / "d.csv", header, row), **flags))
    assert data.labels == ("account", "card")
    assert data.train.examples[0].text.startswith("my card")
    assert any("texts from the column" in note for note in data.notes)


def test_a_guess_between_two_columns_is_told(tmp_path: Path) -> None:
    data = load_dataset(LabelReader, settings(two_columns(tmp_path / "d.csv", "Ticket text,queue")))
    told = "texts from the column 'Ticket text', labels from 'queue'; there are no others"
    assert f"{tmp_path / 'd.csv'}: {told}" in data.notes


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("my card 3 is lost,card", "{text},{label}"),  # the first example: the file has no header
        ("where is the money that I sent,refund", "{text},{label}"),
        ("Ticket text,ticket", "{text},{n}"),  # a number for each row
        ("Ticket text,queue,owner", "{text},{label},Ann"),
    ],
)
def test_two_columns_that_may_be_something_else_are_not_guessed(
    tmp_path: Path, header: str, row: str
) -> None:
    with pytest.raises(DataError, match=r"no column is known to hold the .*; the columns are"):
        load_dataset(LabelReader, settings(two_columns(tmp_path / "d.csv", header, row)))


def test_names_that_differ_in_case_only_are_not_guessed(tmp_path: Path) -> None:
    path = two_columns(tmp_path / "d.csv", "Queue,QUEUE,note", "{text},{label},x")
    with pytest.raises(DataError, match="has several columns 'queue'; the columns are 'Queue', 'QUEUE'"):
        load_dataset(LabelReader, settings(path, label="queue"))


def test_a_column_that_stands_twice_is_not_guessed(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("text,text,label\na,b,c\n", encoding="utf-8")
    with pytest.raises(DataError, match="several columns 'text'"):
        load_dataset(LabelReader, settings(tmp_path / "d.csv", text="text"))


def test_a_text_of_any_length_is_read(tmp_path: Path) -> None:
    long = "word " * 100_000  # past the csv module's own limit of 131,072 characters
    (tmp_path / "d.csv").write_text(f"text,label\n{long},a\n", encoding="utf-8")
    assert find_tables(settings(tmp_path / "d.csv"))["train"].rows[0].cells[0] == long


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (["train.csv"], {"train"}),
        (["train.csv", "test.csv"], {"train", "test"}),
        (["training.csv", "dev.csv", "test.csv", "notes.txt"], {"train", "validation", "test"}),
        (["Train.csv", "valid.csv.gz"], {"train", "validation"}),
        (["train/rows.csv", "test/rows.csv", "raw/rows.csv"], {"train", "test"}),
        (["data/train-00000-of-00002.csv", "data/train-00001-of-00002.csv"], {"train"}),
    ],
)
def test_a_folder_gives_its_splits(tmp_path: Path, names: list[str], splits: set[str]) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        as_csv(tmp_path / name)
    tables = find_tables(settings(tmp_path))
    assert set(tables) == splits
    assert len(tables["train"].rows) == len(ROWS) * sum("train" in name.lower() for name in names)


def test_a_folder_without_a_training_file_lists_what_it_holds(tmp_path: Path) -> None:
    as_csv(tmp_path / "rows.csv")
    with pytest.raises(DataError, match=r"has no train, validation or test file.*rows\.csv"):
        load_dataset(LabelReader, settings(tmp_path))


def test_two_files_of_one_split_are_not_guessed_between(tmp_path: Path) -> None:
    as_csv(tmp_path / "train.csv")
    as_jsonl(tmp_path / "train.jsonl")
    with pytest.raises(DataError, match=r"several files for the same split, train\.csv and train\.jsonl"):
        load_dataset(LabelReader, settings(tmp_path))


def test_separate_files_stand_for_validation_and_test(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv", "c.csv"):
        as_csv(tmp_path / name)
    tables = find_tables(
        settings(tmp_path / "a.csv", validation=str(tmp_path / "b.csv"), test=str(tmp_path / "c.csv"))
    )
    assert {split: Path(table.source).name for split, table in tables.items()} == {
        "train": "a.csv",
        "validation": "b.csv",
        "test": "c.csv",
    }


def test_a_json_object_of_splits_gives_them(tmp_path: Path) -> None:
    value = {"train": [["a", "x"]], "val": [["b", "y"]], "test": [["c", "x"]], "oos_test": [["d", "z"]]}
    (tmp_path / "d.json").write_text(json.dumps(value), encoding="utf-8")
    tables = read_file(tmp_path / "d.json", ("text", "label"))
    assert set(tables) == {"train", "validation", "test"}


def test_an_unknown_shipped_data_set_lists_those_there_are() -> None:
    with pytest.raises(
        DataError, match="builtin:intent: no such data set ships with ftool; there are dates, intents"
    ):
        load_dataset(LabelReader, DataSettings(path="builtin:intent"))


@pytest.mark.parametrize("single", [False, True])
def test_a_folder_that_datasets_saved_is_read_with_its_label_names(tmp_path: Path, single: bool) -> None:
    import datasets

    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["off", "on"])}
    )
    rows = {"text": [f"text {number}" for number in range(20)], "label": [0, 1] * 10}
    saved = datasets.DatasetDict({"train": datasets.Dataset.from_dict(rows, features=features)})
    (saved["train"] if single else saved).save_to_disk(str(tmp_path / "saved"))
    data = load_dataset(LabelReader, settings(tmp_path / "saved"))
    assert data.labels == ("off", "on")
    assert data.train.examples[0].labels in (("off",), ("on",))


def test_parquet_of_the_hub_is_read_with_its_label_names(tmp_path: Path) -> None:
    import datasets

    features = datasets.Features(
        {
            "text": datasets.Value("string"),
            "labels": datasets.List(datasets.ClassLabel(names=["joy", "fear"])),
        }
    )
    rows = {"text": [f"text {number}" for number in range(30)], "labels": [[0], [1], [0, 1]] * 10}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(str(tmp_path / "train.parquet"))
    data = load_dataset(LabelReader, settings(tmp_path / "train.parquet"))
    assert (data.labels, data.facts["multi_label"]) == (("joy", "fear"), True)


def test_the_hubs_own_loader_reads_a_repository_laid_out_as_on_the_hub(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("hub-cache"))
    as_csv(tmp_path / "train.csv")
    as_csv(tmp_path / "test.csv")
    tables = read_hub(str(tmp_path))
    assert set(tables) == {"train", "test"}
    assert [row.cells for row in tables["test"].rows] == ROWS


def test_a_hub_data_set_that_cannot_be_reached_says_so() -> None:
    with pytest.raises(DataError, match=r"no-such-owner/no-such-set"):
        load_dataset(LabelReader, DataSettings(path="no-such-owner/no-such-set"))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            FileNotFoundError("Dataset 'a/b' doesn't exist on the Hub\nor"),
            "neither a local path nor a data set on",
        ),
        (
            ConnectionError("Couldn't reach 'a/b'"),
            "no local file or folder, and the hub can't be reached .Couldn't reach 'a/b'",
        ),
        (ValueError("BuilderConfig 'x' not found"), "can't be loaded: BuilderConfig 'x' not found"),
    ],
)
def test_what_goes_wrong_on_the_hub_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    import datasets

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(DataError, match=message) as refused:
        load_dataset(LabelReader, DataSettings(path="a/b"))
    assert "\n" not in str(refused.value)


def test_a_subset_is_named_behind_a_colon(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    asked: list[tuple[object, ...]] = []

    def load(*arguments: object) -> object:
        asked.append(arguments)
        return datasets.DatasetDict({"train": datasets.Dataset.from_dict({"text": ["a"], "label": [0]})})

    monkeypatch.setattr(datasets, "load_dataset", load)
    read_hub("nyu-mll/glue:sst2")
    read_hub("stanfordnlp/imdb")
    assert asked == [("nyu-mll/glue", "sst2"), ("stanfordnlp/imdb", None)]


def test_a_bare_name_that_is_no_file_asks_no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets, "load_dataset", lambda *_: pytest.fail("asked the hub"))
    with pytest.raises(DataError, match="mydata: no such file or folder, and not a hub id"):
        load_dataset(LabelReader, DataSettings(path="mydata"))


def test_a_test_split_whose_labels_are_kept_secret_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["n", "y"])}
    )
    splits = {
        split: datasets.Dataset.from_dict({"text": ["a", "b"], "label": labels}, features=features)
        for split, labels in (("train", [0, 1]), ("test", [-1, -1]))
    }
    monkeypatch.setattr(datasets, "load_dataset", lambda *_: datasets.DatasetDict(splits))
    tables = without_unlabelled(LabelReader, read_hub("owner/name"), DataSettings(path="owner/name"))
    assert set(tables) == {"train"}
    assert "(test): has no answer" in tables["train"].warnings[0]


def test_the_warning_about_a_guessed_encoding_does_not_depend_on_the_order(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_bytes("text,label\nné,a\n".encode("windows-1252"))
    assert "read as windows-1252" in data_file(path).warnings[0]
