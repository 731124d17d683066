"""Measure a prefix cache on disk: the first token of a program that starts anew, with a long system message.

    python -m benchmarks.prefix_cache --tokenizer FOLDER [--tokens 200 800] [--precisions w8 w4] [--rounds 7]

The model is GPT-2 small with random weights and a simple chat template. Every measurement is a new process with one
thread, which loads the bundle, begins a session and answers one message with one token. In each round the ways take
turns: with a file that holds the prefix, without one, and with a new one that is written. Seconds are wall time and
processor time from `model.session` to the token; the time to load the bundle is listed beside them.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import ftool_runtime as ft
from benchmarks.commands import write_result
from ftool.machine import describe_machine
from ftool.terminal import format_table

WAYS = ("read", "no file", "written")
TEMPLATE = (
    "{% for message in messages %}{{ message.role + ': ' + message.content + '\n' }}{% endfor %}assistant:"
)
QUESTION = "Where is page 12?"
SENTENCE = "Answer in one short sentence, name the page that says so, and never guess. "


def main() -> None:
    """Export what is missing, measure, and write benchmarks/results/prefix_cache.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokenizer", required=True, help="a folder with GPT-2's tokenizer files")
    parser.add_argument("--tokens", type=int, nargs="*", default=[200, 800])
    parser.add_argument("--precisions", nargs="*", default=["w8", "w4"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--work", type=Path, default=Path("models/prefix"), help="where bundles are kept")
    options = parser.parse_args()
    result: dict[str, Any] = {"machine": describe_machine(), "rounds": options.rounds}
    for precision in options.precisions:
        bundle = options.work / precision
        if not bundle.exists():
            export_gpt2(bundle, precision, options.tokenizer)
        result[precision] = {tokens: measure(bundle, tokens, options.rounds) for tokens in options.tokens}
    print(format_table(table(result, options.precisions)))
    write_result("prefix_cache", result)


def export_gpt2(bundle: Path, precision: str, tokenizer: str) -> None:
    """Export GPT-2 small with random weights and a chat template."""
    from benchmarks.block_size import random_gpt2  # imports torch, which the measured processes don't need
    from ftool_export.examples.generation import sample_examples
    from ftool_export.pipeline import export
    from ftool_export.settings import ExportSettings

    loaded = random_gpt2(tokenizer)
    loaded.tokenizer.chat_template = TEMPLATE
    export(
        ExportSettings(bundle=bundle, precision=precision, allow_drift=True), loaded, sample_examples(loaded)
    )


def measure(bundle: Path, tokens: int, rounds: int) -> dict[str, Any]:
    """Return the median seconds of each way, the file's size, and whether all ways gave the same logits."""
    with ft.TextGenerator.load(bundle, threads=1) as model:
        ids = model.tokenize([SENTENCE * tokens])[0][:tokens]
        system = model.decode(ids)
        with model.session(system) as session:
            of_session = first_logits(session)
        whole = model._chats.encode(
            [{"role": "system", "content": system}, {"role": "user", "content": QUESTION}]
        )
        of_chat = model.generate([whole], max_new_tokens=1, keep_logits=True)[0].logits
        assert of_chat is not None
        chat_equal = of_session == of_chat.tobytes()
    seconds: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        kept, new = Path(folder) / "kept", Path(folder) / "new"
        files = {"read": str(kept), "no file": "", "written": str(new)}
        first_token(bundle, system, str(kept))
        for number in range(rounds):
            for way in WAYS if number % 2 else reversed(WAYS):
                new.unlink(missing_ok=True)
                seconds[way].append(first_token(bundle, system, files[way]))
        size = kept.stat().st_size
    answers = {one["logits"] for ones in seconds.values() for one in ones}
    ways = {
        way: {name: median(one[name] for one in ones) for name in ("wall", "cpu", "load")}
        for way, ones in seconds.items()
    }
    same = {"logits_equal": len(answers) == 1, "chat_equal": chat_equal}
    return {"tokens": len(ids), "bytes": size, **same, **ways}


def first_token(bundle: Path, system: str, file: str) -> dict[str, Any]:
    """Return the seconds that a new process takes, and a hash of its logits; `file` is empty for no file."""
    command = [sys.executable, "-c", CHILD, str(bundle), file]
    found: dict[str, Any] = json.loads(
        subprocess.run(command, input=system, stdout=subprocess.PIPE, text=True, check=True).stdout
    )
    return found


def answer_once(bundle: str, file: str) -> None:
    """Answer one message with one token, with the system message from standard input; print seconds as JSON."""
    import hashlib

    system = sys.stdin.read()
    begun = time.perf_counter()
    with ft.TextGenerator.load(bundle, threads=1) as model:
        model.chat([{"role": "user", "content": "Hello"}], max_new_tokens=1)  # imports jinja2
        loaded, processor = time.perf_counter(), time.process_time()
        with model.session(system, prefix_cache=file or None) as session:
            logits = first_logits(session)
            wall, cpu = time.perf_counter() - loaded, time.process_time() - processor
    digest = hashlib.sha256(logits).hexdigest()
    print(json.dumps({"wall": wall, "cpu": cpu, "load": loaded - begun, "logits": digest}))


def first_logits(session: ft.ChatSession) -> bytes:
    """Ask the question, and return the logits of the answer's first token, float32 (vocabulary,)."""
    session.say(QUESTION, max_new_tokens=1)
    assert session._cache is not None
    decoder = session._cache.decoder
    return decoder._logits[: decoder.graph.vocabulary].tobytes()


CHILD = "import sys; from benchmarks.prefix_cache import answer_once; answer_once(*sys.argv[1:])"


def table(result: dict[str, Any], precisions: list[str]) -> list[list[str]]:
    """Return a table with a row for each precision and length."""
    rows = [
        ["precision", "tokens", "MB", *(f"{way}: ms (processor)" for way in WAYS), "load ms", "same logits"]
    ]
    for precision in precisions:
        for found in result[precision].values():
            times = [f"{1e3 * found[way]['wall']:.0f} ({1e3 * found[way]['cpu']:.0f})" for way in WAYS]
            load = f"{1e3 * found['no file']['load']:.0f}"
            size = f"{found['bytes'] / 1e6:.1f}"
            rows.append([precision, str(found["tokens"]), size, *times, load, str(found["logits_equal"])])
    return rows


if __name__ == "__main__":
    main()
