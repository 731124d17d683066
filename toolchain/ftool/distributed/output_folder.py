"""The folder of a batch's answers: parts, rejected rows, and what allows to resume an interrupted run.

    part-00000-000000.jsonl        an answer a line; sorted by name, the parts are in the order of the input
    rejected-00000-000000.jsonl    the rows of a part that can't be answered, if there are any
    predictions.json               the job, and after the last part the totals and a record of each part
    .journal.jsonl                 the records of the parts that are complete, until all are

A part is renamed into place when it is complete, and recorded after that: whatever ends a run, a recorded part is
complete, and a part without a record is written again.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, Final, Self

from ftool.distributed.job import Job
from ftool.distributed.results import BatchReport, PartRecord
from ftool.errors import ClusterError
from ftool_runtime.atomic import replacing
from ftool_runtime.text.printable import json_text

MANIFEST: Final = "predictions.json"
JOURNAL: Final = ".journal.jsonl"
_CALLED: Final = {  # what a difference between two jobs is called
    "digest": "bundle",
    "files": "input",
    "column": "columns",
    "names": "columns",
    "options": "options",
    "block_tokens": "block size",
    "versions": "version of ftool or a package that it uses",
}


class OutputFolder:
    """The folder of a job's answers, new or with parts of an interrupted run.

    Attributes:
        path: the folder.
        done: the records of the complete parts, by the name of the part.
        complete: whether all parts were there when the folder was opened.
    """

    def __init__(self, path: Path, job: Job, done: dict[str, PartRecord], *, complete: bool) -> None:
        self.path = path
        self.done = done
        self.complete = complete
        self._job = job
        self._journal: IO[str] | None = None

    @classmethod
    def open(cls, path: Path, job: Job) -> Self:
        """Return the folder at `path`, which is made if it is missing.

        Raises ClusterError if the folder has other files, or the answers of another job; OSError if it can't be read.
        """
        path.mkdir(parents=True, exist_ok=True)
        manifest = path / MANIFEST
        if not manifest.exists():
            others = sorted(one.name for one in path.iterdir() if not one.name.endswith(".partial"))
            if others:
                raise ClusterError(
                    f"{path} holds other files, such as {others[0]}; give an empty or a new folder as --output"
                )
            return cls(path, job, {}, complete=False)
        values = _read_json(manifest)
        _check_same(path, values.get("job", {}), job)
        complete = bool(values.get("complete"))
        listed = values["parts"] if complete else _read_lines(path / JOURNAL)
        done = _there(path, listed)
        return cls(path, job, done, complete=complete and len(done) == len(listed))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._journal is not None:
            self._journal.close()

    def begin(self) -> None:
        """Write the job, and open the journal. Raises OSError."""
        _write(self.path / MANIFEST, {"complete": False, "job": self._job.to_json()})
        with replacing(self.path / JOURNAL) as file:  # without the torn line that a kill may have left
            file.writelines(_line(record) for record in self.done.values())
        self._journal = (self.path / JOURNAL).open("a", encoding="utf-8")

    def add(self, record: PartRecord) -> None:
        """Record a part that is complete. Raises OSError."""
        assert self._journal is not None
        self._journal.write(_line(record))
        self._journal.flush()
        os.fsync(self._journal.fileno())
        self.done[record.part] = record

    def finish(self, report: BatchReport) -> None:
        """Write the report and all records, in the order of the input, and remove the journal. Raises OSError."""
        totals = {name: value for name, value in report.to_json().items() if name != "output"}
        parts = [asdict(self.done[name]) for name in sorted(self.done)]
        _write(
            self.path / MANIFEST,
            {"complete": True, "totals": totals, "job": self._job.to_json(), "parts": parts},
        )
        (self.path / JOURNAL).unlink(missing_ok=True)


def _line(record: PartRecord) -> str:
    return json_text(asdict(record)) + "\n"


def _write(path: Path, values: Mapping[str, Any]) -> None:
    with replacing(path) as file:
        file.write(json_text(values, indent=1) + "\n")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, UnicodeError) as error:
        raise ClusterError(f"{path} is damaged: {error}; give a new folder as --output") from error
    if not isinstance(values, dict):
        raise ClusterError(f"{path} is not what ftool writes; give a new folder as --output")
    return values


def _read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the records of a journal; a kill may have torn the last one, which is left out."""
    if not path.exists():
        return []
    *whole, _ = path.read_text(encoding="utf-8", errors="replace").split("\n")
    records = []
    for line in whole:
        try:
            records.append(json.loads(line))
        except ValueError:
            break
    return records


def _there(path: Path, records: Iterable[Mapping[str, Any]]) -> dict[str, PartRecord]:
    """Return the records whose files are there with the recorded size, by the name of the part."""
    found = {}
    for values in records:
        record = PartRecord(**values)
        answers, rejects = path / record.answers, path / record.rejects
        if (
            answers.is_file()
            and answers.stat().st_size == record.bytes
            and rejects.is_file() == bool(record.rejected)
        ):
            found[record.part] = record
    return found


def _check_same(path: Path, before: Mapping[str, Any], job: Job) -> None:
    """Raise ClusterError, which names the differences, unless the job is the one that the folder was begun with."""
    now = json.loads(json.dumps(job.to_json()))
    differing = [name for name in _CALLED if before.get(name) != now[name]]
    if not differing:
        return
    if "files" in differing:
        detail = _difference(before.get("files", []), now["files"])
    else:
        name = differing[0]
        detail = f"{_short(before.get(name))} there, {_short(now[name])} now"
    called = " and ".join(dict.fromkeys(_CALLED[name] for name in differing))
    raise ClusterError(
        f"{path} was begun with another {called} ({detail}); give another folder as --output, or remove this one"
    )


def _difference(before: list[dict[str, Any]], now: list[dict[str, Any]]) -> str:
    sizes, new = ({one["path"]: one["bytes"] for one in files} for files in (before, now))
    for path in (*sizes, *new):
        if path not in new:
            return f"{path} is missing now"
        if path not in sizes:
            return f"{path} is new"
        if sizes[path] != new[path]:
            return f"{path} had {sizes[path]:,} bytes, and has {new[path]:,}"
    return "the files have another order"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "…"
