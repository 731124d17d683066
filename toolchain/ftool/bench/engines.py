"""Start the engines to time as child processes, and send requests to them."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psutil

from ftool.bench.worker import Text
from ftool.errors import BenchError


@dataclass(frozen=True, kw_only=True)
class Engine:
    """An engine to time: its name in the report and its title there, and the settings of its worker process."""

    name: str
    kind: str  # "bundle" or "torch"
    folder: Path
    files: tuple[Path, ...]  # the files that an app would ship; they make up its size
    threads: int
    device: str = "cpu"
    profile: str = "desktop"
    title: str = ""  # what people call the engine, such as "bank, int8"; "" for its name
    task: str

    @property
    def size_mb(self) -> float:
        """The total size of the engine's files in MB (10^6 bytes)."""
        return sum(file.stat().st_size for file in self.files) / 1e6

    def command(self) -> list[str]:
        """Return the worker's command line.

        The texts are not part of the command line, because an argument can't be longer than 128 KiB. They are sent to
        the worker's standard input.
        """
        return [sys.executable, "-m", "ftool.bench.worker", self.spec()]

    def spec(self) -> str:
        """Return the worker's argument: the engine's settings as a JSON object."""
        return json.dumps(
            {
                "engine": self.kind,
                "task": self.task,
                "folder": str(self.folder),
                "threads": self.threads,
                "device": self.device,
                "profile": self.profile,
            }
        )


def app_environment() -> dict[str, str]:
    """Return this process's environment variables, without the one that keeps Python from storing compiled modules.

    An app's packages are compiled when they are installed or first imported; without the stored modules every start
    takes about 100 ms longer.
    """
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


class EngineProcess:
    """An engine that runs in a child process.

    `cold_start_ms` is the time from the start of the process to its first answer, in milliseconds.
    """

    def __init__(self, engine: Engine, first_text: Text) -> None:
        self.engine = engine
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  closed by close()
        start = time.perf_counter()
        self._process = subprocess.Popen(
            engine.command(),
            env=app_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            encoding="utf-8",
        )
        try:
            self.ask({"do": "first", "text": first_text})
        except BaseException:
            self.close()
            raise
        self.cold_start_ms = (time.perf_counter() - start) * 1e3

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def latencies(self, texts: list[Text]) -> dict[str, list[float]]:
        """Answer each text in a separate call, and return the duration of each call.

        The result has lists with one entry per text: `latencies_ms`; for generators also `first_ms`, the time to the
        first token, and `tokens`, the number of tokens in the answer.
        """
        return self.ask({"do": "latency", "texts": texts})

    def first_latencies(self, texts: list[Text]) -> list[float]:
        """Return the milliseconds to the answer to each text, for generators to its first token, one text at a time."""
        found: list[float] = self.ask({"do": "first_latency", "texts": texts})["latencies_ms"]
        return found

    def seconds(self, texts: list[Text], batch: int | None = None) -> float:
        """Return the time, in seconds, to answer all texts, in calls of `batch` texts; None for one call."""
        request = {"do": "throughput", "texts": texts, "batch": batch or len(texts)}
        return float(self.ask(request)["seconds"])

    def served(self, texts: list[Text], rate: float, seed: int) -> list[float]:
        """Answer texts that arrive at random, `rate` a second; return the milliseconds from arrival to answer."""
        request = {"do": "server", "texts": texts, "rate": rate, "seed": seed}
        found: list[float] = self.ask(request)["latencies_ms"]
        return found

    def describe(self) -> dict[str, Any]:
        """Return `peak_memory_mb` of the process, and `versions` of the packages that the process has imported."""
        return self.ask({"do": "describe"})

    def cpu_seconds(self) -> float:
        """Return the processor time, in seconds, that the process has used since it started."""
        times = psutil.Process(self._process.pid).cpu_times()
        return float(times.user + times.system)

    def close(self) -> None:
        """Ask the process to end, and kill it if it does not end within 10 seconds."""
        if self._process.stdin:
            with suppress(BrokenPipeError):  # the process ended without reading all of its input
                self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self._errors.close()

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request to the process and return its reply, both JSON objects.

        Raises BenchError if the process has ended.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the process has ended: reading raises an error with the reason
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            self._errors.seek(0)
            lines = self._errors.read().decode("utf-8", errors="replace").strip().splitlines()
            raise BenchError(
                f"engine {self.engine.name} ended with exit status {code}: {lines[-1] if lines else 'no error message'}"
            )
        reply: dict[str, Any] = json.loads(line)
        return reply


@contextmanager
def started(engines: list[Engine], first_text: Text) -> Iterator[dict[str, EngineProcess]]:
    """Start all engines one after another, yield their processes by engine name, and end all processes on exit."""
    running: dict[str, EngineProcess] = {}
    try:
        for engine in engines:
            running[engine.name] = EngineProcess(engine, first_text)
        yield running
    finally:
        for process in running.values():
            process.close()
