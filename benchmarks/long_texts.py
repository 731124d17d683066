"""Time and memory of one very long word and of one very long text, for each of some bundles.

    python -m benchmarks.long_texts BUNDLE... [--characters N] [--limits]

Prints a table in Markdown, with a row for each bundle and input, each measured in a process of its own. With `--limits`
the default limits hold; without, none. Needs Linux, for the largest memory of the call alone.
"""

import argparse
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import ftool_runtime as ft

SENTENCE = "The card has not arrived in Paris today, says John.\n"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundles", nargs="+", metavar="BUNDLE")
    parser.add_argument("--characters", type=int, default=10_000_000)
    parser.add_argument("--limits", action="store_true")
    parser.add_argument("--one", choices=("word", "text"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        measure(Path(options.bundles[0]), options.one, options.characters, limited=options.limits)
        return
    print("| bundle | input | characters | seconds | MiB | |\n|---|---|---|---|---|---|")
    for bundle in options.bundles:
        for kind in ("word", "text"):
            flags = [bundle, "--one", kind, "--characters", str(options.characters)]
            command = [sys.executable, "-m", "benchmarks.long_texts", *flags, *["--limits"] * options.limits]
            print(
                subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout,
                end="",
                flush=True,
            )


def measure(folder: Path, kind: str, characters: int, *, limited: bool) -> None:
    """Print a row for one bundle and input."""
    text = "x" * characters if kind == "word" else (SENTENCE * (characters // len(SENTENCE) + 1))[:characters]
    limits = ft.Limits() if limited else ft.Limits(text_characters=None)
    with ft.load(folder, threads=1, limits=limits) as model:
        model("The card has not arrived.")
        Path("/proc/self/clear_refs").write_text("5")
        before, started = memory("VmRSS"), time.perf_counter()
        try:
            model(text)
            result = "answered"
        except ft.InputError as error:
            result = "refused: " + str(error).partition(";")[0]
        seconds, grown = time.perf_counter() - started, memory("VmHWM") - before
    manifest = json.loads((folder / "ftool.json").read_text())
    print(
        f"| {manifest['task']} | {kind} | {characters:,} | {seconds:.2f} | {max(grown, 0):.0f} | {result} |"
    )


def memory(what: str) -> float:
    """Return a number of /proc/self/status in MiB."""
    found = re.search(rf"{what}:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


if __name__ == "__main__":
    main()
