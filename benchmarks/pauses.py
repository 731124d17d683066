"""Time single rows that arrive with pauses, on one thread and on several, as an app's texts do.

    python -m benchmarks.pauses BUNDLE [--threads 2] [--pause-ms 5] [--rounds 5] [--calls 60] [--lengths 8 13 32 64 128]

Before each timed call the process sleeps for `--pause-ms` milliseconds; 0 gives one call after another. "left alone"
are threads that run where the system puts them; "kept apart" is what the runtime does (session/worker_threads.py).
Times are medians of all calls, in milliseconds; the rounds alternate.
"""

import argparse
import time
from pathlib import Path
from statistics import median

from benchmarks.encoder_speed import feeds
from ftool.terminal import format_table
from ftool_runtime.bundle.paths import MODEL_FILE
from ftool_runtime.session.onnx_session import OnnxSession, SessionSettings
from ftool_runtime.session.worker_threads import WorkerThreads


def main() -> None:
    """Print a table of times by length."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pause-ms", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=60, help="calls of each variant in a round")
    parser.add_argument("--lengths", type=int, nargs="+", default=[8, 13, 32, 64, 128])
    options = parser.parse_args()
    alone = _session(options.bundle, options.threads)
    alone._workers = WorkerThreads((), expected=0)
    sessions = {
        "1 thread": _session(options.bundle, 1),
        f"{options.threads} threads, left alone": alone,
        f"{options.threads} threads, kept apart": _session(options.bundle, options.threads),
    }
    rows = [["tokens", *sessions]]
    for length in options.lengths:
        times: dict[str, list[float]] = {name: [] for name in sessions}
        for number in range(options.rounds):
            for name in sessions if number % 2 else reversed(list(sessions)):
                times[name] += _timed(sessions[name], length, options.calls, options.pause_ms / 1e3)
        rows.append([str(length), *(f"{1e3 * median(found):.2f}" for found in times.values())])
    print(format_table(rows))


def _session(bundle: Path, threads: int) -> OnnxSession:
    settings = SessionSettings(device="cpu", threads=threads, profile="desktop")
    return OnnxSession(bundle / MODEL_FILE, settings, ("cpu",))


def _timed(session: OnnxSession, length: int, calls: int, pause: float) -> list[float]:
    """Return the seconds of each of `calls` calls, each after `pause` seconds; the first three are left out."""
    given, output = feeds(session, length), session.output_names[:1]
    times = []
    for _ in range(calls + 3):
        time.sleep(pause)
        started = time.perf_counter()
        session.run_all(output, given)
        times.append(time.perf_counter() - started)
    return times[3:]


if __name__ == "__main__":
    main()
