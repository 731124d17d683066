"""Answer many texts by one process and on a local Ray cluster, on the same cores, and compare answers and time.

    python -m benchmarks.distributed BUNDLE --data banking77/train.csv [--texts 1000000] [--kill]

The texts are drawn from the column `text` of a CSV file, with a seed, each with a number behind it, so that few are
equal. One process has a thread for each core; the cluster has a worker with one thread for each core. With `--kill` a
worker is killed when half of the texts are answered; both sides then run at once, and only answers are compared. Needs
ftool[ray].

Times are from start to end, the start of the cluster included. Processor time is that of all processes of a side, so
that it tells the overhead on a busy machine too; "µs a text" is the difference in it.
"""

import argparse
import csv
import hashlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from benchmarks.commands import write_result
from benchmarks.search_threads import busy_seconds
from ftool.distributed.output_folder import JOURNAL, MANIFEST
from ftool.machine import describe_machine
from ftool.terminal import format_table

SEED = 7
CORES = 2


def main() -> None:
    """Run both sides, and write benchmarks/results/distributed.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--texts", type=int, default=1_000_000)
    parser.add_argument("--kill", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_texts(options.data, options.texts, folder / "texts.csv")
        common = [str(options.bundle), "--input", str(folder / "texts.csv"), "--output"]
        one = Side("one process", [*common, str(folder / "one.jsonl"), "--threads", str(CORES)])
        flags = ["--engine", "ray", "--workers", str(CORES), "--threads", "1"]
        cluster = Side("cluster", [*common, str(folder / "parts"), *flags])
        if options.kill:
            one.start()
            cluster.start()
            kill_a_worker(folder / "parts", options.texts // 2)
        for side in (one, cluster):
            side.run()
        totals = json.loads((folder / "parts" / MANIFEST).read_text(encoding="utf-8"))["totals"]
        same = digest([folder / "one.jsonl"]) == digest(sorted((folder / "parts").glob("part-*.jsonl")))
        rows = len((folder / "one.jsonl").read_bytes().splitlines())
    result: dict[str, Any] = {
        "machine": describe_machine(),
        "ray": version("ray"),
        "texts": options.texts,
        "worker_killed": options.kill,
        "parts": totals["parts"],
        "same_answers": same,
    }
    print(
        f"{rows:,} answers of one process, {totals['rows']:,} of the cluster in {totals['parts']} parts; same: {same}"
    )
    if not options.kill:
        result |= {
            "one_process": one.figures,
            "cluster": {**cluster.figures, "scoring_s": round(totals["seconds"], 1)},
        }
        print(format_table([HEADER, *table(result)]))
    write_result("distributed_killed" if options.kill else "distributed", result)


HEADER = [
    "",
    "s",
    "scoring",
    "texts/s",
    "overhead",
    "processor s",
    "overhead",
    "µs a text",
    "cores of others",
]


def table(result: dict[str, Any]) -> Iterable[list[str]]:
    """Yield a row of the table for each side."""
    one = result["one_process"]
    for name in ("one_process", "cluster"):
        side = result[name]
        more, used = side["seconds"] - one["seconds"], side["processor_s"] - one["processor_s"]
        yield [
            name,
            f"{side['seconds']:.1f}",
            f"{side.get('scoring_s', side['seconds']):.1f}",
            f"{result['texts'] / side['seconds']:,.0f}",
            f"{100 * more / one['seconds']:+.1f}%",
            f"{side['processor_s']:.1f}",
            f"{100 * used / one['processor_s']:+.1f}%",
            f"{1e6 * used / result['texts']:+.1f}",
            f"{side['cores_used_by_others']}",
        ]


class Side:
    """A run of `ftool predict`, with its time and its processes' processor time."""

    def __init__(self, name: str, arguments: list[str]) -> None:
        self.name = name
        self.figures: dict[str, float] = {}
        self._command = [sys.executable, "-m", "ftool", "predict", *arguments]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the run."""
        self._process = subprocess.Popen(self._command)

    def run(self) -> None:
        """Start the run unless it is started, and wait until it ends."""
        start, busy = time.monotonic(), busy_seconds()
        if self._process is None:
            self.start()
        known: dict[int, float] = {}
        while self._process.poll() is None:
            time.sleep(0.5)
            known.update(processor_seconds())
        seconds, own = time.monotonic() - start, sum(known.values())
        if self._process.returncode:
            raise SystemExit(f"{self.name}: ftool predict ended with {self._process.returncode}")
        others = max(busy_seconds() - busy - own, 0)
        self.figures = {
            "seconds": round(seconds, 1),
            "processor_s": round(own, 1),
            "cores_used_by_others": round(others / seconds, 2),
        }


def processor_seconds() -> dict[int, float]:
    """Return the processor time so far of each process below this one, by its number."""
    found = {}
    for process in psutil.Process().children(recursive=True):
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        found[process.pid] = times.user + times.system
    return found


def kill_a_worker(output: Path, after: int) -> None:
    """Kill one of the workers when `after` rows are recorded in a folder of answers."""
    journal = output / JOURNAL
    done = 0
    while done < after:
        time.sleep(0.2)
        if journal.exists():
            lines = journal.read_text(encoding="utf-8").split("\n")[:-1]
            done = sum(json.loads(line)["rows"] for line in lines)
    worker = next(
        one
        for one in psutil.process_iter(["cmdline"])
        if "ray::Scorer" in " ".join(one.info["cmdline"] or ())
    )
    worker.kill()
    print(f"killed a worker after {done:,} rows", file=sys.stderr)


def write_texts(source: Path, count: int, target: Path) -> None:
    """Write `count` texts drawn from a CSV file as a CSV file."""
    with source.open(encoding="utf-8", newline="") as file:
        texts = [row["text"].strip().replace("\n", " ") for row in csv.DictReader(file)]
    chance = random.Random(SEED)
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "text"))
        for number in range(count):
            writer.writerow((number, f"{chance.choice(texts)} {chance.randrange(10_000)}"))


def digest(files: Iterable[Path]) -> str:
    """Return the hash of the content of files, one after another."""
    found = hashlib.sha256()
    for path in files:
        found.update(path.read_bytes())
    return found.hexdigest()


if __name__ == "__main__":
    main()
