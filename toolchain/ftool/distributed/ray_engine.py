"""Score blocks on a Ray cluster: tasks read files, a pool of actors answers blocks.

Ray Data is not used: ADR 30 says why.
"""

import logging
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import ray
from ray.exceptions import OutOfMemoryError, RayActorError, RayError

from ftool.data.inputs import read_rows
from ftool.distributed.blocks import Block, blocks_of
from ftool.distributed.job import Job
from ftool.distributed.scorer import Scorer, on_this_node
from ftool.errors import ClusterError
from ftool_runtime.errors import FtoolError
from ftool_runtime.text.files import Columns

_log = logging.getLogger("ftool")  # above the loggers of all modules that read files
_ATTEMPTS: Final = 4  # at a block whose workers die, and at starting a worker
_AHEAD: Final = 2  # blocks that a worker has, of which it answers one
_READ_AHEAD: Final = 8  # blocks that a reader has ready
_WORKERS_A_READER: Final = 16  # a reader is as fast as dozens of workers


def records(
    job: Job, done: Mapping[str, str], output: Path, *, workers: int, threads: int
) -> Iterator[dict[str, Any]]:
    """Yield the record of each part as soon as it is written, as JSON values, in any order.

    When a file has been read, {"file": its position, "blocks": the number of all its blocks, "warnings": lines}
    comes among them.

    Args:
        job: the job.
        done: the hash of the rows of each part that is complete, by name. These parts are not written again.
        output: the folder of the parts, which every node must see at this path.
        workers: the number of worker processes.
        threads: the threads of each.

    Raises ClusterError for a problem of a worker, if workers die again and again, and for a file that can't be read or
    whose rows have changed since a part was written.
    """
    pool = _Pool(job, output, workers, threads)
    readers = _Readers(job, done, most=1 + workers // _WORKERS_A_READER)
    try:
        while readers.running or pool.busy:
            reading = readers.running if pool.has_room else []
            (ready,), _ = ray.wait([*pool.waiting, *reading], num_returns=1, fetch_local=False)
            if ready not in readers.running:
                yield from pool.take(ready)
                continue
            item = readers.take(ready)
            if isinstance(item, Block):
                pool.give(item)
            elif item is not None:
                yield _without_problem(item)
    finally:
        pool.close()


@dataclass(slots=True, eq=False)
class _Worker:
    """An actor, with the results that it owes and their blocks, oldest first."""

    actor: Any
    owed: dict[Any, "_Try"] = field(default_factory=dict)


@dataclass(slots=True)
class _Try:
    """A block, the reference to it in the object store, and how many workers have died over it."""

    block: Block
    stored: Any
    deaths: int = 0


class _Pool:
    """Workers that answer blocks. A worker that dies is replaced, and its blocks are given to others."""

    def __init__(self, job: Job, output: Path, count: int, threads: int) -> None:
        self._kind = ray.remote(num_cpus=threads, max_restarts=0, scheduling_strategy="SPREAD")(Scorer)
        self._files = job.files
        self._job = ray.put(job)
        self._arguments = (output, threads)
        self._starting: dict[Any, _Worker] = {}
        self._workers: list[_Worker] = []
        self._again: deque[_Try] = deque()
        self._failed_starts = 0
        for _ in range(count):
            self._start()

    @property
    def waiting(self) -> list[Any]:
        """The references to wait for: starts of workers, and results."""
        return [*self._starting, *(ref for worker in self._workers for ref in worker.owed)]

    @property
    def busy(self) -> bool:
        """Whether there are blocks without an answer."""
        return bool(self._again) or any(worker.owed for worker in self._workers)

    @property
    def has_room(self) -> bool:
        """Whether another block can be given."""
        return any(len(worker.owed) < _AHEAD for worker in self._workers)

    def give(self, block: Block) -> None:
        """Let the worker with the fewest blocks answer a block."""
        self._submit(_Try(block, ray.put(block)))

    def take(self, ref: Any) -> Iterator[dict[str, Any]]:
        """Yield the record that has come, if it is one; `ref` is one of `waiting`. Raises ClusterError."""
        if ref in self._starting:
            self._started(ref)
        else:
            yield from self._answered(ref)
        while self._again and self.has_room:
            self._submit(self._again.popleft())

    def close(self) -> None:
        """End all workers."""
        for worker in (*self._workers, *self._starting.values()):
            ray.kill(worker.actor)

    def _start(self) -> None:
        worker = _Worker(self._kind.remote(self._job, *self._arguments))
        self._starting[worker.actor.__ray_ready__.remote()] = worker

    def _started(self, ref: Any) -> None:
        worker = self._starting.pop(ref)
        try:
            ray.get(ref)
        except RayError as error:
            self._failed_starts += 1
            if self._failed_starts >= _ATTEMPTS:
                raise ClusterError(f"workers can't start: {_reason(error)}") from error
            self._start()
            return
        self._failed_starts = 0
        self._workers.append(worker)

    def _submit(self, attempt: _Try) -> None:
        worker = min(self._workers, key=lambda one: len(one.owed))
        worker.owed[worker.actor.score.remote(attempt.stored)] = attempt

    def _answered(self, ref: Any) -> Iterator[dict[str, Any]]:
        worker = next(one for one in self._workers if ref in one.owed)
        try:
            result = ray.get(ref)
        except (RayActorError, OutOfMemoryError) as error:
            self._died(worker, error)
        except RayError as error:
            raise ClusterError(f"a worker failed: {_reason(error)}") from error
        else:
            del worker.owed[ref]
            yield _without_problem(result)

    def _died(self, worker: _Worker, error: RayError) -> None:
        """Replace a worker, and try its blocks again. The oldest is the one that it was answering."""
        first, *others = worker.owed.values()
        first.deaths += 1
        if first.deaths >= _ATTEMPTS:
            rows = first.block.read()
            path, _ = self._files[first.block.file]
            raise ClusterError(
                f"{path}, lines {rows[0].number} to {rows[-1].number}: {_ATTEMPTS} workers died over these rows, "
                f"perhaps for lack of memory: {_reason(error)}; give smaller --block-tokens or fewer --workers"
            ) from error
        self._again.extend((first, *others))
        self._workers.remove(worker)
        self._start()


class _Readers:
    """Tasks that read the files of a job in order, some at a time."""

    def __init__(self, job: Job, done: Mapping[str, str], *, most: int) -> None:
        self._job = job
        self._most = most
        self._next = 0
        self._task = ray.remote(num_cpus=0, num_returns="streaming")(_read).options(
            _generator_backpressure_num_objects=_READ_AHEAD
        )
        self._done: dict[int, dict[str, str]] = {}
        for name, digest in done.items():
            self._done.setdefault(int(name.partition("-")[0]), {})[name] = digest
        self.running: list[Any] = []  # generators of references
        self._fill()

    def take(self, generator: Any) -> "Block | dict[str, Any] | None":
        """Return the next item of a generator of `running`; None if it has ended. Raises ClusterError."""
        try:
            item: Block | dict[str, Any] = ray.get(next(generator))
        except StopIteration:
            self.running.remove(generator)
            self._fill()
            return None
        except RayError as error:
            raise ClusterError(f"a file can't be read: {_reason(error)}") from error
        return item

    def _fill(self) -> None:
        job = self._job
        while len(self.running) < self._most and self._next < len(job.files):
            path, _ = job.files[self._next]
            done = self._done.pop(self._next, {})
            self.running.append(
                self._task.remote(
                    path, self._next, job.column, job.names, job.block_tokens, job.bytes_per_token, done
                )
            )
            self._next += 1


def _read(
    path: str,
    file: int,
    column: Columns,
    names: Sequence[str] | None,
    tokens: int,
    bytes_a_token: float,
    done: Mapping[str, str],
) -> Iterator[Block | dict[str, Any]]:
    """Yield the blocks of a file that are not done, then the number of all its blocks; or the problem."""
    count = 0
    noted = _Noted()
    _log.addHandler(noted)
    try:
        rows = read_rows(Path(path), column, names)
        for block in blocks_of(rows, file, tokens=tokens, bytes_per_token=bytes_a_token):
            count += 1
            digest = done.get(block.name)
            if digest is None:
                yield block
            elif digest != block.digest:
                first, *_, last = block.read() * 2
                raise ClusterError(
                    f"{path} has changed since lines {first.number} to {last.number} were answered; give another "
                    "folder as --output"
                )
    except (FtoolError, OSError) as error:
        yield {"problem": on_this_node(f"can't read {path}", error)}
    else:
        yield {"file": file, "blocks": count, "warnings": noted.messages}
    finally:
        _log.removeHandler(noted)


class _Noted(logging.Handler):
    """A log handler that keeps warnings, which a worker process would show to nobody."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message of a record."""
        self.messages.append(record.getMessage())


def _without_problem(result: dict[str, Any]) -> dict[str, Any]:
    if "problem" in result:
        raise ClusterError(result["problem"])
    return result


def _reason(error: Exception) -> str:
    """Return the last line of an error of Ray, in which it quotes the exception of the worker."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
