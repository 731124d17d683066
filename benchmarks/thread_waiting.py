"""Time generation with a bundle, for several ways in which an ONNX Runtime session's threads can wait for work.

    python -m benchmarks.thread_waiting BUNDLE [--rounds 3] [--threads 2]

The ways take turns, each in a new process. Prints the milliseconds per token: median and range over the rounds.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ftool.terminal import format_table

_SPIN, _STOP = "session.intra_op.spin_duration_us", "session.force_spinning_stop"
WAYS: dict[str, dict[str, str]] = {
    "spin 20 µs, stop (desktop)": {_SPIN: "20", _STOP: "1"},
    "spin 100 µs, stop": {_SPIN: "100", _STOP: "1"},
    "spin 500 µs, stop": {_SPIN: "500", _STOP: "1"},
    "spin 2,000 µs, stop": {_SPIN: "2000", _STOP: "1"},
    "spin 2,000 µs": {_SPIN: "2000"},
    "no limit (throughput)": {},
    "no limit, stop": {_STOP: "1"},
    "spin 500 µs, stop, blocks of 4": {_SPIN: "500", _STOP: "1", "session.dynamic_block_base": "4"},
}
_PROMPT, _NEW, _CALLS = 64, 64, 3  # tokens, tokens, calls


def main() -> None:
    """Time every way of waiting in a child process of its own; with `--way`, run as the child process for one way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(token_ms(options.bundle, WAYS[options.way], options.threads)))
        return
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    for number in range(options.rounds):
        for way in found if number % 2 else reversed(found):
            command = [sys.executable, "-m", "benchmarks.thread_waiting", str(options.bundle)]
            command += ["--threads", str(options.threads), "--way", way]
            found[way].append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))
    rows = [[w, f"{statistics.median(t):.2f}", f"{min(t):.2f} to {max(t):.2f}"] for w, t in found.items()]
    print(format_table([["way of waiting", "per token (ms)", "range"], *rows]))


def token_ms(bundle: Path, entries: dict[str, str], threads: int) -> float:
    """Return the milliseconds per token after the first (median over calls) with the session options `entries`."""
    import ftool_runtime
    from ftool_runtime.session import onnx_session

    def with_entries(onnxruntime: Any, settings: Any) -> Any:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = settings.threads, 1
        for name, value in entries.items():
            options.add_session_config_entry(name, value)
        return options

    onnx_session._options = with_entries
    model = ftool_runtime.load(bundle, threads=threads)
    row = list(range(10, 10 + _PROMPT))

    def seconds(new: int) -> float:
        start = time.perf_counter()
        model.generate([row], max_new_tokens=new, min_new_tokens=new, do_sample=False)
        return time.perf_counter() - start

    seconds(_NEW)
    return 1e3 * statistics.median((seconds(_NEW) - seconds(1)) / (_NEW - 1) for _ in range(_CALLS))


if __name__ == "__main__":
    main()
