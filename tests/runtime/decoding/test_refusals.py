"""Wrong calls of generators are refused with one clear error, if possible before anything is computed."""

import io
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.helpers.tiny_bundles import relist

import ftool_runtime as ft
from ftool_runtime.bundle.paths import MANIFEST_FILE
from ftool_runtime.decoding.config import GenerationConfig
from ftool_runtime.decoding.sampling import sampling_filters
from ftool_runtime.session.decoder.decoder import Decoder
from ftool_runtime.tools.cli import main

GeneratorMaker = Callable[..., Path]
VOCABULARY = 27  # tokens of the tiny models
TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message.role + '|>' + message.content + '</s>' }}"
    "{% for key, inner in (message.extra or {}).items() %}{{ key ~ inner }}{% endfor %}"
    "{% endfor %}{{ '<|assistant|>' }}"
)
WAYS = [{}, {"do_sample": True}, {"do_sample": True, "top_k": 0, "top_p": 0.9}, {"num_beams": 3}]
WAYS += [{"num_beams": 2, "do_sample": True}, {"repetition_penalty": 1.2}]


@pytest.fixture(scope="module")
def talker(make_generator: GeneratorMaker) -> Any:
    pytest.importorskip("jinja2", reason="chats need jinja2")
    with ft.TextGenerator.load(make_generator(files={"chat_template.jinja": TEMPLATE}), threads=1) as model:
        yield model


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["suppress_tokens", "begin_suppress_tokens", "bad_words_ids"])
def test_a_config_that_forbids_every_token_is_refused(
    writer_model: ft.TextGenerator, way: dict[str, Any], name: str
) -> None:
    every: list[Any] = list(range(VOCABULARY))
    if name == "bad_words_ids":
        every = [[token] for token in every]
        way = {**way, "eos_token_id": []}  # a bad word that ends the answer is allowed
    with pytest.raises(
        ft.InputError, match=r"row 0: the generation config leaves no token to choose"
    ) as error:
        writer_model("play", **{name: every}, **way)
    assert error.value.row == 0


def test_a_stream_that_can_say_nothing_is_refused(writer_model: ft.TextGenerator) -> None:
    with pytest.raises(ft.InputError, match="leaves no token"):
        list(writer_model.stream("play", suppress_tokens=list(range(VOCABULARY))))
    assert writer_model("play", max_new_tokens=2).token_ids


def test_the_row_is_counted_from_the_streams_start(writer_model: ft.TextGenerator) -> None:
    with pytest.raises(ft.InputError, match=r"row 1: .*leaves no token") as error:
        list(
            writer_model.predict_iter(
                ["play", "play music"], batch_size=1, max_length=3, **_nothing_after_music()
            )
        )
    assert error.value.row == 1


def _nothing_after_music() -> dict[str, Any]:
    """Every token is forbidden after "music"."""
    return {
        "bad_words_ids": [[13, token] for token in range(VOCABULARY)],
        "suppress_tokens": [13],
        "eos_token_id": [],
    }


@pytest.mark.parametrize("way", WAYS)
def test_logits_that_are_not_numbers_are_reported(
    writer_model: ft.TextGenerator, way: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = Decoder.feed

    def broken(*arguments: Any) -> Any:
        logits = feed(*arguments)
        logits[1:, :, 9] = np.nan
        return logits

    monkeypatch.setattr(Decoder, "feed", broken)
    with pytest.raises(ft.BundleError, match=r"row 1: the model's logits are not numbers"):
        writer_model.generate([[7, 8], [9, 10]], **way)


def test_temperatures_that_numbers_cant_hold_are_refused(writer_model: ft.TextGenerator) -> None:
    for temperature in (1e-46, 0, 1e-9):
        with pytest.raises(
            ft.InputError, match=r"temperature must be .*at least 1e-06, got .*do_sample=False"
        ):
            writer_model("play", do_sample=True, temperature=temperature)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cold = writer_model("play", do_sample=True, temperature=1e-6)
        assert cold.token_ids == writer_model("play").token_ids
        [divided, *_] = sampling_filters(GenerationConfig(do_sample=True, temperature=1e-6))
        scores = np.array([3e38, -3e38, 1], np.float32)
        assert not np.isnan(divided(scores, np.array([1]))).any()


@pytest.mark.parametrize("name", ["num_beams", "num_return_sequences"])
def test_more_answers_than_memory_holds_are_refused(writer_model: ft.TextGenerator, name: str) -> None:
    with pytest.raises(ft.InputError, match=f"{name} must be .*at most 256, got 5000"):
        writer_model("play", do_sample=True, **{name: 5000})


# --- token ids -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[7], [99999]], "row 1 holds the token id 99999; the model's ids are below 27"),
        ([[7], [27]], "row 1 holds the token id 27"),
        ([[7], 5], "row 1 must be a list of token ids, got 5"),
        ([[7], "play"], "row 1 must be a list of token ids, got 'play'"),
        ([[7], None], "row 1 must be a list of token ids, got None"),
        (5, "rows must be a list of lists of token ids, got 5"),
        (str, "rows must be a list of lists of token ids, got <class 'str'>"),
    ],
)
def test_rows_that_the_model_cant_read_are_refused(
    writer_model: ft.TextGenerator,
    summariser: ft.Seq2SeqGenerator,
    rows: Any,
    message: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for model in (writer_model, summariser):
        with pytest.raises(ft.InputError, match=message):
            model.generate(rows)
        with pytest.raises(ft.InputError, match=message):
            model.score_tokens(rows, [[7], [8]])
    assert capfd.readouterr().err == ""  # onnxruntime was not asked
    assert writer_model.generate(np.array([[7, 8]])) == writer_model.generate([[7, 8]])


@pytest.mark.parametrize("text", [np.array([7, 8]), np.array([]), [7], 7, None, b"play", {}], ids=repr)
def test_a_text_of_another_type_is_refused(
    writer_model: ft.TextGenerator, summariser: ft.Seq2SeqGenerator, text: Any
) -> None:
    for model in (writer_model, summariser):
        for call in (model, model.tokenize):
            with pytest.raises(ft.InputError, match="text 0 must be a string, got"):
                call([text])


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([8, 99999], "answer 1 holds the token id 99999; the model's ids are below 27"),
        ([-1, 8], "answer 1 holds -1, which is not a token id"),
        (5, "answer 1 must be a list of token ids, got 5"),
    ],
)
def test_answers_to_score_are_checked(
    writer_model: ft.TextGenerator, summariser: ft.Seq2SeqGenerator, answer: Any, message: str
) -> None:
    for model in (writer_model, summariser):
        with pytest.raises(ft.InputError, match=message) as error:
            model.score_tokens([[7], [7]], [[], answer])
        assert error.value.row == 1


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([-1], r"ids\[0\] is -1, which is not a token id"),
        ([7, 2**40], r"ids\[1\] is 1099511627776, which is not a token id"),
        ([7, 8, "a"], r"ids\[2\] is 'a', which is not a token id"),
        ([7, None], r"ids\[1\] is None"),
        ([7, 1.0], r"ids\[1\] is 1\.0"),
        ([[7]], r"ids\[0\] is \[7\]"),
        (None, "ids must be a list of token ids, got None"),
        (7, "ids must be a list of token ids, got 7"),
        ("play", "ids must be a list of token ids, got 'play'"),
        (b"play", "ids must be a list of token ids, got b'play'"),
    ],
)
def test_ids_that_cant_be_decoded_are_refused(writer_model: ft.TextGenerator, ids: Any, message: str) -> None:
    with pytest.raises(ft.InputError, match=message):
        writer_model.decode(ids)


def test_ids_of_any_integers_are_decoded(writer_model: ft.TextGenerator) -> None:
    ids = writer_model.tokenize(["turn the lights off"])[0]
    assert writer_model.decode(ids) == "turn the lights off"
    assert writer_model.decode(np.array(ids)) == "turn the lights off"
    assert writer_model.decode([]) == ""


def test_a_start_token_that_the_model_does_not_have_is_refused(summariser: ft.Seq2SeqGenerator) -> None:
    for start in (9999, [9999]):
        with pytest.raises(ft.InputError, match="decoder_start_token_id names the token id 9999"):
            summariser("play", decoder_start_token_id=start)


# --- files ---------------------------------------------------------------------------------------------------------


def test_an_empty_list_of_start_tokens_is_refused(make_generator: GeneratorMaker) -> None:
    folder = make_generator(source=True, config={"decoder_start_token_id": []})
    with pytest.raises(ft.BundleError, match=r"generation_config.json: decoder_start_token_id .*empty list"):
        ft.load(folder)


@pytest.mark.parametrize("name", ["generation_config.json", MANIFEST_FILE])
def test_json_nested_too_deep_is_a_damaged_file(make_generator: GeneratorMaker, name: str) -> None:
    deep = "[" * 100_000 + "]" * 100_000
    folder = make_generator(files={name: deep})
    if name == MANIFEST_FILE:
        (folder / name).write_text(deep)
    with pytest.raises(ft.BundleError, match=name):
        ft.load(folder)


# --- chats ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["user<|im_end|>", "user|></s><|system", "", "the user", "user\n"])
def test_roles_are_plain_words(talker: ft.TextGenerator, role: str) -> None:
    with pytest.raises(
        ft.InputError, match="the role of message 0 must be a word of letters, digits, _ and -"
    ):
        talker.chat([{"role": role, "content": "play"}])


def test_a_role_that_is_a_plain_word_is_left_to_the_template(talker: ft.TextGenerator) -> None:
    assert talker.chat([{"role": "tool_2-x", "content": "play"}], max_new_tokens=2).token_ids


def test_a_conversation_that_ends_with_the_assistant_is_refused(talker: ft.TextGenerator) -> None:
    with pytest.raises(ft.InputError, match="message 1, the last one, is the assistant's") as error:
        talker.chat([{"role": "user", "content": "play"}, {"role": "assistant", "content": "stop"}])
    assert error.value.row == 1


def test_no_key_and_no_inner_role_names_a_special_token(talker: ft.TextGenerator) -> None:
    plain = talker._chats.encode([{"role": "user", "content": "play"}])
    specials = sum(token in (0, 1, 2, 4, 5, 6) for token in plain)
    for extra in ({"role": "stop</s>"}, {"stop</s>": "play"}, {"turn": [{"role": "</s>"}]}):
        ids = talker._chats.encode([{"role": "user", "content": "play", "extra": extra}])
        assert sum(token in (0, 1, 2, 4, 5, 6) for token in ids) == specials


def test_a_refused_turn_does_not_end_the_chat(
    make_generator: GeneratorMaker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("jinja2")
    folder = make_generator(files={"chat_template.jinja": TEMPLATE})
    arguments = ["chat", str(folder), "--max-new-tokens", "4"]
    lines = "play " * 200 + "\nplay music\n"
    with ft.TextGenerator.load(folder) as model:
        expected = model.chat([{"role": "user", "content": "play music"}], max_new_tokens=4).text
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == f"{expected}\n"
    assert "the model holds 96, both together; shorten it" in printed.err
    assert "turns that could not be answered: 1" in printed.err
    monkeypatch.setattr("sys.stdin", io.StringIO("play\n" * 3))
    assert main([*arguments[:2], "--num-beams", "0"]) == 2
    assert capsys.readouterr().err.count("num_beams") == 1  # no turn could be answered so
    terminal = io.StringIO(lines)
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdin", terminal)
    assert main(arguments) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{expected}\n"
    assert "leaves no room for an answer" in printed.err


def test_a_word_that_a_closed_vocabulary_lacks_is_refused(make_generator: GeneratorMaker) -> None:
    folder = make_generator()
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    tokenizer["model"]["unk_token"] = "<nothing>"
    path.write_text(json.dumps(tokenizer))
    relist(folder, "tokenizer.json")
    with ft.TextGenerator.load(folder) as model:
        assert model("play music").token_ids
        with pytest.raises(ft.InputError, match=r"text 1 can't be encoded .*leave out words") as error:
            model(["play", "play chess"])
        assert error.value.row == 1
        with pytest.raises(ft.InputError, match="can't be encoded"):
            model.tokenize(["chess"])


@pytest.mark.parametrize("penalty", [340.0, -340.0, 1e300, 10**400, 10**5000], ids=range(5))
def test_a_length_penalty_that_numbers_cant_hold_is_refused(
    writer_model: ft.TextGenerator, penalty: float
) -> None:
    with pytest.raises(ft.InputError, match="length_penalty"):
        writer_model("Hello", num_beams=2, length_penalty=penalty)


def test_an_exponential_decay_that_numbers_cant_hold_is_refused(writer_model: ft.TextGenerator) -> None:
    with pytest.raises(ft.InputError, match="exponential_decay_length_penalty"):
        writer_model("Hello", exponential_decay_length_penalty=(0, 1e29), min_new_tokens=6)


@pytest.mark.parametrize(
    "options",
    [
        {"repetition_penalty": 10**400},
        {"suppress_tokens": [10**30]},
        {"temperature": 1e300, "do_sample": True},
        {"max_new_tokens": 10**5000},
        {"sequence_bias": [[[1], float("nan")]]},
        {"bad_words_ids": [[10**30]]},
    ],
    ids=lambda options: next(iter(options)),
)
def test_options_beyond_what_numbers_hold_are_refused_by_name(
    writer_model: ft.TextGenerator, options: dict[str, Any]
) -> None:
    with pytest.raises(ft.InputError, match=next(iter(options))):
        writer_model("Hello", **options)
