"""Answer many texts by one process and on a local Ray cluster, on the same cores, and compare answers and time.

    python -m benchmarks.distributed BUNDLE --data banking77/train.csv [--texts 1000000] [--kill]

The texts are drawn from the column `text` of a CSV file, with a seed, each with a number behind it, so that few are
equal. One process has a thread for each core; the cluster has a worker with one thread for each core. With `--kill` the
texts are answered on the cluster once more, and a worker is killed when half of them are answered. Needs ftool[ray].
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
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import psutil
import ray

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
        texts = folder / "texts.csv"
        write_texts(options.data, options.texts, texts)
        one = folder / "one.jsonl"
        common = [str(options.bundle), "--input", str(texts)]
        result: dict[str, Any] = {
            "machine": describe_machine(),
            "ray": ray.__version__,
            "texts": options.texts,
        }
        result["one_process"] = timed([*common, "--output", str(one), "--threads", str(CORES)])
        expected = digest([one])
        on_ray = [*common, "--engine", "ray", "--workers", str(CORES), "--threads", "1", "--output"]
        runs: dict[str, Callable[[Path], Any] | None] = {"cluster": None}
        if options.kill:
            runs["cluster, a worker killed"] = lambda output: kill_a_worker(output, options.texts // 2)
        for run, meanwhile in runs.items():
            output = folder / run.replace(", ", "-").replace(" ", "-")
            figures = timed([*on_ray, str(output)], meanwhile and (lambda at=output, do=meanwhile: do(at)))
            totals = json.loads((output / MANIFEST).read_text(encoding="utf-8"))["totals"]
            figures["scoring_s"] = round(totals["seconds"], 1)
            figures["parts"] = totals["parts"]
            figures["same_answers"] = digest(sorted(output.glob("part-*.jsonl"))) == expected
            result[run] = figures
    write_result("distributed", result)
    print(format_table([HEADER, *rows(result)]))


HEADER = ["", "s", "of which scoring", "texts/s", "overhead", "µs a text", "cores of others", "same answers"]


def rows(result: dict[str, Any]) -> Iterable[list[str]]:
    """Yield a row of the table for each run."""
    one = result["one_process"]["seconds"]
    for name, run in result.items():
        if not isinstance(run, dict) or "seconds" not in run:
            continue
        more = run["seconds"] - one
        yield [
            name,
            f"{run['seconds']:.1f}",
            f"{run.get('scoring_s', run['seconds']):.1f}",
            f"{result['texts'] / run['seconds']:,.0f}",
            f"{100 * more / one:+.1f}%",
            f"{1e6 * more / result['texts']:+.1f}",
            f"{run['cores_used_by_others']}",
            str(run.get("same_answers", "")),
        ]


def timed(arguments: list[str], meanwhile: Callable[[], Any] | None = None) -> dict[str, Any]:
    """Return the time of `ftool predict` from start to end, and how many cores other processes used meanwhile."""
    start, busy = time.monotonic(), busy_seconds()
    with subprocess.Popen([sys.executable, "-m", "ftool", "predict", *arguments]) as process:
        known: dict[int, float] = {}
        if meanwhile is not None:
            meanwhile()
        while process.poll() is None:
            time.sleep(0.5)
            known.update(processor_seconds())
    seconds = time.monotonic() - start
    if process.returncode:
        raise SystemExit(f"ftool predict ended with {process.returncode}")
    others = busy_seconds() - busy - sum(known.values())
    return {"seconds": round(seconds, 1), "cores_used_by_others": round(max(others, 0) / seconds, 2)}


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
