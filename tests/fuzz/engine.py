"""Fuzz one target in this process with atheris: libFuzzer, guided by the lines of Python that an input reaches.

`tests.fuzz.__main__` starts it, and reads what it leaves in its folder: `state`, with the number of inputs and the
present one, for a process that does not end by itself; and `findings.jsonl`.
"""

import argparse
import hashlib
import json
import logging
import mmap
import os
import resource
import signal
import struct
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any, Final

from tests.fuzz.target import MOST_BYTES, MOST_SECONDS, Target

LARGEST_INPUT: Final = 2**16
STATE: Final = struct.Struct("<QQ")  # inputs so far, bytes of the present one, which follow

_INSTRUMENTED: Final = ["ftool", "ftool_runtime", "markdown_it"]  # jinja2 would be ten times slower
_OF_EACH: Final = 3  # inputs that are kept of each kind of finding
_HANGS_AFTER: Final = 2 * MOST_SECONDS  # of processor time; the process is then ended
_BY_FORM: Final = 0.6  # share of the inputs that are changed in the format's own form


class Recorder:
    """Counts inputs, and keeps findings, each kind a few times."""

    def __init__(self, folder: Path, done: int) -> None:
        self._folder = folder
        self._seen: Counter[str] = Counter()
        with (folder / "state").open("wb") as file:
            file.truncate(STATE.size + LARGEST_INPUT)
        with (folder / "state").open("r+b") as file:
            self._state = mmap.mmap(file.fileno(), 0)
        self._count = done

    def begin(self, content: bytes) -> None:
        """Note the next input, so that it is known if the process dies."""
        self._state[: STATE.size + len(content)] = STATE.pack(self._count, len(content)) + content
        self._count += 1

    def note(self, problem: str, error: BaseException | None, content: bytes) -> None:
        """Keep a finding, unless enough of its kind were found."""
        where = _place(error) if error is not None else ""
        kind = f"{problem} at {where}" if where else problem
        self._seen[kind] += 1
        if self._seen[kind] > _OF_EACH:
            return
        write_finding(self._folder, kind, "" if error is None else str(error), content)


def write_finding(folder: Path, kind: str, message: str, content: bytes) -> None:
    """Append a finding to `findings.jsonl`, and write its input beside it."""
    name = f"input-{hashlib.sha256(content).hexdigest()[:12]}"
    (folder / name).write_bytes(content)
    with (folder / "findings.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"kind": kind, "message": message[:500], "input": name}) + "\n")


def _place(error: BaseException) -> str:
    """Return the innermost line of ftool's own code in an exception's traceback, as file:line."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/ftool" in frame.filename] or frames
    path = own[-1].filename.rpartition("/ftool")
    return f"ftool{path[2]}:{own[-1].lineno} ({frames[-1].name})"


def fuzz(target: Target, prepared: Any, recorder: Recorder, options: argparse.Namespace) -> None:
    """Run libFuzzer; it ends the process after `options.inputs` inputs."""
    import atheris

    largest = min(LARGEST_INPUT, max(2 * max(map(len, prepared.seeds)), 2048))
    corpus = options.folder / "corpus"
    corpus.mkdir(exist_ok=True)
    for place, seed in enumerate(prepared.seeds):
        (corpus / f"seed-{place}").write_bytes(seed)
    marks = options.folder / "marks"
    marks.write_text(
        "".join(f"{_quoted(mark)}\n" for mark in target.marks or ("0",))
    )  # libFuzzer refuses an empty file

    def one(content: bytes) -> None:
        _read(target, prepared.read, recorder, bytes(content))

    def changed(content: bytes, most: int, seed: int) -> bytes:
        random = Random(seed)
        if random.random() >= _BY_FORM:
            return bytes(atheris.Mutate(content, most))
        result = bytes(content)
        for _ in range(random.choice((1, 1, 2, 3))):
            result = target.spoil(result, random)
        return result[:most]

    arguments = [
        "fuzz", str(corpus), f"-runs={options.inputs}", f"-seed={options.seed}", f"-max_len={largest}",
        "-timeout=600", f"-dict={marks}", f"-artifact_prefix={options.folder}/", "-rss_limit_mb=4096",
        "-print_final_stats=1", "-verbosity=0",
    ]  # fmt: skip
    atheris.Setup(arguments, one, custom_mutator=changed)
    atheris.Fuzz()


def _quoted(mark: str) -> str:
    """Return an entry of a dictionary of libFuzzer."""
    return '"' + "".join(f"\\x{byte:02X}" for byte in mark.encode()) + '"'


def _read(target: Target, read: Any, recorder: Recorder, content: bytes) -> None:
    recorder.begin(content)
    signal.setitimer(signal.ITIMER_PROF, _HANGS_AFTER)  # SIGPROF then ends the process, wherever it is
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    try:
        read(content)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - a panic of tokenizers is not even an Exception
        if (problem := target.problem(error)) is not None:
            recorder.note(problem, error, content)
    seconds = time.process_time() - started
    added = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    signal.setitimer(signal.ITIMER_PROF, 0)
    if seconds > MOST_SECONDS:
        recorder.note(f"more than {MOST_SECONDS:g} s", None, content)
    if added > MOST_BYTES:
        recorder.note(f"more than {MOST_BYTES >> 20} MiB", None, content)


def main() -> None:
    """Fuzz the target that the arguments name."""
    parser = argparse.ArgumentParser()
    parser.add_argument("target")
    parser.add_argument("--inputs", type=int, required=True)
    parser.add_argument("--done", type=int, default=0)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    logging.disable()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    import atheris

    with atheris.instrument_imports(include=_INSTRUMENTED):
        from tests.fuzz.targets import TARGETS

        target = next(one for one in TARGETS if one.name == options.target)
        work = options.folder / "work"
        work.mkdir(parents=True)
        prepared = target.prepare(work)
        recorder = Recorder(options.folder, options.done)
        for seed in prepared.seeds:  # imports what is imported only when it is needed
            _read(target, prepared.read, recorder, seed)
    fuzz(target, prepared, recorder, options)


if __name__ == "__main__":
    sys.exit(main())
