"""`predict`: answer files of texts on a Ray cluster, into a folder."""

import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ftool_runtime as ft
from ftool.distributed.blocks import part_name
from ftool.distributed.job import BLOCK_TOKENS, Job, plan
from ftool.distributed.output_folder import OutputFolder
from ftool.distributed.results import BatchReport, PartRecord
from ftool.errors import ClusterError
from ftool.extras import require
from ftool.terminal import progress_bar
from ftool_runtime.locks import writing
from ftool_runtime.text.files import Columns
from ftool_runtime.tools.options import input_columns

_log = logging.getLogger(__name__)


def predict(
    bundle: str | os.PathLike[str],
    data: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    address: str | None = None,
    workers: int | None = None,
    threads: int = 1,
    column: Columns | None = None,
    columns: Sequence[str] | None = None,
    block_tokens: int = BLOCK_TOKENS,
    **options: Any,
) -> BatchReport:
    """Answer files of texts on a Ray cluster, as `ftool predict` on one process answers them.

    An interrupted call is resumed by the same call. Bundle, data and output must be at the same paths on every node.

    Args:
        bundle: the folder of the bundle.
        data: a file or a folder of files: Parquet, CSV, JSON lines, and every other kind that `ftool predict` reads.
        output: the folder of the answers: part-*.jsonl, with an answer for each row, in order; rejected-*.jsonl, with
            the rows that have none; and predictions.json, with the job and the numbers of rows.
        address: the address of a running cluster, such as "auto" or "10.0.0.1:6379"; None for the cluster that this
            process is connected to, or else a cluster on this machine for the time of the call.
        workers: the number of worker processes, each with the model; None for as many as the cluster's CPUs allow.
        threads: the threads, and CPUs, of each worker.
        column: the column that holds the text, or a mapping from each field of an input to its column; None for columns
            with the fields' own names.
        columns: the names of the columns of files without a header.
        block_tokens: about how many tokens are answered at once, and are in a part.
        options: options of a call of the model, such as `top_k=3`.

    Raises FtoolError: an option, the data, the output folder or the cluster can't be used; the message says what to
    change. Parts that are complete stay.
    """
    require("ray")
    folder = Path(bundle)
    with ft.load(folder) as model:
        found = input_columns(model, ()) if column is None else column
        job = plan(
            model, folder, Path(data), column=found, names=columns, options=options, block_tokens=block_tokens
        )
    return run(job, Path(output), address=address, workers=workers, threads=threads)


def run(
    job: Job, output: Path, *, address: str | None = None, workers: int | None = None, threads: int = 1
) -> BatchReport:
    """Do a job, or what is left of it; arguments and errors are those of `predict`."""
    require("ray")
    from ftool.distributed.cluster import Cluster, connected

    cluster = Cluster(address=address, workers=workers, threads=threads)
    output = output.absolute()
    with writing(output, "ftool predict"), OutputFolder.open(output, job) as folder:
        before = sum(record.rows for record in folder.done.values())
        if folder.complete:
            return _report(job, folder, resumed=before)
        with connected(cluster) as count:
            start = time.monotonic()
            blocks = _score(job, folder, workers=count, threads=threads)
            seconds = time.monotonic() - start
        _check_whole(job, folder, blocks)
        report = _report(job, folder, resumed=before, workers=count, seconds=seconds)
        folder.finish(report)
        return report


def _score(job: Job, folder: OutputFolder, *, workers: int, threads: int) -> dict[int, int]:
    """Let the cluster write and record the parts that are left; return the number of blocks of each file."""
    from ftool.distributed.ray_engine import records

    folder.begin()
    blocks: dict[int, int] = {}
    rows = before = sum(record.rows for record in folder.done.values())
    start = time.monotonic()
    done = {name: record.input for name, record in folder.done.items()}
    with progress_bar("scoring", None, "rows", done=before) as show:
        for result in records(job, done, folder.path, workers=workers, threads=threads):
            if "blocks" in result:
                blocks[result["file"]] = result["blocks"]
                for warning in (
                    result["warnings"] if result["file"] else ()
                ):  # planning has told the first file's
                    _log.warning("%s", warning)
                continue
            record = PartRecord(**result)
            folder.add(record)
            rows += record.rows
            show(rows, f"{(rows - before) / (time.monotonic() - start):,.0f} a second")
    return blocks


def _check_whole(job: Job, folder: OutputFolder, blocks: Mapping[int, int]) -> None:
    """Raise ClusterError unless there is a part for every block, and no other part."""
    expected = {part_name(file, number) for file in range(len(job.files)) for number in range(blocks[file])}
    if wrong := sorted(expected ^ folder.done.keys()):
        raise ClusterError(
            f"{folder.path}: part {wrong[0]} is missing or not of this input; run the command again"
        )


def _report(job: Job, folder: OutputFolder, **of_this_call: Any) -> BatchReport:
    records = folder.done.values()
    return BatchReport(
        output=folder.path,
        files=len(job.files),
        parts=len(records),
        rows=sum(record.rows for record in records),
        blank=sum(record.blank for record in records),
        rejected=sum(record.rejected for record in records),
        truncated=sum(record.truncated for record in records),
        **of_this_call,
    )
