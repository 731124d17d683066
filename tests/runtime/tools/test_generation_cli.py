"""`python -m ftool_runtime` with generators: predict, stream, chat, bench and info."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ftool_runtime as ft
from ftool_runtime.tools.cli import main

GeneratorMaker = Callable[..., Path]
TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message.role + '|>' + message.content + '</s>' }}{% endfor %}"
    "{{ '<|assistant|>' }}"
)


@pytest.fixture(scope="module")
def folder(make_generator: GeneratorMaker) -> Path:
    return make_generator(files={"chat_template.jinja": TEMPLATE})


def test_predict_answers_as_json_lines(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--max-new-tokens", "9", "--num-beams", "2", "--threads", "1"]
    assert main(["predict", str(folder), *flags, "turn the lights", "play"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    with ft.load(folder, threads=1) as model:
        answers = model(["turn the lights", "play"], max_new_tokens=9, num_beams=2)
    assert [line["answer"] for line in lines] == [answer.text for answer in answers]
    assert [line["text"] for line in lines] == ["turn the lights", "play"]
    assert all(line["score"] < 0 for line in lines)


def test_predict_samples_if_a_flag_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for flags in (["--seed", "3", "--temperature", "2"], ["--top-k", "5", "--seed", "3"]):
        assert main(["predict", str(folder), *flags, "play"]) == 0
        options: dict[str, Any] = {"do_sample": True, "seed": 3}
        options |= {"temperature": 2.0} if "--temperature" in flags else {"top_k": 5}
        with ft.load(folder) as model:
            assert json.loads(capsys.readouterr().out)["answer"] == model("play", **options).text


def test_predict_streams_plain_text(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(folder), "--stream", "turn the lights", "play"]) == 0
    with ft.load(folder) as model:
        expected = "".join(f"{model(text).text}\n" for text in ("turn the lights", "play"))
    assert capsys.readouterr().out == expected


def test_chat_answers_the_lines_of_standard_input_in_one_conversation(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("jinja2")
    monkeypatch.setattr("sys.stdin", io.StringIO("turn the lights off\n\nplay music\n"))
    assert main(["chat", str(folder), "--system", "please stop", "--max-new-tokens", "6"]) == 0
    with ft.TextGenerator.load(folder) as model, model.session("please stop") as session:
        texts = [session.say(text, max_new_tokens=6).text for text in ("turn the lights off", "play music")]
    assert capsys.readouterr().out == "".join(f"{text}\n" for text in texts)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["predict", "GENERATOR", "--threshold", "0.5", "play"],
            "--threshold is for multi-label classifiers",
        ),
        (
            ["predict", "CLASSIFIER", "--num-beams", "2", "play"],
            "--num-beams is for models that generate text",
        ),
        (["predict", "CLASSIFIER", "--stream", "play"], "--stream is for models that generate text"),
        (
            ["predict", "GENERATOR", "--stream", "--num-beams", "2", "play"],
            "knows its answer only at the end",
        ),
        (["predict", "GENERATOR", "--max-new-tokens", "0", "play"], "max_new_tokens must be"),
        (["predict", "GENERATOR", "--target-language", "de", "play"], "no option 'target_language'"),
        (["chat", "CLASSIFIER"], "this model can't chat"),
    ],
)
def test_wrong_calls_say_what_is_wrong(
    folder: Path, shared_bundle: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    places = {"GENERATOR": str(folder), "CLASSIFIER": str(shared_bundle)}
    assert main([places.get(argument, argument) for argument in arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        {"min_new_tokens": 12, "repetition_penalty": 2.0, "no_repeat_ngram_size": 1},
        {"num_beams": 3, "length_penalty": -2.0},
        {"min_p": 0.3, "temperature": 5.0, "seed": 3},
    ],
)
def test_flags_are_the_options_of_a_call(
    folder: Path, capsys: pytest.CaptureFixture[str], options: dict[str, Any]
) -> None:
    flags = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    assert main(["predict", str(folder), "--max-new-tokens", "12", *flags, "play"]) == 0
    sampling = {"do_sample": True} if "min_p" in options else {}
    with ft.load(folder) as model:
        expected = model("play", max_new_tokens=12, **options, **sampling)
        assert model("play", max_new_tokens=12) != expected  # the options say something
    assert json.loads(capsys.readouterr().out) == expected.to_json("play")


def test_info_says_how_the_decoder_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(folder), "--json"]) == 0
    info = json.loads(capsys.readouterr().out)
    assert info["generation"] == {
        "family": "decoder",
        "caches": "in_place",
        "max_length": 96,
        "languages": None,
    }


def test_bench_times_tokens(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "texts.txt").write_text("turn the lights\nplay music\n")
    flags = ["--input", str(tmp_path / "texts.txt"), "--calls", "3", "--cold-starts", "1", "--json"]
    assert main(["bench", str(folder), *flags]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["tokens_per_s"] > 0
    assert report["tokens_per_s_batch"] > 0
    assert report["first_token_ms"]["p50"] > 0
    assert (report["rows"], report["calls"], report["new_tokens"]) == (2, 3, 64)
