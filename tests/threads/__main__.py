"""Call models from many threads, print what happened, and write the table of docs/reliability.md."""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import onnxruntime

from tests.threads.bundles import write_bundles
from tests.threads.campaign import LOADS, THREADS, run

# glibc's malloc without an arena for each thread, and with large blocks that go back to the system when they are freed.
GLIBC: Final = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "65536",
    "MALLOC_TRIM_THRESHOLD_": "131072",
}


@dataclass(frozen=True)
class Run:
    """A row of the table: its share of loads, variables of its environment, and whether onnxruntime keeps an arena."""

    name: str
    loads: float = 0.0
    variables: Mapping[str, str] = field(default_factory=dict)
    arena: bool = True


RUNS: Final = (
    Run("models stay loaded"),
    Run("the same, with the variables below and without onnxruntime's arena", variables=GLIBC, arena=False),
    Run("loads and closes between", loads=LOADS),
    Run("the same, with the variables below", loads=LOADS, variables=GLIBC),
)


def main() -> int:
    """Run what the arguments ask for; the exit status is 1 if an answer was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.threads", description=__doc__)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--threads", type=int, default=THREADS)
    parser.add_argument("--table", action="store_true", help="write the table of docs/reliability.md")
    parser.add_argument("--bundles", type=Path, help="one run with these bundles, in this process")
    parser.add_argument("--loads", type=float, default=LOADS, help="with --bundles: loads for each call")
    parser.add_argument("--no-arena", action="store_true", help="with --bundles: sessions give memory back")
    options = parser.parse_args()
    if options.bundles:
        if options.no_arena:
            _without_arena()
        print(
            json.dumps(
                run(
                    options.bundles, calls=options.calls, threads=options.threads, loads=options.loads
                ).to_json()
            )
        )
        return 0
    with tempfile.TemporaryDirectory() as folder:
        # PyTorch, which exports, stays out of the process whose memory is measured
        writer = multiprocessing.get_context("spawn").Process(target=write_bundles, args=(Path(folder),))
        writer.start()
        writer.join()
        rows = [(one.name, _run(Path(folder), options, one)) for one in RUNS]
    if options.table:
        from tests.threads.table import write_table

        write_table(rows)
    return int(any(tally["wrong"] for _, tally in rows))


def _run(folder: Path, options: argparse.Namespace, chosen: Run) -> dict[str, Any]:
    """Run in a process of its own, and return the tally."""
    arguments = [
        sys.executable,
        "-m",
        "tests.threads",
        "--bundles",
        str(folder),
        "--loads",
        str(chosen.loads),
    ]
    arguments += ["--calls", str(options.calls), "--threads", str(options.threads)]
    arguments += [] if chosen.arena else ["--no-arena"]
    ended = subprocess.run(
        arguments, env={**os.environ, **chosen.variables}, stdout=subprocess.PIPE, check=True
    )
    tally: dict[str, Any] = json.loads(ended.stdout)
    print(json.dumps(tally), flush=True)
    return tally


def _without_arena() -> None:
    """Let every session of this process allocate from malloc, and give back what a run took."""

    class Options(onnxruntime.SessionOptions):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.enable_cpu_mem_arena = False

    onnxruntime.SessionOptions = Options


if __name__ == "__main__":
    sys.exit(main())
