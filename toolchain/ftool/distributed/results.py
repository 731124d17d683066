"""What scoring hands back: a record of each part, and the report of the whole batch."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class PartRecord:
    """A part of the answers, which is complete on the disk.

    Attributes:
        part: the name of its block, such as "00000-000012".
        file: the position of its file in the job.
        first: the number of its first row in the file: the line, or the row in a file without lines.
        last: the number of its last row.
        rows: the number of its rows, which is that of the lines in its file of answers.
        blank: the rows with an empty text, whose answer is null.
        rejected: the rows that can't be answered, whose answer is null, and which its file of rejected rows lists.
        truncated: the texts that were longer than the model's limit, and were cut.
        input: the hash of its rows.
        bytes: the size of its file of answers.
        sha256: the hash of its file of answers.
    """

    part: str
    file: int
    first: int
    last: int
    rows: int
    blank: int
    rejected: int
    truncated: int
    input: str
    bytes: int
    sha256: str

    @property
    def answers(self) -> str:
        """The name of its file of answers."""
        return f"part-{self.part}.jsonl"

    @property
    def rejects(self) -> str:
        """The name of its file of rejected rows, which is there only if there are any."""
        return f"rejected-{self.part}.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchReport:
    """What was answered.

    Attributes:
        output: the folder of the answers.
        files: the number of files of the input.
        parts: the number of files of answers.
        rows: the number of rows, with blank and rejected ones.
        blank: the rows with an empty text, whose answer is null.
        rejected: the rows that can't be answered.
        truncated: the texts that were cut.
        resumed: the rows whose answers were there before.
        workers: the number of worker processes; 0 if nothing was left to do.
        seconds: the time of this call, from the first block to the last; 0 if nothing was left to do.
    """

    output: Path
    files: int
    parts: int
    rows: int
    blank: int
    rejected: int
    truncated: int
    resumed: int
    workers: int = 0
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {**asdict(self), "output": str(self.output)}

    def __str__(self) -> str:
        lines = [f"{self.output}: {self.rows:,} rows of {self.files:,} files in {self.parts:,} parts"]
        if self.resumed:
            lines.append(f"answered before: {self.resumed:,}")
        if self.seconds:
            rate = (self.rows - self.resumed) / self.seconds
            lines.append(f"{rate:,.0f} rows a second with {self.workers:,} workers")
        return "; ".join(lines)
