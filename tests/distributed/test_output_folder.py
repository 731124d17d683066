"""The folder of answers is resumed by the same job alone, and knows which parts are complete."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from ftool.distributed.job import Job
from ftool.distributed.output_folder import JOURNAL, MANIFEST, OutputFolder
from ftool.distributed.results import BatchReport, PartRecord
from ftool.errors import ClusterError
from ftool_runtime.errors import InputError
from tests.distributed.data import sentences, write_csv, write_jsonl


@pytest.fixture
def job(planned: Callable[..., Job], tmp_path: Path) -> Job:
    return planned(write_csv(tmp_path / "data" / "a.csv", sentences(9)))


def record(folder: Path, number: int, *, rejected: int = 0) -> PartRecord:
    made = PartRecord(
        part=f"00000-{number:06d}", file=0, first=2, last=2, rows=1, blank=0, rejected=rejected, truncated=0,
        input="ab", bytes=5, sha256="cd",
    )  # fmt: skip
    (folder / made.answers).write_text("null\n")
    if rejected:
        (folder / made.rejects).write_text("{}\n")
    return made


def begun(path: Path, job: Job, count: int = 2) -> None:
    """Write a folder of an interrupted run."""
    with OutputFolder.open(path, job) as folder:
        folder.begin()
        for number in range(count):
            folder.add(record(path, number, rejected=number))


def test_recorded_parts_are_there_after_an_interruption(job: Job, tmp_path: Path) -> None:
    begun(tmp_path / "out", job)
    folder = OutputFolder.open(tmp_path / "out", job)
    assert list(folder.done) == ["00000-000000", "00000-000001"]
    assert not folder.complete


@pytest.mark.parametrize("name", ["part-00000-000001.jsonl", "rejected-00000-000001.jsonl"])
def test_a_recorded_part_that_is_gone_is_written_again(job: Job, tmp_path: Path, name: str) -> None:
    begun(tmp_path / "out", job)
    (tmp_path / "out" / name).unlink()
    assert list(OutputFolder.open(tmp_path / "out", job).done) == ["00000-000000"]


def test_a_recorded_part_that_is_cut_short_is_written_again(job: Job, tmp_path: Path) -> None:
    begun(tmp_path / "out", job)
    (tmp_path / "out" / "part-00000-000000.jsonl").write_text("nul")
    assert list(OutputFolder.open(tmp_path / "out", job).done) == ["00000-000001"]


def test_what_a_crash_of_the_machine_leaves_in_the_journal_is_left_out(job: Job, tmp_path: Path) -> None:
    begun(tmp_path / "out", job)
    with (tmp_path / "out" / JOURNAL).open("ab") as journal:
        journal.write(b"\0\0\0\xff\n")
    assert list(OutputFolder.open(tmp_path / "out", job).done) == ["00000-000000", "00000-000001"]


def test_a_record_that_a_kill_has_torn_is_left_out(job: Job, tmp_path: Path) -> None:
    begun(tmp_path / "out", job)
    journal = tmp_path / "out" / JOURNAL
    journal.write_text(journal.read_text()[:-9])
    with OutputFolder.open(tmp_path / "out", job) as folder:
        assert list(folder.done) == ["00000-000000"]
        folder.begin()
        folder.add(record(tmp_path / "out", 1, rejected=1))
    assert len(OutputFolder.open(tmp_path / "out", job).done) == 2


def test_a_complete_folder_lists_its_parts(job: Job, tmp_path: Path) -> None:
    begun(tmp_path / "out", job)
    with OutputFolder.open(tmp_path / "out", job) as folder:
        folder.begin()
        folder.finish(
            BatchReport(
                output=folder.path, files=1, parts=2, rows=2, blank=0, rejected=1, truncated=0, resumed=2
            )
        )
    assert not (tmp_path / "out" / JOURNAL).exists()
    assert OutputFolder.open(tmp_path / "out", job).complete
    (tmp_path / "out" / "part-00000-000000.jsonl").unlink()
    assert not OutputFolder.open(tmp_path / "out", job).complete


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"digest": "0" * 64}, "another bundle"),
        ({"options": {"top_k": 2}}, 'another options .*{} there, {"top_k": 2} now'),
        ({"block_tokens": 7}, "another block size"),
        ({"column": "body"}, "another columns"),
        ({"versions": {"ftool": "9"}}, "another version of ftool"),
    ],
)
def test_another_job_is_refused_by_name(
    job: Job, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    begun(tmp_path / "out", job)
    with pytest.raises(ClusterError, match=message):
        OutputFolder.open(tmp_path / "out", dataclasses.replace(job, **change))


def test_other_input_is_refused_by_name(job: Job, planned: Callable[..., Job], tmp_path: Path) -> None:
    begun(tmp_path / "out", job)
    write_csv(tmp_path / "data" / "a.csv", sentences(10))
    with pytest.raises(ClusterError, match=r"another input \(.*a\.csv had \d+ bytes, and has \d+\)"):
        OutputFolder.open(tmp_path / "out", planned(tmp_path / "data"))
    write_csv(tmp_path / "data" / "b.csv", sentences(10))
    write_csv(tmp_path / "data" / "a.csv", sentences(9))
    with pytest.raises(ClusterError, match=r"b\.csv is new"):
        OutputFolder.open(tmp_path / "out", planned(tmp_path / "data"))


def test_a_folder_with_other_files_is_refused(job: Job, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"holds other files, such as data"):
        OutputFolder.open(tmp_path, job)


def test_a_damaged_manifest_is_refused(job: Job, tmp_path: Path) -> None:
    begun(tmp_path / "out", job)
    (tmp_path / "out" / MANIFEST).write_text("{")
    with pytest.raises(ClusterError, match=r"predictions\.json is damaged"):
        OutputFolder.open(tmp_path / "out", job)


def test_a_column_that_a_file_lacks_is_told_before_anything_is_scored(
    planned: Callable[..., Job], tmp_path: Path
) -> None:
    write_csv(tmp_path / "data" / "a.csv", sentences(3))
    (tmp_path / "data" / "b.csv").write_text("id,body\n1,play\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"b\.csv has no column 'text', as .*a\.csv does; .*it has id, body"):
        planned(tmp_path / "data")


def test_a_parquet_file_whose_column_has_another_type_is_told(
    planned: Callable[..., Job], tmp_path: Path
) -> None:
    import pyarrow
    import pyarrow.parquet

    for name, column in (("a", ["play"]), ("b", [7])):
        pyarrow.parquet.write_table(pyarrow.table({"text": column}), tmp_path / f"{name}.parquet")
    with pytest.raises(InputError, match=r"b\.parquet: the column 'text' holds int64, not texts"):
        planned(tmp_path)


def test_a_folder_without_rows_is_refused(planned: Callable[..., Job], tmp_path: Path) -> None:
    (tmp_path / "notes.pdf").write_text("x")
    with pytest.raises(InputError, match="holds no file with rows"):
        planned(tmp_path)
    with pytest.raises(InputError, match="no such file or folder"):
        planned(tmp_path / "missing")


def test_texts_beside_tables_are_no_data(planned: Callable[..., Job], tmp_path: Path) -> None:
    write_jsonl(tmp_path / "deep" / "a.jsonl", sentences(2))
    (tmp_path / "README.txt").write_text("about the data\n")
    assert [Path(path).name for path, _ in planned(tmp_path).files] == ["a.jsonl"]
