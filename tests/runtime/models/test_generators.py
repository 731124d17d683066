"""Calls of generators: one or many texts, batches, sampling, beams, limits, languages, long texts, threads, closing."""

import copy
import multiprocessing
import os
import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ftool_runtime as ft
from ftool_runtime.bundle.manifest import InputContract, Languages, Precision

GeneratorMaker = Callable[..., Path]
TEXTS = ["turn the lights off", "play", "set a timer for ten minutes now please", "stop music"]


@pytest.fixture(params=["in_place", "joined"])
def caches(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_one_text_gives_one_answer_and_a_list_gives_a_list(
    writer_model: ft.TextGenerator, summariser: ft.Seq2SeqGenerator
) -> None:
    for model in (writer_model, summariser):
        one = model("play music")
        assert isinstance(one, ft.Generation)
        assert model(["play music"]) == [one]
        assert model([]) == []
        assert one.text == model.decode(one.token_ids)
        assert one.to_json("play music")["answer"] == one.text


def essence(answers: list[ft.Generation]) -> list[tuple[Any, ...]]:
    """All but scores, whose float32 sums have another order in a batch."""
    return [(answer.text, answer.token_ids, answer.finish_reason, answer.prompt_tokens) for answer in answers]


def test_answers_are_independent_of_the_batch(make_generator: GeneratorMaker, caches: str) -> None:
    for source in (False, True):
        with ft.load(make_generator(source=source, caches=caches), threads=1) as model:
            for options in (
                {},
                {"num_beams": 3},
                {"do_sample": True, "seed": 4},
                {"no_repeat_ngram_size": 2},
            ):
                together = essence(model(TEXTS * 6, max_new_tokens=20, **options))
                assert together[:4] == essence([model(text, max_new_tokens=20, **options) for text in TEXTS])
                assert together == together[:4] * 6


def test_rows_that_share_a_scale_run_one_by_one(
    make_generator: GeneratorMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    precision = Precision(name="int8", rows_share_scale=True)
    with ft.load(make_generator(precision=precision)) as model, ft.load(make_generator()) as other:
        from ftool_runtime.session.decoder.decoder import Decoder

        fed: list[int] = []
        feed = Decoder.feed
        monkeypatch.setattr(
            Decoder, "feed", lambda self, rows, kept=None: fed.append(len(rows)) or feed(self, rows, kept)
        )
        alone = model(TEXTS, do_sample=True, seed=1, num_return_sequences=2)
        assert fed == [1] * 8
        assert alone == other(TEXTS, do_sample=True, seed=1, num_return_sequences=2)


def test_a_seed_repeats_the_samples_and_another_changes_them(writer_model: ft.TextGenerator) -> None:
    options = {"do_sample": True, "temperature": 3.0, "max_new_tokens": 20}
    first = writer_model("play music", seed=1, **options)
    assert writer_model("play music", seed=1, **options) == first
    assert writer_model("play music", seed=2, **options) != first
    several = writer_model("play music", seed=1, num_return_sequences=3, **options)
    assert several.text == first.text
    assert len({several.text, *(other.text for other in several.others)}) == 3


def test_beams_find_an_answer_no_worse_than_greedy(
    writer_model: ft.TextGenerator, reference_logits: Callable[..., Any]
) -> None:
    import numpy as np

    def log_probability(prompt: list[int], answer: tuple[int, ...]) -> float:
        logits = reference_logits([*prompt, *answer[:-1]])[len(prompt) - 1 :]
        chances = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return float(chances[np.arange(len(answer)), list(answer)].sum())

    options = {"max_new_tokens": 8, "min_new_tokens": 8}
    for prompt in ([7, 8], [20, 21, 22], [11]):
        greedy = writer_model.generate([prompt], **options)[0]
        best, second = writer_model.generate(
            [prompt], num_beams=4, num_return_sequences=2, length_penalty=0.0, **options
        )
        assert best.score == pytest.approx(log_probability(prompt, best.ids), abs=1e-3)
        assert best.score >= second.score
        assert best.score >= log_probability(prompt, greedy.ids) - 1e-3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens must be a whole number of at least 1, got 0"),
        ({"temperature": 0}, r"temperature must be a number at least 1e-06, got 0; .*do_sample=False"),
        ({"top_p": 1.5}, "top_p must be a number at least 0 and at most 1, got 1.5"),
        ({"num_beams": 0}, "num_beams must be a whole number of at least 1"),
        ({"num_return_sequences": 2}, "set num_beams to at least as many, or do_sample=True"),
        ({"early_stopping": "now"}, 'early_stopping must be True, False or "never"'),
        ({"bad_words_ids": [[]]}, "bad_words_ids must be a list of lists of token ids, none of them empty"),
        ({"stop_strings": [""]}, "stop_strings must be a string or a list of strings, none of them empty"),
        ({"max_new_token": 3}, "generation has no option 'max_new_token'; did you mean 'max_new_tokens'"),
        ({"force_words_ids": [[[1]]]}, "force_words_ids=.* is not supported here"),
        ({"penalty_alpha": 0.6}, "penalty_alpha=0.6 is not supported here"),
        ({"output_scores": True}, "output_scores=True is not supported here; remove it"),
        ({"return_dict_in_generate": True}, "return_dict_in_generate=True is not supported here"),
        ({"assistant_lookbehind": 3}, "assistant_lookbehind=3 is not supported here"),
        ({"cache_implementation": "quantized"}, "cache_implementation='quantized' is not supported here"),
        ({"use_cache": False}, "use_cache=False is not supported here"),
        ({"temperature": 0.7}, "temperature=0.7 has no effect without do_sample=True; set that, or remove"),
        ({"top_p": 0.9, "num_beams": 2}, "top_p=0.9 has no effect without do_sample=True"),
        ({"length_penalty": 2.0}, "length_penalty=2.0 has no effect without num_beams above 1"),
        ({"early_stopping": True, "do_sample": True}, "early_stopping=True has no effect without num_beams"),
        ({"config": {"num_beams": 2}}, "config must be a GenerationConfig, got dict"),
        ({"overflow": "wrap"}, 'overflow must be "refuse" or "cut"'),
        ({"forced_eos_token_id": 1, "suppress_tokens": [1]}, "which suppress_tokens forbids"),
    ],
)
def test_wrong_options_are_refused_before_any_text_is_read(
    writer_model: ft.TextGenerator, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ft.InputError, match=message):
        writer_model.predict_batches(iter([["play"]]), **options)


@pytest.mark.parametrize(
    "options",
    [
        {
            "output_scores": False,
            "use_cache": True,
            "cache_implementation": "static",
            "prompt_lookup_num_tokens": None,
        },
        {"transformers_version": "5.13", "num_assistant_tokens": 20},
        {"temperature": 1.0, "top_k": 50, "top_p": 1.0, "length_penalty": 1.0, "early_stopping": False},
        {"temperature": 0.7, "do_sample": False},
        {"length_penalty": 2.0, "num_beams": 1},
    ],
)
def test_options_that_change_nothing_by_their_value_or_on_purpose_are_accepted(
    writer_model: ft.TextGenerator, options: dict[str, Any]
) -> None:
    assert writer_model("play", **options).token_ids == writer_model("play").token_ids


@pytest.mark.parametrize(
    ("bad", "message"), [("", "is empty"), (" \n", "is empty"), ("\ud800", "lone surrogate")]
)
def test_anything_but_a_text_is_refused_with_its_row(
    summariser: ft.Seq2SeqGenerator, bad: str, message: str
) -> None:
    with pytest.raises(ft.InputError, match=f"text 1 .*{message}") as caught:
        summariser(["play", bad])
    assert caught.value.row == 1
    with pytest.raises(ft.InputError, match="text 2") as caught:
        list(summariser.predict_iter(["play", "play", bad], batch_size=2))
    assert caught.value.row == 2


def test_a_long_source_is_cut_at_its_end_or_refused(summariser: ft.Seq2SeqGenerator) -> None:
    long = "turn the lights off " * 10
    answer = summariser(long)
    assert answer.truncated
    assert answer.prompt_tokens == 24
    assert summariser.tokenize([long])[0][-2:] == [9, 1]  # "lights", the end
    with pytest.raises(
        ft.InputError, match="text 0 is a source of 41 tokens, but the model takes at most 24"
    ):
        summariser(long, overflow="refuse")


def test_a_long_source_is_cut_at_the_side_that_the_manifest_names(make_generator: GeneratorMaker) -> None:
    contract = InputContract(names=("input_ids", "attention_mask"), max_length=6, truncation_side="left")
    with ft.Seq2SeqGenerator.load(make_generator(source=True, input=contract), threads=1) as model:
        whole = model.tokenize(["turn the lights off"])[0]
        (cut,) = model.tokenize(["play music play music turn the lights off"])
        assert cut[-len(whole) :] == whole
        assert len(cut) == 6


def test_a_long_prompt_is_refused_or_cut_at_its_beginning(writer_model: ft.TextGenerator) -> None:
    long = "turn the lights off " * 24  # 96 tokens, all that the model holds
    with pytest.raises(ft.InputError, match="has 96 tokens, which leaves no room for an answer") as caught:
        writer_model(["play", long])
    assert caught.value.row == 1
    answer = writer_model(long, overflow="cut", max_new_tokens=10)
    assert (answer.truncated, answer.prompt_tokens) == (True, 86)
    assert (
        writer_model.tokenize([long], overflow="cut")[0]
        == writer_model.tokenize(["turn the lights off " * 21])[0]
    )
    assert writer_model(long, overflow="cut", max_new_tokens=1000).prompt_tokens == 48


def test_an_answer_ends_where_the_context_does(
    writer_model: ft.TextGenerator, summariser: ft.Seq2SeqGenerator
) -> None:
    for model, prompt, expected in ((writer_model, [7] * 90, 6), (summariser, [7, 1], 95)):
        row = model.generate([prompt], max_new_tokens=10**9, eos_token_id=[])[0]
        assert (len(row.ids), row.finish_reason) == (expected, "length")


def test_max_length_counts_the_prompt_and_the_calls_value_takes_precedence(
    writer_model: ft.TextGenerator,
) -> None:
    assert writer_model.generation_config.max_new_tokens == 12
    row = writer_model.generate([[7, 8, 9]], max_length=8, min_length=8)[0]
    assert len(row.ids) == 5
    with pytest.raises(ft.InputError, match="max_length is 3, and the prompt has 3 tokens"):
        writer_model.generate([[7, 8, 9]], max_length=3)


@pytest.mark.parametrize("rows", [[[]], [[-1]], [["play"]], [[1.5]]])
def test_rows_that_are_not_token_ids_are_refused(writer_model: ft.TextGenerator, rows: Any) -> None:
    with pytest.raises(ft.InputError, match="row 0 holds"):
        writer_model.generate(rows)


def test_tokens_that_the_model_does_not_have_are_refused(writer_model: ft.TextGenerator) -> None:
    assert writer_model("play", eos_token_id=999, min_new_tokens=2).finish_reason == "length"  # never comes
    for options in (
        {"forced_bos_token_id": 999},
        {"bad_words_ids": [[7, 999]]},
        {"forced_eos_token_id": [1, 999]},
    ):
        with pytest.raises(ft.InputError, match=f"{next(iter(options))} names the token id 999"):
            writer_model("play", **options)


def test_a_config_can_be_copied_and_kept(writer_model: ft.TextGenerator) -> None:
    config = writer_model.generation_config.changed(num_beams=2, bad_words_ids=[[7]])
    assert pickle.loads(pickle.dumps(config)) == copy.deepcopy(config) == config
    assert writer_model("play", config=config) == writer_model("play", num_beams=2, bad_words_ids=[[7]])


def test_special_tokens_in_a_text_are_text(writer_model: ft.TextGenerator) -> None:
    ids = writer_model.tokenize(["play </s> <s> music <|user|>"])[0]
    assert not {0, 1, 2, 4, 5, 6} & set(ids)


# --- the bundle's config -------------------------------------------------------------------------------------------


def test_the_bundles_config_is_honoured_and_unknown_fields_are_named(
    make_generator: GeneratorMaker, caplog: pytest.LogCaptureFixture
) -> None:
    config = {
        "min_new_tokens": 12,
        "quantum_beams": 7,
        "transformers_version": "9.0",
        "use_cache": False,
        "output_scores": True,
        "temperature": 0.5,
        "top_k": None,
    }
    with ft.TextGenerator.load(make_generator(config=config)) as model:
        assert len(model("play").token_ids) == 12
        assert dict(model.generation_config.other) == {"quantum_beams": 7}
        assert len(model("play", config=ft.GenerationConfig(max_new_tokens=3)).token_ids) <= 3
    assert [record.getMessage() for record in caplog.records] == [
        "generation_config.json: ignored unknown fields: quantum_beams"
    ]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"guidance_scale": 3.0}, "guidance_scale=3.0 is not supported here"),
        ({"num_beams": "four"}, "num_beams must be a whole number"),
    ],
)
def test_a_config_that_is_not_supported_is_refused(
    make_generator: GeneratorMaker, config: dict[str, Any], message: str
) -> None:
    with pytest.raises(ft.BundleError, match=message):
        ft.load(make_generator(config=config))


# --- languages -----------------------------------------------------------------------------------------------------


def test_languages_set_tokens_and_prefixes(make_generator: GeneratorMaker) -> None:
    languages = Languages(
        source="en", target="de", source_tokens={"en": 1, "fr": 3}, target_tokens={"de": 10, "it": 11}
    )
    generation = {"languages": languages}
    with ft.Seq2SeqGenerator.load(
        make_generator(source=True, task="translation", generation=generation)
    ) as model:
        assert model.tokenize(["play music"]) == [[12, 13, 1]]
        assert model.tokenize(["play music"], source_language="fr") == [[12, 13, 3]]
        assert model("play music").token_ids[0] == 10
        assert model("play music", target_language="it").token_ids[0] == 11
        with pytest.raises(
            ft.InputError,
            match=r"target_language='xx' is not a language of this model; its languages are de, it",
        ):
            model("play", target_language="xx")
        assert model.info()["generation"]["languages"] == {"source": ["en", "fr"], "target": ["de", "it"]}
    prefixes = Languages(target="de", target_prefixes={"de": "turn ", "it": "stop "})
    with ft.Seq2SeqGenerator.load(
        make_generator(source=True, task="translation", generation={"languages": prefixes})
    ) as model:
        assert model.tokenize(["music"], target_language="it") == [[22, 13, 1]]


def test_a_decoder_whose_start_is_the_language_starts_with_the_requested_one(
    make_generator: GeneratorMaker, greedy: Callable[..., list[int]]
) -> None:
    """As in mBART; the answers of other models begin with the language."""
    languages = Languages(target="de", target_tokens={"de": 10, "it": 11})
    folder = make_generator(
        source=True, generation={"languages": languages}, config={"decoder_start_token_id": 10}
    )
    with ft.Seq2SeqGenerator.load(folder) as model:
        [source] = model.tokenize(["play music"])
        assert list(model("play music").token_ids) == greedy([10], 12, source)
        assert list(model("play music", target_language="it").token_ids) == greedy([11], 12, source)


def test_a_model_without_a_choice_of_languages_says_so(summariser: ft.Seq2SeqGenerator) -> None:
    with pytest.raises(ft.InputError, match="this model has no choice of languages"):
        summariser("play", target_language="de")


def test_the_prefix_goes_before_every_source(make_generator: GeneratorMaker) -> None:
    contract = InputContract(names=("input_ids", "attention_mask"), max_length=24, prefix="turn ")
    with ft.Seq2SeqGenerator.load(make_generator(source=True, input=contract)) as model:
        assert model.tokenize(["music"]) == [[7, 13, 1]]


# --- long texts ----------------------------------------------------------------------------------------------------


def test_a_long_text_is_answered_in_chunks_within_the_budget(summariser: ft.Seq2SeqGenerator) -> None:
    paragraphs = [
        "turn the lights off now. play music.",
        "set a timer for ten minutes. stop now please.",
        "play " * 30,
    ]
    answer = summariser.summarize_long("\n\n".join(paragraphs), budget=12, max_new_tokens=6)
    assert " ".join(answer.sources).split() == " ".join(paragraphs).split()
    assert all(part.prompt_tokens <= 12 and not part.truncated for part in answer.parts)
    assert answer.sources[0] == "turn the lights off now. play music."
    assert answer.text == " ".join(part.text for part in answer.parts if part.text)
    assert [part.text for part in answer.parts] == [
        summariser(s, max_new_tokens=6).text for s in answer.sources
    ]
    with pytest.raises(ft.InputError, match="budget must be a whole number of tokens from 1 to 24"):
        summariser.summarize_long("play", budget=25)
    with pytest.raises(ft.InputError, match="take 1; raise it"):
        summariser.summarize_long("play", budget=1)
    with pytest.raises(ft.InputError, match="is empty"):
        summariser.summarize_long("  ")


# --- buffers -------------------------------------------------------------------------------------------------------


def test_buffers_are_reused_and_double_up_to_the_models_limit(make_generator: GeneratorMaker) -> None:
    with ft.TextGenerator.load(make_generator(), threads=1) as model:
        pool: Any = model._engine.guard.get().decoders
        model.generate([[7, 8]], max_new_tokens=10)
        with pool.borrow() as decoder:
            first = decoder._flat[0]
        model.generate([[9]], max_new_tokens=30)
        with pool.borrow() as decoder:
            assert decoder._flat[0] is first
        model.generate([[7, 8]], max_new_tokens=90, eos_token_id=[])
        with pool.borrow() as decoder:
            assert decoder._flat[0].size == 96 * 16  # the model's limit, times heads and their size
            decoder.begin(1, None)
            with pytest.raises(ft.InputError, match=r"the model holds 96 tokens, .* these would be 97"):
                decoder.feed([[7] * 97])


# --- threads, processes, closing -----------------------------------------------------------------------------------


@pytest.mark.parametrize("source", [False, True])
def test_threads_may_generate_on_one_model(make_generator: GeneratorMaker, caches: str, source: bool) -> None:
    with ft.load(make_generator(source=source, caches=caches), threads=1) as model:
        expected = {text: model(text, max_new_tokens=30) for text in TEXTS}
        same: list[bool] = []

        def work(texts: list[str]) -> None:
            same.extend(model(text, max_new_tokens=30) == expected[text] for text in texts * 6)

        orders = [TEXTS[start:] + TEXTS[:start] for start in range(4)]
        threads = [threading.Thread(target=work, args=(order,)) for order in orders]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert same == [True] * 96


def test_a_closed_model_says_so_and_a_stream_in_progress_continues(make_generator: GeneratorMaker) -> None:
    model = ft.TextGenerator.load(make_generator())
    stream = model.stream("play", max_new_tokens=20)
    next(stream)
    model.close()
    assert "".join(stream)
    for use in (
        lambda: model("play"),
        lambda: model.stream("play"),
        lambda: model.score_tokens([[7]], [[8]]),
    ):
        with pytest.raises(ft.ClosedError, match="was closed"):
            use()


def test_a_model_is_not_copied_into_other_processes(writer_model: ft.TextGenerator) -> None:
    for carry in (pickle.dumps, copy.deepcopy):
        with pytest.raises(ft.OtherProcessError, match="can't be pickled or copied"):
            carry(writer_model)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_is_told_to_load_the_model_itself(writer_model: ft.TextGenerator) -> None:
    def child(answers: Any) -> None:
        try:
            writer_model("play")
        except ft.OtherProcessError as error:
            answers.put(str(error))

    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    process = context.Process(target=child, args=(answers,))
    process.start()
    assert "loaded before a fork" in answers.get(timeout=30)
    process.join()


def test_cuda_is_refused_and_auto_runs_on_the_cpu(make_generator: GeneratorMaker) -> None:
    with pytest.raises(ft.DeviceError, match="generation runs only on the CPU"):
        ft.load(make_generator(), device="cuda")
    with ft.load(make_generator(), device="auto") as model:
        assert model.info()["device"] == "cpu"


# --- damaged bundles -----------------------------------------------------------------------------------------------


def test_graphs_that_are_not_what_the_manifest_says_are_refused(make_generator: GeneratorMaker) -> None:
    with pytest.raises(ft.BundleError, match="which is not a decoder with caches 'joined'"):
        ft.load(make_generator(generation={"caches": "joined"}))
    with pytest.raises(ft.BundleError, match="must hold the family 'encoder-decoder'"):
        ft.load(make_generator(task="summarization"))
    with pytest.raises(ft.BundleError, match=r"does not list onnx/encoder.onnx"):
        ft.load(make_generator(task="summarization", generation={"family": "encoder-decoder"}))
