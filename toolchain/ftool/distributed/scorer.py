"""What runs in a worker process: a loaded model that writes the answers to blocks."""

import hashlib
import io
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ftool_runtime as ft
from ftool.distributed.blocks import Block
from ftool.distributed.job import Job, check_worker
from ftool.distributed.results import PartRecord
from ftool.errors import ClusterError
from ftool_runtime.atomic import replacing
from ftool_runtime.errors import FtoolError, InputError
from ftool_runtime.text.files import in_batches
from ftool_runtime.text.input_rows import InputRow
from ftool_runtime.text.printable import json_text
from ftool_runtime.tools.output import write_answers


class Scorer:
    """A model in a worker process. Problems are returned, not raised, so that they reach the driver as they are."""

    def __init__(self, job: Job, output: Path, threads: int) -> None:
        """Load the job's bundle with `threads` threads; `output` is the folder of the answers."""
        self._job = job
        self._output = output
        self._problem: str | None = None
        try:
            check_worker(job)
            self._model = ft.load(job.bundle, threads=threads)
        except (FtoolError, OSError) as error:
            self._problem = on_this_node(f"can't read the bundle {job.bundle}", error)

    def score(self, block: Block) -> dict[str, Any]:
        """Answer a block, and write the part. Returns the part's record, or {"problem": message}."""
        if self._problem is None:
            try:
                return asdict(score(self._model, self._job, block, self._output))
            except (FtoolError, OSError) as error:
                return {"problem": on_this_node(f"can't write into {self._output}", error)}
        return {"problem": self._problem}


def score(model: ft.Model[Any, Any], job: Job, block: Block, output: Path) -> PartRecord:
    """Write the answers to a block and its rejected rows, each file whole or not at all, and return the record.

    Raises the errors of a call that don't concern a single row, and OSError if a file can't be written.
    """
    rows = block.read()
    source = job.files[block.file][0]
    answered = answer_rows(model, rows, source, job.options)
    content = answered.lines.encode()
    record = PartRecord(
        part=block.name,
        file=block.file,
        first=rows[0].number,
        last=rows[-1].number,
        rows=len(rows),
        blank=answered.blank,
        rejected=len(answered.problems),
        truncated=answered.truncated,
        input=block.digest,
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    if answered.problems:
        with replacing(output / record.rejects) as file:
            for place, problem in sorted(answered.problems.items()):
                listed = {"file": source, "row": rows[place].number, "line": place + 1, "problem": problem}
                file.write(json_text(listed) + "\n")
    else:  # a run that was killed before the part was recorded may have left one
        (output / record.rejects).unlink(missing_ok=True)
    with replacing(output / record.answers) as file:
        file.write(answered.lines)
    return record


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredRows:
    """The answers to some rows.

    Attributes:
        lines: a line of JSON for each row: its answer, or null.
        problems: why rows have no answer, by their position; blank rows are not among them.
        blank: the number of rows with an empty text.
        truncated: the number of texts that were cut.
    """

    lines: str
    problems: dict[int, str]
    blank: int
    truncated: int


def answer_rows(
    model: ft.Model[Any, Any], rows: Sequence[InputRow], source: str, options: Mapping[str, Any]
) -> AnsweredRows:
    """Answer rows in the batches of `ftool predict`; `source` is their place in messages about single rows.

    Raises the errors of a call that don't concern a single row.
    """
    problems = {place: row.problem for place, row in enumerate(rows) if row.problem is not None}
    blank = sum(row.given is None and row.problem is None for row in rows)

    def refuse(place: int, error: InputError) -> None:
        problems[place] = f"{source}, line {rows[place].number}: {_without_row(error)}"

    lines = io.StringIO()
    batches = in_batches(row.given for row in rows)
    counts = write_answers(model, batches, lines, refuse=refuse, **options)
    return AnsweredRows(lines=lines.getvalue(), problems=problems, blank=blank, truncated=counts.truncated)


def on_this_node(failed: str, error: Exception) -> str:
    """Return the message of an error in this process; `failed` is what an OSError means."""
    if isinstance(error, OSError):
        return f"the worker on {platform.node()} {failed}: {error.strerror or error}"
    return f"the worker on {platform.node()} {error}" if isinstance(error, ClusterError) else str(error)


def _without_row(error: InputError) -> str:
    """Return the message of an error of a call without the number that the input has in the call."""
    return re.sub(rf"^(\w+) {error.row}\b", r"the \1", str(error))
