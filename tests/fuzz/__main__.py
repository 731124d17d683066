"""Fuzz some or all targets, print what was found, and write the table of docs/reliability.md."""

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from tests.fuzz.engine import STATE, write_finding
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS

_FOLDER: Final = Path("build/fuzz")
_SIGPROF: Final = 27
_MOST_STARTS: Final = 200  # of a target's process, which ends at a hang or crash


def main() -> int:
    """Run what the arguments ask for; the exit status is 1 if something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="inputs of all targets together")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="targets at the same time")
    parser.add_argument("--target", action="append", help="the name of a target; all by default")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--table",
        action="store_true",
        help="write the table of docs/reliability.md from the newest results of all",
    )
    options = parser.parse_args()
    chosen = [one for one in TARGETS if options.target is None or one.name in options.target]
    each = options.inputs / sum(one.share for one in chosen)
    with ThreadPoolExecutor(options.jobs) as pool:
        runs = [
            pool.submit(_campaign, one, math.ceil(each * one.share), options.seed) for one in reversed(chosen)
        ]
        results = [run.result() for run in runs]
    if options.table:
        from tests.fuzz.table import write_table

        write_table([json.loads((_folder(one) / "result.json").read_text()) for one in TARGETS])
    return int(any(result["findings"] for result in results))


def _campaign(target: Target, inputs: int, seed: int) -> dict[str, Any]:
    """Fuzz one target in processes of its own, one after another if one does not survive an input."""
    kept = _folder(target)
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    done, started = 0, time.perf_counter()
    for start in range(_MOST_STARTS):
        if done >= inputs:
            break
        done = _process(target, kept, inputs, done, seed + start)
    seconds = time.perf_counter() - started
    result: dict[str, Any] = {"inputs": done, "seconds": seconds, "seed": seed, "findings": _findings(kept)}
    (kept / "result.json").write_text(json.dumps(result, indent=1))
    print(f"{target.name}: {done:,} inputs, {seconds:,.0f} s", flush=True)
    for finding in result["findings"]:
        print(f"  {finding['kind']}: {finding['message'][:200]} [{finding['file']}]", flush=True)
    return result


def _folder(target: Target) -> Path:
    return _FOLDER / target.name.replace(" ", "-")


def _process(target: Target, kept: Path, inputs: int, done: int, seed: int) -> int:
    """Run one process; return the number of inputs of the target so far."""
    memory = Path("/dev/shm")
    folder = (
        memory if memory.is_dir() else kept
    ) / f"ftool-fuzz-{os.getpid()}-{target.name.replace(' ', '-')}"
    folder.mkdir(parents=True)
    try:
        with (kept / "log").open("ab") as log:
            arguments: Sequence[str] = (
                sys.executable, "-m", "tests.fuzz.engine", target.name, "--inputs", str(inputs - done),
                "--done", str(done), "--seed", str(seed), "--folder", str(folder),
            )  # fmt: skip
            ended = subprocess.run(arguments, stdout=log, stderr=log, check=False).returncode
        if not (folder / "state").exists():
            raise SystemExit(f"{target.name}: fuzzing did not start; see {kept / 'log'}")
        state = (folder / "state").read_bytes()
        count, size = STATE.unpack_from(state)
        if ended != 0:
            content = state[STATE.size : STATE.size + size]
            kind = "no end" if ended == -_SIGPROF else f"the process ended ({ended})"
            write_finding(folder, kind, "", content)
        for path in folder.glob("*"):
            if path.name == "findings.jsonl":
                with (kept / path.name).open("ab") as file:
                    file.write(path.read_bytes())
            elif path.name.startswith("input-"):
                shutil.copy(path, kept)
        return count + 1
    finally:
        shutil.rmtree(folder)


def _findings(kept: Path) -> list[dict[str, str]]:
    """Return one finding of each kind."""
    path = kept / "findings.jsonl"
    if not path.exists():
        return []
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    first = {one["kind"]: one for one in reversed(found)}
    return [{**one, "file": str(kept / one["input"])} for one in reversed(first.values())]


if __name__ == "__main__":
    sys.exit(main())
