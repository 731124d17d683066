"""Folders with one file for each text: the innermost folder is the label, the folder around it the split."""

import zipfile
from pathlib import Path

import pytest

from ftool.data.load import load_dataset
from ftool.data.rows.labels import LabelReader
from ftool.data.sources.find import find_tables
from ftool.errors import DataError
from ftool.recipe.data_settings import DataSettings


def settings(path: Path) -> DataSettings:
    return DataSettings(path=str(path))


def write(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def mails(folder: str = "") -> dict[str, str | bytes]:
    return {
        f"{folder}{label}/{n}{end}": f"{label} mail\nnumber {n}\n"
        for label, end in (("ham", ""), ("spam", ".txt"))
        for n in range(3)
    }


def test_folders_of_classes_are_labels(tmp_path: Path) -> None:
    table = find_tables(settings(write(tmp_path, {**mails(), ".DS_Store": b"\0"})))["train"]
    assert table.columns == ("text", "label", "file")
    assert [row.cells[:2] for row in table.rows[:4]] == [
        ("ham mail\nnumber 0", "ham"),
        ("ham mail\nnumber 1", "ham"),
        ("ham mail\nnumber 2", "ham"),
        ("spam mail\nnumber 0", "spam"),
    ]
    assert table.rows[3].cells[2] == str(tmp_path / "spam" / "0.txt")


def test_folders_of_classes_can_be_in_folders_of_splits(tmp_path: Path) -> None:
    write(
        tmp_path, {**mails("train/"), **mails("test/"), "train/unsup/0.txt": "no label", "README": "Reviews"}
    )
    tables = find_tables(settings(tmp_path))
    assert {split: len(table.rows) for split, table in tables.items()} == {"train": 6, "test": 6}
    told = "the texts in unsup have no label and were left out"
    assert tables["train"].warnings == (f"{tmp_path} (train): {told}",)


def test_folders_of_classes_can_be_in_a_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "mails.zip", "w") as archive:
        for name, content in mails("corpus/").items():
            archive.writestr(name, content)
    table = find_tables(settings(tmp_path / "mails.zip"))["train"]
    assert [row.cells[1] for row in table.rows] == ["ham"] * 3 + ["spam"] * 3


def test_empty_files_and_guessed_encodings_are_counted(tmp_path: Path) -> None:
    write(tmp_path, {**mails(), "ham/8.txt": " \n", "spam/9.txt": "né – en".encode("windows-1252")})
    data = load_dataset(LabelReader, settings(tmp_path))
    told = "\n".join(data.warnings)
    assert f"1 empty files were left out (first: {tmp_path / 'ham' / '8.txt'})" in told
    assert (
        f"1 files are not UTF-8; the first: {tmp_path / 'spam' / '9.txt'}: not UTF-8; read as windows" in told
    )


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    write(tmp_path, {**mails(), "ham/photo.png": b"\x89PNG\r\n\x1a\n\0\0"})
    with pytest.raises(DataError, match=r"ham/photo\.png: "):
        find_tables(settings(tmp_path))


@pytest.mark.parametrize(
    "files", [{"spam/1.txt": "one class alone"}, {"a/rows.csv": "text,label\n", "b/1.txt": "x"}]
)
def test_other_folders_are_refused(tmp_path: Path, files: dict[str, str | bytes]) -> None:
    with pytest.raises(
        DataError, match=r"no train, validation or test file, .* and no folder for each class"
    ):
        find_tables(settings(write(tmp_path, files)))


def test_a_zip_of_several_files_without_splits_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        archive.writestr("a.csv", "text,label\n")
        archive.writestr("b.csv", "text,label\n")
    with pytest.raises(DataError, match=r"neither one data file nor train, .*; it holds a\.csv, b\.csv"):
        find_tables(settings(tmp_path / "d.zip"))


def test_a_damaged_member_of_a_zip_is_named(tmp_path: Path) -> None:
    path = tmp_path / "d.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("d.csv", "text,label\n" + "some text,a\n" * 50)
    content = bytearray(path.read_bytes())
    content[45:50] = b"\0\0\0\0\0"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"d\.zip/d\.csv: the archive is damaged or cut short"):
        find_tables(settings(path))
