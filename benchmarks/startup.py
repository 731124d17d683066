"""Measure the times of `import ftool_runtime`, of `ftool --help`, and of a cold start up to the first answer.

    python -m benchmarks.startup [BUNDLE]

Each measurement starts a new process. The measured commands take turns, and the results are medians over 15 rounds. The
cold start needs a bundle: by default banking77 int8, which `python -m benchmarks.banking77 --methods head` makes.
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.commands import FTOOL, REPOSITORY, write_result
from ftool.bench.engines import app_environment

ROUNDS = 15
BUNDLE = REPOSITORY / "models" / "banking77" / "head" / "bundle"

ANSWER = """
import sys, ftool_runtime
ftool_runtime.load(sys.argv[1])("turn the lights off")
"""


def seconds(command: list[str]) -> float:
    """Run a command, and return the wall time of its process in seconds."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=app_environment())
    return time.perf_counter() - start


def main(bundle: Path) -> None:
    """Run all measurements, and write benchmarks/results/startup.json."""
    python = sys.executable
    commands = {
        "python": [python, "-c", "pass"],
        "import numpy, onnxruntime": [python, "-c", "import numpy, onnxruntime"],
        "import numpy, onnxruntime, ftool_runtime": [
            python,
            "-c",
            "import numpy, onnxruntime, ftool_runtime",
        ],
        "ftool --help": [str(FTOOL), "--help"],
        "cold start to the first answer": [python, "-c", ANSWER, str(bundle)],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(ROUNDS + 1):
        for name, command in commands.items():
            elapsed = seconds(command)
            if number:  # the first round fills the file cache
                times[name].append(elapsed)
    result: dict[str, object] = {
        name: round(statistics.median(values) * 1e3, 1) for name, values in times.items()
    }
    without, with_ = (times[name] for name in list(commands)[1:3])
    extra = [(b - a) * 1e3 for a, b in zip(without, with_, strict=True)]
    result["ftool_runtime beyond numpy and onnxruntime"] = round(statistics.median(extra), 1)
    for name, value in result.items():
        print(f"{name:45s} {value:8} ms")
    write_result("startup", {"unit": "ms, median", "rounds": ROUNDS, **result})


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else BUNDLE)
