"""Prompt lookup: answers equal those of single steps, with fewer runs; if it can't apply, it is refused."""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ftool_runtime as ft
from ftool_runtime.bundle.manifest import Precision
from ftool_runtime.decoding.config import GenerationConfig
from ftool_runtime.decoding.prompt_lookup import PromptLookup
from ftool_runtime.session.decoder.decoder import Decoder
from ftool_runtime.session.onnx_session import OnnxSession
from ftool_runtime.tools.cli import main

GeneratorMaker = Callable[..., Path]
LIMIT = 96  # tokens that the tiny models hold
CLOSE = 1e-4  # float32 sums over 16 numbers of a size of about 5, in another order
CYCLE = (7, 8, 9, 10)  # the tokens that `CYCLING` repeats
CYCLING: dict[str, Any] = {
    "sequence_bias": [[[one, other], 1000.0] for one, other in zip(CYCLE, (*CYCLE[1:], 7), strict=True)],
    "eos_token_id": [],
    "forced_bos_token_id": 7,  # an encoder-decoder's first token
}
TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message.role + '|>' + message.content + '</s>' }}{% endfor %}"
    "{{ '<|assistant|>' }}"
)


@pytest.fixture(scope="module", params=["decoder", "encoder-decoder"])
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=["in_place", "joined"])
def generator(request: pytest.FixtureRequest, family: str, make_generator: GeneratorMaker) -> Iterator[Any]:
    folder = make_generator(source=family == "encoder-decoder", caches=request.param)
    with ft.load(folder, threads=1) as model:
        yield model


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list of one number, to which each run of a decoder adds 1."""
    count, run = [0], OnnxSession.run_bound

    def counted(session: OnnxSession, binding: Any) -> None:
        count[0] += 1
        run(session, binding)

    monkeypatch.setattr(OnnxSession, "run_bound", counted)
    return count


words = st.integers(7, 12)
PROCESSORS = st.fixed_dictionaries(
    {},
    optional={
        "max_new_tokens": st.integers(1, 60),
        "min_new_tokens": st.integers(0, 20),
        "repetition_penalty": st.sampled_from([0.5, 1.3]),
        "no_repeat_ngram_size": st.integers(1, 4),
        "encoder_no_repeat_ngram_size": st.integers(2, 4),
        "suppress_tokens": st.lists(words, max_size=3),
        "begin_suppress_tokens": st.lists(words, max_size=3),
        "bad_words_ids": st.lists(st.lists(words, min_size=1, max_size=3), max_size=3),
        "sequence_bias": st.lists(
            st.tuples(st.lists(words, min_size=1, max_size=2), st.floats(-20, 20)), max_size=12
        ),
        "forced_bos_token_id": words,
        "forced_eos_token_id": st.just(1),
        "eos_token_id": st.sampled_from([[], [1, 9], [7, 8]]),
        "exponential_decay_length_penalty": st.tuples(st.integers(0, 10), st.floats(1, 1.5)),
        "renormalize_logits": st.booleans(),
        "do_sample": st.just(True),
    },
)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(words, min_size=1, max_size=24),
    PROCESSORS,
    st.integers(1, 12),
    st.integers(1, 4),
)
def test_answers_are_those_of_single_steps(
    generator: Any, row: list[int], options: dict[str, Any], most: int, ngram: int
) -> None:
    lookup = {"prompt_lookup_num_tokens": most, "max_matching_ngram_size": ngram}
    expected = outcome(generator, row, options)
    found = outcome(generator, row, {**options, **lookup})
    assert found[0] == expected[0]
    np.testing.assert_allclose(found[1], expected[1], atol=CLOSE)


def outcome(generator: Any, row: list[int], options: dict[str, Any]) -> tuple[Any, Any]:
    """The answer's tokens and its end, or the error if no token is left to choose; and the answer's logits."""
    try:
        [answer] = generator.generate([row], keep_logits=True, **{"max_new_tokens": 40, "seed": 3, **options})
    except ft.InputError as error:
        return str(error), 0
    return (answer.ids, answer.finish_reason), answer.logits


def test_a_repeating_answer_takes_few_runs(generator: Any, runs: list[int]) -> None:
    row = [*CYCLE, *CYCLE, 7]
    answer = generator.generate([row], max_new_tokens=60, **CYCLING)[0]
    assert runs == [60]  # the prompt's, and one for each token but the last
    runs[0] = 0
    assert (
        generator.generate([row], max_new_tokens=60, prompt_lookup_num_tokens=10, **CYCLING)[0].ids
        == answer.ids
    )
    assert runs[0] <= 12


@pytest.fixture
def fed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of tokens of each run that has a single row, but for steps of one token with static caches."""
    numbers, feed = [], Decoder.feed

    def recorded(decoder: Decoder, rows: Any, kept: Any = None) -> Any:
        numbers.append(len(rows[0]))
        return feed(decoder, rows, kept)

    monkeypatch.setattr(Decoder, "feed", recorded)
    return numbers


def test_nothing_is_guessed_beyond_the_longest_answer(writer_model: Any, fed: list[int]) -> None:
    options = {"max_new_tokens": 4, "prompt_lookup_num_tokens": 10, **CYCLING}
    assert len(writer_model.generate([[*CYCLE, *CYCLE, 7]], **options)[0].ids) == 4
    assert fed == [9, 3]  # the prompt; the first token and two guesses, after which comes the fourth token


def test_wrong_guesses_become_fewer(writer_model: Any, fed: list[int]) -> None:
    """The prompt's 10 after 8 and 9 is wrong: the answer goes on with 7."""
    biases = [[[7, 8], 900.0], [[8, 9], 900.0], [[9, 7], 900.0]]
    options = {"sequence_bias": biases, "eos_token_id": [], "prompt_lookup_num_tokens": 8}
    prompt = [*range(7, 20), 7]
    row = writer_model.generate([prompt], max_new_tokens=14, **options)[0]
    assert row.ids == (8, 9, 7) * 4 + (8, 9)
    assert fed[:3] == [len(prompt), 9, 2]


def test_each_text_of_a_list_has_guesses(generator: Any, runs: list[int]) -> None:
    rows = [[*CYCLE, *CYCLE, 7]] * 2
    alone = generator.generate(rows[:1], max_new_tokens=40, prompt_lookup_num_tokens=8, **CYCLING)
    single, runs[0] = runs[0], 0
    assert generator.generate(rows, max_new_tokens=40, prompt_lookup_num_tokens=8, **CYCLING) == alone * 2
    assert runs == [2 * single]


def test_guesses_come_from_the_encoders_source(make_generator: GeneratorMaker, runs: list[int]) -> None:
    with ft.Seq2SeqGenerator.load(make_generator(source=True), threads=1) as model:
        options = {**CYCLING, "max_new_tokens": 4, "prompt_lookup_num_tokens": 10}
        assert model.generate([[20, *CYCLE, 1]], **options)[0].ids == CYCLE
        assert runs == [2]  # the start token's, and one that checks three guesses


def test_an_answer_without_repeats_takes_a_run_for_each_token(generator: Any, runs: list[int]) -> None:
    options = {"max_new_tokens": 12, "no_repeat_ngram_size": 1, "eos_token_id": []}
    row = generator.generate([[7]], prompt_lookup_num_tokens=10, **options)[0]
    assert len(set(row.ids)) == 12
    assert runs == [12]


def test_an_answer_ends_where_the_model_ends(generator: Any) -> None:
    row = [*CYCLE, *CYCLE, 7]
    rest = LIMIT - (len(row) if isinstance(generator, ft.TextGenerator) else 1)
    answer = generator.generate([row], max_new_tokens=500, prompt_lookup_num_tokens=10, **CYCLING)[0]
    assert (len(answer.ids), answer.finish_reason) == (rest, "length")
    ending = {**CYCLING, "eos_token_id": [9]}
    answer = generator.generate([row], max_new_tokens=20, prompt_lookup_num_tokens=10, **ending)[0]
    assert (answer.ids[-1], answer.finish_reason) == (9, "eos")
    assert 9 not in answer.ids[:-1]


def test_texts_in_a_list_are_answered_as_alone(generator: Any) -> None:
    texts = ["turn the lights off turn the", "play", "set a timer set a timer set"] * 2
    options = {"max_new_tokens": 20, "prompt_lookup_num_tokens": 6}
    assert generator(texts, **options) == [generator(text, **options) for text in texts]
    assert generator(texts, **options) == generator(texts, max_new_tokens=20)


def test_a_stream_gets_every_token_and_ends_at_a_stop_string(generator: Any) -> None:
    text, options = "turn the lights off turn the lights", {"max_new_tokens": 30, **CYCLING}
    plain = list(generator.stream(text, **options))
    stream = generator.stream(text, prompt_lookup_num_tokens=8, **options)
    assert list(stream) == plain
    stopped = generator(text, stop_strings="off turn the", **options)
    assert stopped.finish_reason == "stop"
    for result in (
        generator(text, stop_strings="off turn the", prompt_lookup_num_tokens=8, **options),
        _read(generator.stream(text, stop_strings="off turn the", prompt_lookup_num_tokens=8, **options)),
    ):
        assert result == stopped


def _read(stream: ft.TextStream) -> ft.Generation:
    for _ in stream:
        pass
    return stream.result


@pytest.mark.parametrize("caches", ["in_place", "joined"])
@pytest.mark.parametrize("read", [1, 2, 3, 4, 5, 6, 40])
def test_a_session_goes_on_after_a_turn_with_guesses(
    make_generator: GeneratorMaker, caches: str, read: int
) -> None:
    """A turn that is cancelled amid right and wrong guesses leaves no guess in the session's caches."""
    pytest.importorskip("jinja2")
    folder = make_generator(caches=caches, files={"chat_template.jinja": TEMPLATE})
    # The tokens 7, 8, 9 cycle, but the message says that 10 follows 9, so guesses are wrong again and again.
    biases = [[[7, 8], 900.0], [[8, 9], 900.0], [[9, 7], 900.0], [[5, 7], 900.0]]
    options = {"sequence_bias": biases, "prompt_lookup_num_tokens": 5, "eos_token_id": []}
    with ft.TextGenerator.load(folder, threads=1) as model, model.session() as session:
        with session.stream("turn the lights off turn the lights off", max_new_tokens=12, **options) as one:
            for number, _ in enumerate(one, 1):
                if number == read:
                    one.cancel()
        messages = session.messages
        said = session.say("play music", max_new_tokens=8)
        assert said == model.chat([*messages, {"role": "user", "content": "play music"}], max_new_tokens=8)


@pytest.mark.parametrize(
    ("tokens", "room", "expected"),
    [
        ([5, 6, 7, 8, 5, 6], 9, [7, 8, 5, 6]),
        ([6, 9, 5, 6, 7, 5, 6, 8, 5, 6], 3, [7, 5, 6]),  # the longest n-gram's first occurrence
        ([6, 8, 5, 6], 9, [8, 5, 6]),  # a shorter n-gram
        ([5, 6, 7, 8], 9, []),
        ([5, 5], 9, [5]),
        ([5, 6, 2, 8, 5, 6], 9, [2]),  # the end
        ([5, 6, 7, 99, 5, 6], 9, [7]),  # unknown to the decoder
        ([5, 6, 7, 5, 6], 0, []),
        ([], 9, []),
    ],
)
def test_what_follows_the_last_tokens_is_guessed(tokens: list[int], room: int, expected: list[int]) -> None:
    assert PromptLookup(tokens, 10, 2, vocabulary=50, ends=(2,)).guess(room) == expected


def test_the_number_of_guesses_follows_their_success() -> None:
    lookup = PromptLookup([*range(10, 40), 10], 8, 2, vocabulary=50, ends=())
    lengths = []
    for right in (8, 3, 3, 1, 0, 1, 2, 4, 8):
        lengths.append(len(lookup.guess(99)))
        lookup.learn(lengths[-1], right)
    assert lengths == [8, 8, 3, 6, 1, 1, 2, 4, 8]


def test_guesses_that_fail_again_and_again_pause() -> None:
    lookup = PromptLookup([5, 6, 5], 8, 2, vocabulary=50, ends=())
    lengths = []
    for _ in range(30):
        lengths.append(len(lookup.guess(99)))
        lookup.learn(lengths[-1], 0)
    pauses = [0, 1, 2, 4, 8, 8]
    assert lengths == [2, *(number for pause in pauses for number in (*[0] * pause, 1))]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt_lookup_num_tokens": -1}, "prompt_lookup_num_tokens must be a whole number of at least 0"),
        ({"prompt_lookup_num_tokens": 4, "max_matching_ngram_size": 0}, "max_matching_ngram_size must be"),
        ({"prompt_lookup_num_tokens": 4, "num_beams": 2}, "=4 has no effect without num_beams=1"),
        ({"max_matching_ngram_size": 3}, "=3 has no effect without prompt_lookup_num_tokens"),
        ({"prompt_lookup_approximate": True}, "=True has no effect without prompt_lookup_num_tokens"),
    ],
)
def test_options_that_do_not_fit_together_are_refused(
    writer_model: ft.TextGenerator, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ft.InputError, match=message):
        writer_model("play", **options)


def test_other_precisions_than_fp32_must_be_allowed(make_generator: GeneratorMaker) -> None:
    with ft.load(make_generator(precision=Precision(name="w8")), threads=1) as model:
        for options in (
            {"prompt_lookup_num_tokens": 4},
            {"config": GenerationConfig(prompt_lookup_num_tokens=4)},
        ):
            with pytest.raises(
                ft.InputError, match=r"=4 could change answers of this w8 bundle.*approximate"
            ):
                model("play", **options)
        allowed = {"prompt_lookup_num_tokens": 4, "prompt_lookup_approximate": True}
        assert model("play play", **allowed) == model("play play")


def test_inputs_that_would_change_each_other_are_not_guessed(make_generator: GeneratorMaker) -> None:
    precision = Precision(name="int8", rows_share_scale=True)
    with (
        ft.TextGenerator.load(make_generator(precision=precision), threads=1) as model,
        pytest.raises(ft.InputError, match="=4 is not possible with this int8 bundle"),
    ):
        model("play", prompt_lookup_num_tokens=4, prompt_lookup_approximate=True)


def test_a_bundles_own_setting_applies_to_calls_with_one_beam(
    make_generator: GeneratorMaker, runs: list[int]
) -> None:
    row, long = [*CYCLE, *CYCLE, 7], {"max_new_tokens": 40}
    with ft.TextGenerator.load(make_generator(config={"prompt_lookup_num_tokens": 10}), threads=1) as model:
        assert len(model.generate([row], **long, **CYCLING)[0].ids) == 40
        assert runs[0] < 12
        runs[0] = 0
        model.generate([row], prompt_lookup_num_tokens=0, **long, **CYCLING)
        assert runs == [40]
        assert model("play", num_beams=2) == model("play", num_beams=2, prompt_lookup_num_tokens=0)


def test_a_bundles_own_setting_that_could_change_answers_is_left_out_with_a_warning(
    make_generator: GeneratorMaker, caplog: pytest.LogCaptureFixture
) -> None:
    config = {"prompt_lookup_num_tokens": 10}
    folder = make_generator(config=config, precision=Precision(name="w8"))
    with caplog.at_level(logging.WARNING), ft.TextGenerator.load(folder, threads=1) as model:
        assert model.generation_config.prompt_lookup_num_tokens == 0
        assert model("play").token_ids
    assert "could change answers of this w8 bundle" in caplog.text
    assert "tokens are generated one by one" in caplog.text


def test_the_command_line_has_flags(
    make_generator: GeneratorMaker, capsys: pytest.CaptureFixture[str], runs: list[int]
) -> None:
    folder = make_generator(precision=Precision(name="w8"))
    text, flags = "turn the lights off turn the lights", ["--prompt-lookup-num-tokens", "6"]
    assert main(["predict", str(folder), text]) == 0
    expected, single = json.loads(capsys.readouterr().out), runs[0]
    assert main(["predict", str(folder), *flags, "--prompt-lookup-approximate", text]) == 0
    assert json.loads(capsys.readouterr().out) == expected
    assert runs[0] - single <= single
    assert main(["predict", str(folder), *flags, text]) != 0
    assert "prompt_lookup_approximate=True" in capsys.readouterr().err
