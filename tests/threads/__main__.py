"""Call models from many threads, print what happened, and write the table of docs/reliability.md."""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.threads.bundles import write_bundles
from tests.threads.campaign import THREADS, run


def main() -> int:
    """Run what the arguments ask for; the exit status is 1 if an answer was wrong or the memory grew too much."""
    parser = argparse.ArgumentParser(prog="python -m tests.threads", description=__doc__)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--threads", type=int, default=THREADS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--table", action="store_true", help="write the table of docs/reliability.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_bundles(Path(folder))
        tally = run(Path(folder), calls=options.calls, threads=options.threads, seed=options.seed)
    print(json.dumps(tally.to_json(), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
