"""`python -m ftool_runtime`: exit statuses, output streams, and no incomplete files."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from tests.helpers.tiny_bundles import looping_graph, relist, write_manifest

import ftool_runtime as ft
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.tools import cli
from ftool_runtime.tools.output import Counts, write_answers

BundleMaker = Callable[..., Path]

on_posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals and limits")


def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ftool_runtime", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60, **options)  # type: ignore[call-overload,no-any-return]


def test_predict_prints_one_json_object_a_line_in_order(
    shared_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["predict", str(shared_bundle), "play music", "--top-k", "2", "türn the lights off"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["text"] for line in lines] == ["play music", "türn the lights off"]
    assert all(set(line) == {"text", "label", "score", "labels", "top", "truncated"} for line in lines)
    assert all(len(line["top"]) == 2 for line in lines)


def test_predict_reads_standard_input_without_texts(shared_bundle: Path) -> None:
    done = run("predict", shared_bundle, input="play müsic\nturn the lights off\n")
    assert done.returncode == 0
    assert [json.loads(line)["text"] for line in done.stdout.splitlines()] == [
        "play müsic",
        "turn the lights off",
    ]


def test_predict_reads_and_writes_files(
    shared_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.csv").write_text("id,text\n1,play music\n2," + "music " * 50 + "\n")
    out = tmp_path / "out.jsonl"
    arguments = [
        "predict",
        shared_bundle,
        "--input",
        tmp_path / "in.csv",
        "--output",
        out,
        "--batch-size",
        "1",
    ]
    assert cli.main([str(argument) for argument in arguments]) == 0
    assert [json.loads(line)["truncated"] for line in out.read_text().splitlines()] == [False, True]
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "1 of the texts were cut at 16 tokens" in captured.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.jsonl"]


def test_an_error_in_between_keeps_the_old_output(shared_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('"play"\n' * 10 + "3\n")
    out = tmp_path / "out.jsonl"
    out.write_text("old")
    done = run(
        "predict", shared_bundle, "--input", tmp_path / "in.jsonl", "--output", out, "--batch-size", "2"
    )
    assert (done.returncode, out.read_text()) == (2, "old")
    assert done.stderr == f"Error: {tmp_path / 'in.jsonl'}, line 11: the text must be a string, got int\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]


@pytest.mark.parametrize("batch_size", ["1", "2", "64"])
def test_the_answer_to_an_empty_text_is_null_and_counted(
    shared_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], batch_size: str
) -> None:
    (tmp_path / "in.tsv").write_text("play\t1\n\t2\nmusic\t3\n", encoding="utf-8")
    arguments = ["predict", shared_bundle, "--input", tmp_path / "in.tsv", "--columns", "text, id"]
    assert cli.main([*map(str, arguments), "--batch-size", batch_size]) == 0
    captured = capsys.readouterr()
    answers = [json.loads(line) for line in captured.out.splitlines()]
    assert [answer and answer["text"] for answer in answers] == ["play", None, "music"]
    assert captured.err == "1 of the texts were empty and answered with null\n"


@on_posix
def test_a_full_disk_keeps_the_old_output(shared_bundle: Path, tmp_path: Path) -> None:
    import resource

    (tmp_path / "in.txt").write_text("play music\n" * 2000)
    out = tmp_path / "out.jsonl"
    out.write_text("old")
    done = run(
        *("predict", shared_bundle, "--input", tmp_path / "in.txt", "--output", out),
        preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_FSIZE, (10_000, 10_000)
        ),  # as a full disk: OSError
    )
    assert (done.returncode, out.read_text()) == (2, "old")
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.txt", "out.jsonl"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_standard_output_is_one_line(shared_bundle: Path) -> None:
    command = [sys.executable, "-m", "ftool_runtime", "predict", str(shared_bundle), "play"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    assert done.returncode == 2
    assert done.stderr == "Error: No space left on device\n"


@on_posix
def test_a_reader_that_leaves_ends_it_quietly(shared_bundle: Path) -> None:
    command = [sys.executable, "-m", "ftool_runtime", "predict", str(shared_bundle), "--batch-size", "1"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:  # type: ignore[call-overload]
        process.stdout.close()
        process.stdin.write("play\n" * 5000)
        process.stdin.close()
        assert process.stderr.read() == ""
        assert process.wait(60) == cli.BROKEN_PIPE


@on_posix
def test_ctrl_c_is_one_line_and_keeps_the_old_output(shared_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("old")
    (left := tmp_path / ".out.jsonl.0123abcd.partial").touch()
    command = [sys.executable, "-m", "ftool_runtime", "predict", str(shared_bundle), "--output", str(out)]
    pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
    heeded = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # ignored by what runs in the background
    with subprocess.Popen(command, text=True, preexec_fn=heeded, **pipes) as process:  # type: ignore[call-overload]
        deadline = time.monotonic() + 30
        while left.exists():  # until the output is opened, which removes what a killed process has left
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == "Error: interrupted\n"
        assert process.wait(30) == cli.INTERRUPTED
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict", "BUNDLE", "--threads", "0", "play"], "threads must lie between 1 and"),
        (["predict", "BUNDLE", "--top-k", "0", "play"], "top_k must be a whole number"),
        (["predict", "BUNDLE", "--top-k", "x", "play"], "argument --top-k: invalid int value: 'x'"),
        (["predict", "BUNDLE", "--threshold", "0.5", "play"], "thresholds are for multi-label models"),
        (["predict", "BUNDLE", "--device", "tpu", "play"], "invalid choice: 'tpu'"),
        (["predict", "BUNDLE", "--batch-size", "0", "play"], "--batch-size must be at least 1, got 0"),
        (["predict", "BUNDLE", "--input", "gone.txt"], "can't read gone.txt: No such file"),
        (["predict", "BUNDLE", "--input", "gone.txt", "play"], "not both"),
        (["predict", "BUNDLE", ""], "text 0 is empty"),
        (["predict", "gone", "play"], "there is no folder gone"),
        (["verify", "gone"], "there is no folder gone"),
        (["info", "gone"], "there is no folder gone"),
        (["bench", "BUNDLE", "--calls", "0"], "at least 1"),
        (["verify", "BUNDLE", "--mood", "good"], "unrecognized arguments: --mood"),
        (["dance"], "invalid choice: 'dance'"),
        (["predict"], "required: BUNDLE"),
        ([], "required: COMMAND"),
    ],
)
def test_a_wrong_call_is_one_line_on_standard_error_and_status_2(
    shared_bundle: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert cli.main([argument.replace("BUNDLE", str(shared_bundle)) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("Error: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = run("info", tmp_path, "--debug")
    assert "Traceback" in done.stderr
    assert done.returncode not in (0, 2)


def test_verify_ends_with_1_if_a_file_was_altered(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["verify", str(bundle)]) == 0
    assert "3 files: verified" in capsys.readouterr().out
    path = bundle / "tokenizer.json"
    path.write_bytes(path.read_bytes().replace(b"lights", b"sights"))
    assert cli.main(["verify", str(bundle)]) == 1
    out = capsys.readouterr().out
    assert "tokenizer.json has the right size but was altered" in out
    assert "NOT verified" in out
    assert cli.main(["verify", str(bundle), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["passed"] is False


def test_verify_ends_a_graph_that_does_not_end(
    make_bundle: BundleMaker, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_bundle()
    (folder / "onnx" / "model.onnx").write_bytes(looping_graph())
    relist(folder)
    assert cli.main(["verify", str(folder), "--seconds", "0.2"]) == 1
    assert "the call took longer than 0.2 s" in capsys.readouterr().out
    assert cli.main(["verify", str(folder), "--seconds", "-1"]) == 2
    assert "call_seconds must be a number of seconds above 0" in capsys.readouterr().err


def test_logs_show_control_characters_escaped(make_generator: Callable[..., Path]) -> None:
    folder = make_generator()
    path = folder / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"a\x1b[2J\u202eb": 1}))
    relist(folder)
    done = run("predict", folder, "play music")
    assert done.returncode == 0
    assert "ignored unknown fields: a\\x1b[2J\\u202eb" in done.stderr


def test_info_and_bench_print_one_json_object(
    shared_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["info", str(shared_bundle), "--json", "--threads", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["threads"] == 1
    assert cli.main(["bench", str(shared_bundle), "--json", "--calls", "5", "--cold-starts", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["latency_ms"]["p50"] > 0
    assert cli.main(["info", str(shared_bundle)]) == 0
    assert "3: lights, music, timer" in capsys.readouterr().out


def test_bench_times_the_texts_it_is_given(
    shared_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.txt").write_text("play\nmusic\n")
    arguments = ["bench", shared_bundle, "--calls", "5", "--cold-starts", "1", "--input", tmp_path / "in.txt"]
    assert cli.main([str(argument) for argument in arguments]) == 0
    assert "2 texts, 5 calls" in capsys.readouterr().out


def test_a_line_of_a_live_pipe_is_answered_as_it_arrives(shared_bundle: Path) -> None:
    """A program at the other end of two pipes gets its answers without closing them."""
    command = [sys.executable, "-m", "ftool_runtime", "predict", str(shared_bundle)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(command, text=True, bufsize=1, env=environment, **pipes) as process:  # type: ignore[call-overload]
        for text in ("play", "music"):
            process.stdin.write(text + "\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["text"] == text
        process.stdin.close()
        assert process.wait(30) == 0


def test_output_is_utf_8_whatever_the_locale(shared_bundle: Path) -> None:
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = run("predict", shared_bundle, input="müsic\n", env=environment)
    assert json.loads(done.stdout)["text"] == "müsic"


def test_more_texts_than_fit_in_memory_at_once_are_streamed(model: object) -> None:
    out = io.StringIO()
    assert write_answers(model, (["play"] * 7 for _ in range(15)), out) == Counts()  # type: ignore[arg-type]
    assert len(out.getvalue().splitlines()) == 105


def test_refused_texts_are_told_by_their_position_and_the_others_are_answered(shared_bundle: Path) -> None:
    out = io.StringIO()
    refused = {}
    batches = [["play", None, "off " * 30], ["music " * 30, "music"]]
    with ft.load(shared_bundle, limits=ft.Limits(text_characters=100)) as model:
        counts = write_answers(model, batches, out, refuse=refused.__setitem__)
        with pytest.raises(ft.InputError, match="text 1 has 120 characters"):
            write_answers(model, batches, io.StringIO())
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line and line["text"] for line in lines] == ["play", None, None, None, "music"]
    assert {place: error.row for place, error in refused.items()} == {2: 1, 3: 0}
    assert counts == Counts(blank=1)


@on_posix
def test_output_to_anything_but_a_regular_file_does_not_replace_it(
    shared_bundle: Path, tmp_path: Path
) -> None:
    """A regular file in place of /dev/null would break every program on the machine."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert run("predict", shared_bundle, "play", "--output", pipe).returncode == 0
    assert json.loads(os.read(reader, 10_000))["text"] == "play"
    os.close(reader)
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


@on_posix
def test_output_to_a_link_replaces_the_file_it_leads_to(shared_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder" / "out.jsonl")
    assert run("predict", shared_bundle, "play", "--output", tmp_path / "link").returncode == 0
    assert (tmp_path / "link").is_symlink()
    assert json.loads((tmp_path / "folder" / "out.jsonl").read_text())["text"] == "play"


def test_output_that_cannot_be_written_is_named_as_it_was_given(
    shared_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path, reason in (
        (tmp_path, "Is a directory"),
        (tmp_path / "gone" / "a", "No such file or directory"),
    ):
        assert cli.main(["predict", str(shared_bundle), "play", "--output", str(path)]) == 2
        if sys.platform != "win32":  # other words there
            assert capsys.readouterr().err == f"Error: {path}: {reason}\n"
    assert list(tmp_path.iterdir()) == []


@on_posix
@pytest.mark.parametrize(("closed", "stream"), [("<&-", "input"), (">&-", "output")])
def test_a_closed_standard_stream_is_one_line(shared_bundle: Path, closed: str, stream: str) -> None:
    text = "play" if stream == "output" else ""
    script = f'"{sys.executable}" -m ftool_runtime predict "{shared_bundle}" {text} {closed}'
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"Error: standard {stream} is closed; ")
    assert done.stderr.count("\n") == 1


def test_commands_for_a_terminal_in_names_and_errors_are_shown(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_manifest(
        bundle, name="\x1b]0;owned\x07\u202e", labels=("a\x9b2J", "b", "c"), files=Manifest.read(bundle).files
    )
    assert cli.main(["info", str(bundle)]) == 0
    shown = capsys.readouterr().out
    assert r"\x1b]0;owned\x07\u202e" in shown
    assert r"a\x9b2J" in shown
    assert cli.main(["info", str(bundle), "--json"]) == 0
    told = capsys.readouterr().out
    assert json.loads(told)["labels"][0] == "a\x9b2J"
    assert cli.main(["info", str(bundle.with_name("\x1b[2J\rgone"))]) == 2
    error = capsys.readouterr().err
    for text in (shown, told, error):
        assert not {*"\x1b\x07\x9b\r\u202e"} & {*text}
    assert r"\x1b[2J gone" in error
