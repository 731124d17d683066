"""Data files that were made to hang, to fill the memory or to crash their reader are refused in one line."""

import bz2
import gzip
import io
import json
import lzma
import os
import zipfile
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from ftool import unpacking
from ftool.data.load import load_dataset
from ftool.data.rows.labels import LabelReader
from ftool.errors import DataError
from ftool.recipe.data_settings import DataSettings

ROWS = "".join(f"text {number},{'ab'[number % 2]}\n" for number in range(40))
BOMB = f"text,label\n{'a' * 5_000},b\n".encode()


def refusal(path: Path) -> str:
    """Return the message with which the data in `path` is refused."""
    with pytest.raises(DataError) as raised:
        load_dataset(LabelReader, DataSettings(path=str(path)))
    message = str(raised.value)
    assert str(path) in message
    assert len(message) < 5_000
    return message


@pytest.mark.skipif(os.name == "nt", reason="needs named pipes and devices")
@pytest.mark.parametrize("name", ["d.csv", "d.jsonl", "d.txt", "d.parquet", "d.xlsx", "d.zip", "d.csv.gz"])
@pytest.mark.parametrize("kind", ["named pipe", "device"])
@pytest.mark.timeout(10, func_only=True)
def test_only_regular_files_are_read(tmp_path: Path, name: str, kind: str) -> None:
    path = tmp_path / name
    if kind == "device":
        path.symlink_to("/dev/zero")
    else:
        os.mkfifo(path)
    assert f"can't be read: it is a {kind}, not a regular file" in refusal(path)


def _zipped(*members: tuple[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, inner in members:
            archive.writestr(name, inner)
    return content.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("d.csv.gz", gzip.compress(BOMB, mtime=0)),
        ("d.csv.bz2", bz2.compress(BOMB)),
        ("d.csv.xz", lzma.compress(BOMB)),
        ("d.zip", _zipped(("train.csv", BOMB))),
        ("d.zip", _zipped(("train.csv.gz", gzip.compress(BOMB, mtime=0)))),
        ("d.xlsx", _zipped(("xl/worksheets/sheet1.xml", BOMB), ("x.xml", BOMB))),
    ],
)
def test_a_file_that_unpacks_to_far_more_is_refused(
    tmp_path: Path, name: str, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacking, "_RATIO", 10)
    monkeypatch.setattr(unpacking, "_ALWAYS", 1_000)
    path = tmp_path / name
    path.write_bytes(content)
    assert "which no file of texts does" in refusal(path)


def _parquet(metadata: bytes, **columns: pyarrow.Array) -> bytes:
    content = io.BytesIO()
    table = pyarrow.table(columns).replace_schema_metadata({b"huggingface": metadata})
    pyarrow.parquet.write_table(table, content)
    return content.getvalue()


TEXTS = pyarrow.array(["one", "two"] * 20)
NOT_UTF_8 = pyarrow.array([b"\xff\xfe"] * 40).cast(pyarrow.string(), safe=False)
FAR = pyarrow.array([2**62] * 40, pyarrow.timestamp("ms"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "d.jsonl",
            '{"text": "a", "label": "b"}\n{"text": "a", "label": %s}\n',
            "row 2 is JSON that can't be",
        ),
        (
            "d.json",
            '[{"text": "a", "label": "b"}, {"text": "a", "label": %s}]',
            "row 2 is nested more than 64",
        ),
        ("d.json", '{"data": [{"text": "a", "label": %s}]}', "it is nested more than 64 levels deep"),
        (
            "d.jsonl",
            '{"text": "a", "label": "b"},{"text": "a",\n"label": %s}\n',
            "row 1 is not JSON: Extra data",
        ),
    ],
)
def test_values_nested_deeper_than_any_row_are_refused(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    path = tmp_path / name
    path.write_text(content % ("[" * 900 + "]" * 900))
    assert message in refusal(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("d.csv", "," * 1_000_000 + "\n" + ROWS, "1,000,001 columns; at most 16,384 are read"),
        ("d.csv", ",".join(f"c{n}" for n in range(20_000)) + "\n", "20,000 columns; at most 16,384"),
        ("d.tsv", "text\t" * 20_000 + "\n", "20,001 columns; at most 16,384"),
        ("d.conll", "word " * 20_000 + "\n", "20,000 columns; at most 16,384"),
        ("d.json", json.dumps([{f"c{n}": n for n in range(20_000)}]), "20,000 columns; at most 16,384"),
        (
            "d.jsonl",
            "".join(f'{{"text": "t", "label": "a", "c{n}": 1}}\n' for n in range(20_000)),
            "20,002 columns; at most 16,384",
        ),
        (
            "d.jsonl",
            "".join(f'{{"text": "t", "label": "a", "c{min(n, 12_000)}": 1}}\n' for n in range(20_000)),
            "20,000 rows have 12,003 names, such as those of row 20000",
        ),
    ],
)
@pytest.mark.timeout(20, func_only=True)
def test_more_columns_than_a_table_has_are_refused(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    path = tmp_path / name
    path.write_text(content)
    assert message in refusal(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("d.parquet", _parquet(b"not JSON", text=TEXTS, label=TEXTS), "not a Parquet file, or damaged"),
        ("d.parquet", _parquet(b'{"info": []}', text=TEXTS, label=TEXTS), "not a Parquet file, or damaged"),
        ("d.parquet", _parquet(b"{}", text=NOT_UTF_8, label=TEXTS), "not a Parquet file, or damaged"),
        ("d.parquet", _parquet(b"{}", text=TEXTS, label=TEXTS, date=FAR), "not a Parquet file, or damaged"),
        ("d.xlsx", _zipped(("[Content_Types].xml", b"<a/>")), "not an Excel workbook (.xlsx), or damaged"),
        ("dataset_dict.json", b'{"splits": ["train"]}', "can't be loaded, or damaged"),
        ("state.json", b"[]", "can't be loaded, or damaged"),
    ],
)
def test_what_a_library_raises_for_a_damaged_file_names_the_file(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert message in refusal(tmp_path if path.suffix == ".json" else path)


def test_a_label_that_is_a_number_beyond_all_floats_is_a_label(tmp_path: Path) -> None:
    path = tmp_path / "d.json"
    numbers = (10**400, 10**401)
    path.write_text(json.dumps([{"text": f"text {n}", "label": numbers[n % 2]} for n in range(40)]))
    assert load_dataset(LabelReader, DataSettings(path=str(path))).labels == tuple(map(str, sorted(numbers)))


def test_a_label_of_a_megabyte_does_not_fill_the_message(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text("text,label\n" + f"one,{'L' * 1_000_000}\n" * 9)
    assert refusal(path).endswith("a classifier needs two or more")
