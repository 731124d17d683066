"""Call models from many threads, print what happened, and write the table of docs/reliability.md."""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from tests.threads.bundles import write_bundles
from tests.threads.campaign import LOADS, THREADS, run

# glibc's malloc without an arena for each thread, and with large blocks that go back to the system when they are freed.
GLIBC: Final = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "65536",
    "MALLOC_TRIM_THRESHOLD_": "131072",
}
# The runs of the long version: their names in the table, their share of loads, and variables of the environment.
RUNS: Final[tuple[tuple[str, float, dict[str, str]], ...]] = (
    ("models stay loaded", 0.0, {}),
    ("loads and closes between", LOADS, {}),
    ("the same, with the variables below", LOADS, GLIBC),
)


def main() -> int:
    """Run what the arguments ask for; the exit status is 1 if an answer was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.threads", description=__doc__)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--threads", type=int, default=THREADS)
    parser.add_argument("--table", action="store_true", help="write the table of docs/reliability.md")
    parser.add_argument("--bundles", type=Path, help="one run with these bundles, in this process")
    parser.add_argument("--loads", type=float, default=LOADS, help="with --bundles: loads for each call")
    options = parser.parse_args()
    if options.bundles:
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
        rows = [(name, _run(Path(folder), options, loads, variables)) for name, loads, variables in RUNS]
    if options.table:
        from tests.threads.table import write_table

        write_table(rows)
    return int(any(tally["wrong"] for _, tally in rows))


def _run(
    folder: Path, options: argparse.Namespace, loads: float, variables: dict[str, str]
) -> dict[str, Any]:
    """Run in a process of its own, and return the tally."""
    arguments = [sys.executable, "-m", "tests.threads", "--bundles", str(folder), "--loads", str(loads)]
    arguments += ["--calls", str(options.calls), "--threads", str(options.threads)]
    ended = subprocess.run(arguments, env={**os.environ, **variables}, stdout=subprocess.PIPE, check=True)
    tally: dict[str, Any] = json.loads(ended.stdout)
    print(json.dumps(tally), flush=True)
    return tally


if __name__ == "__main__":
    sys.exit(main())
