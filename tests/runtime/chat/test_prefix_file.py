"""Prefix caches in files: the same answers without computing the prefix again, and no other file is overwritten."""

import errno
import json
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.runtime.chat.test_chat import SYSTEM, with_template

import ftool_runtime as ft
from ftool_runtime.bundle.manifest import Precision
from ftool_runtime.models import text_generator
from ftool_runtime.session.decoder.decoder import Decoder
from ftool_runtime.session.decoder.graph import CacheShape
from ftool_runtime.session.decoder.prefix_file import PrefixFile
from ftool_runtime.session.onnx_session import import_onnxruntime
from ftool_runtime.tools import cli

pytest.importorskip("jinja2", reason="chats need jinja2")

GeneratorMaker = Callable[..., Path]

EXAMPLES = [{"role": "user", "content": "play music"}, {"role": "assistant", "content": "turn on music now"}]
QUESTIONS = ("turn the lights off", "a", "1", "set a timer for ten minutes please", "stop .")


@pytest.fixture(scope="module", params=["in_place", "joined"])
def bundle(make_generator: GeneratorMaker, request: pytest.FixtureRequest) -> Path:
    """A tiny generator with a chat template, with each kind of caches."""
    return with_template(make_generator, caches=request.param)


@pytest.fixture
def fed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of tokens in each run that began a row, as tests go on."""
    counts: list[int] = []
    original = Decoder.feed

    def counted(decoder: Decoder, rows: Any, kept: Any = None) -> Any:
        counts.extend(len(row) for row in rows)
        return original(decoder, rows, kept)

    monkeypatch.setattr(Decoder, "feed", counted)
    return counts


def answers(
    bundle: Path, file: Path | None, questions: tuple[str, ...] = QUESTIONS, system: str = SYSTEM
) -> Any:
    """Return the answers of a program that starts anew: the model is loaded, and a session begun for each question."""
    with ft.TextGenerator.load(bundle, threads=1) as model:
        said = []
        for question in questions:
            with model.session(system, examples=EXAMPLES, prefix_cache=file) as session:
                said.append(session.say(question, max_new_tokens=8).token_ids)
        return said


def test_the_next_start_reads_the_prefix_and_answers_the_same(
    bundle: Path, tmp_path: Path, fed: list[int]
) -> None:
    file = tmp_path / "prefix"
    fresh = answers(bundle, None)
    fed.clear()
    assert answers(bundle, file) == fresh
    prefix = fed[0]
    assert prefix > 10
    written = file.read_bytes()
    fed.clear()
    assert answers(bundle, file) == fresh
    assert max(fed) < prefix
    assert file.read_bytes() == written
    assert [path.name for path in tmp_path.iterdir()] == ["prefix"]


def test_what_is_read_is_equal_to_the_bit(bundle: Path, tmp_path: Path) -> None:
    with ft.TextGenerator.load(bundle, threads=1) as model:
        beginning = [{"role": "system", "content": SYSTEM}]
        ids, decoders = model._shared_beginning(beginning), model._engine.guard.get().decoders
        computed = model._prefixes.snapshot(ids, decoders)
        file = model._prefix_file(tmp_path / "prefix", beginning)
        assert file.read(ids) is None
        file.write(ids, computed)
        stored = file.read(ids)
        assert stored is not None
        for one, other in zip(computed, stored, strict=True):
            assert one.dtype == other.dtype == np.float32
            np.testing.assert_array_equal(one, other)


def test_turns_before_the_first_are_part_of_the_conversation(bundle: Path) -> None:
    with ft.TextGenerator.load(bundle, threads=1) as model, model.session(examples=EXAMPLES) as session:
        messages = [*EXAMPLES, {"role": "user", "content": "stop"}]
        assert session.say("stop").text == model.chat(messages).text
        assert session.messages[:3] == messages
        with pytest.raises(ft.InputError, match="message 0 must be a mapping"):
            model.session(examples=[{"content": "play"}])


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]


def with_nan(content: bytes) -> bytes:
    import zlib

    start = content.index(b"]}") + 2
    numbers = np.frombuffer(content[start + 4 :], np.float32).copy()
    numbers[3] = np.nan
    return content[:start] + struct.pack("<I", zlib.crc32(numbers.data)) + numbers.tobytes()


def with_header(content: bytes, header: bytes, stated: int | None = None) -> bytes:
    begin = content.index(b"\n") + 1
    return content[:begin] + struct.pack("<I", len(header) if stated is None else stated) + header


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda content: b"", "it is truncated"),
        (lambda content: content[:7], "it is truncated"),
        (lambda content: content[:21], "it is truncated"),
        (lambda content: content[:60], "its header is damaged"),
        (lambda content: content[:-1], "bytes instead of"),
        (lambda content: content + b"\0", "bytes instead of"),
        (lambda content: flipped(content, -9), "its numbers are damaged"),
        (with_nan, "its numbers are damaged"),
        (lambda content: with_header(content, b"[" * 100_000), "its header is too long"),
        (lambda content: with_header(content, b"[" * 2_000), "its header is damaged"),
        (lambda content: with_header(content, b"{}" * 100, stated=0xFFFFFFFF), "its header is too long"),
        (lambda content: content.replace(b'"format":1', b'"format":2'), "another version of ftool-runtime"),
    ],
)
def test_a_damaged_or_hostile_file_is_computed_again(
    bundle: Path,
    tmp_path: Path,
    damage: Callable[[bytes], bytes],
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    file = tmp_path / "prefix"
    fresh = answers(bundle, file, QUESTIONS[:1])
    written = file.read_bytes()
    file.write_bytes(damage(written))
    assert file.read_bytes() != written
    assert answers(bundle, file, QUESTIONS[:1]) == fresh
    assert reason in caplog.text
    assert file.read_bytes() == written


def test_a_file_of_something_else_is_computed_again(
    bundle: Path,
    make_generator: GeneratorMaker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    file = tmp_path / "prefix"
    answers(bundle, file, ("play",))
    other = with_template(make_generator, name="exported later")
    assert answers(other, file, ("play",)) == answers(other, None, ("play",))
    assert "it is of another bundle" in caplog.text
    assert answers(other, file, ("play",), "stop music") == answers(other, None, ("play",), "stop music")
    assert "it holds another prefix" in caplog.text
    monkeypatch.setattr(text_generator, "cpu_features", lambda: ("avx2",))
    answers(other, file, ("play",), "stop music")
    assert "a processor with other instructions" in caplog.text
    monkeypatch.setattr(import_onnxruntime(), "__version__", "1.0")
    answers(other, file, ("play",), "stop music")
    assert "another version of onnxruntime" in caplog.text
    with ft.TextGenerator.load(other, threads=2) as model:
        model.session("stop music", prefix_cache=file).say("play")
    assert "another number of threads" in caplog.text
    answers(other, file, ("play",), "stop music")
    caplog.clear()
    answers(other, file, ("play",), "stop music")
    assert caplog.text == ""


def test_no_other_file_is_read_or_overwritten(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("my notes")
    with ft.TextGenerator.load(bundle, threads=1) as model:
        for name, message in (
            ("notes.txt", "is not a prefix cache, and is not overwritten"),
            (".", "is not a file"),
            ("none/prefix", "of the prefix cache prefix does not exist"),
        ):
            with pytest.raises(ft.InputError, match=message):
                model.session(SYSTEM, prefix_cache=tmp_path / name)
        with model.session(SYSTEM, prefix_cache=tmp_path / "prefix") as session:
            (tmp_path / "prefix").write_text("my notes")
            with pytest.raises(ft.InputError, match="is not overwritten"):
                session.say("play")
        with pytest.raises(ft.InputError, match=r"--prefix-cache\) is for a system message"):
            model.session(prefix_cache=tmp_path / "new")
    assert {path.read_text() for path in tmp_path.iterdir()} == {"my notes"}


def test_bundles_that_keep_no_caches_refuse_the_file(make_generator: GeneratorMaker, tmp_path: Path) -> None:
    folder = with_template(make_generator, precision=Precision(name="int8", rows_share_scale=True))
    with (
        ft.TextGenerator.load(folder, threads=1) as model,
        pytest.raises(ft.InputError, match="prefix_cache would have no effect"),
    ):
        model.session(SYSTEM, prefix_cache=tmp_path / "prefix")


def test_a_full_disk_costs_nothing_but_the_file(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "prefix"
    answers(bundle, file, ("play",))
    written = file.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert answers(bundle, file, ("play",), "stop music") == answers(bundle, None, ("play",), "stop music")
    assert "can't be saved" in caplog.text
    assert "No space left on device" in caplog.text
    assert (file.read_bytes(), len(list(tmp_path.iterdir()))) == (written, 1)


def test_writers_at_the_same_time_leave_a_whole_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caches = [CacheShape("0.key", 2, 8), CacheShape("0.value", 2, 8)]
    prefixes = [PrefixFile(tmp_path / "prefix", {"bundle": str(place)}, caches) for place in range(4)]
    ids = list(range(500))

    def write(place: int) -> None:
        for _ in range(30):
            prefixes[place].write(ids, [np.full((1, 2, 500, 8), place, np.float32)] * 2)
            found = prefixes[place].read(ids)
            assert found is None or all((values == place).all() for values in found)

    threads = [threading.Thread(target=write, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert "damaged" not in caplog.text
    assert "truncated" not in caplog.text
    assert "can't be saved" not in caplog.text
    assert sum(prefix.read(ids) is not None for prefix in prefixes) == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_two_processes_share_a_file(bundle: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "ftool_runtime",
        "chat",
        str(bundle),
        "--system",
        SYSTEM,
        "--threads",
        "1",
    ]
    command += ["--prefix-cache", str(tmp_path / "prefix")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes = [subprocess.Popen(command, text=True, **pipes) for _ in range(3)]  # type: ignore[call-overload]
    said = [process.communicate("play music\n", timeout=60) for process in processes]
    with ft.TextGenerator.load(bundle, threads=1) as model:
        messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "play music"}]
        expected = model.chat(messages).text
    assert said == [(expected + "\n", "")] * 3
    assert [path.name for path in tmp_path.iterdir()] == ["prefix"]


def test_the_command_line_needs_a_system_message(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["chat", str(bundle), "--prefix-cache", str(tmp_path / "prefix")]
    assert cli.main(arguments) == cli.WRONG_CALL
    assert "--prefix-cache) is for a system message (--system)" in capsys.readouterr().err


def test_the_header_says_what_the_file_is(bundle: Path, tmp_path: Path) -> None:
    answers(bundle, tmp_path / "prefix", ("play",))
    content = (tmp_path / "prefix").read_bytes()
    assert content.startswith(b"ftool prefix cache\n")
    header = json.loads(content[content.index(b"{") : content.index(b"]}") + 2])
    assert header["precision"] == "fp32"
    assert header["caches"] == [["0.key", 2, 8], ["0.value", 2, 8]]
