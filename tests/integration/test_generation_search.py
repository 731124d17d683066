"""The runtime's token rules, sampling filters and searches each give the same results as those of transformers."""

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
import transformers
from transformers.generation import logits_process as theirs

from ftool_runtime.decoding.beam_search import BeamRow, beam_search
from ftool_runtime.decoding.config import GenerationConfig
from ftool_runtime.decoding.config_checks import without_effect
from ftool_runtime.decoding.greedy import Row, generate_tokens
from ftool_runtime.decoding.logits_processors import RowContext, apply, logits_processors
from ftool_runtime.decoding.sampling import sample, sample_without_replacement, sampling_rng
from ftool_runtime.numerics import softmax

VOCABULARY = 24
END = 2
PROMPT = [5, 6, 7]
SOURCE = [3, 4, 5, 9, 9, 4, 5]
CLOSE = 1e-5  # float32, other order of sums
QUIET = {"suppress_health_check": [HealthCheck.too_slow], "deadline": None}

token = st.integers(0, VOCABULARY - 1)
tokens = st.lists(token, min_size=1, max_size=12)
score_rows = st.lists(
    st.floats(-8, 8, width=32), min_size=VOCABULARY, max_size=VOCABULARY, unique=True
)  # equal scores are cut off by either side as it likes


def ours(changes: dict[str, Any], ids: Sequence[int], scores: Sequence[float], **facts: Any) -> Any:
    config = GenerationConfig(eos_token_id=END, **changes)
    row = RowContext(**{"prompt_tokens": 1, "longest": 12, "source": np.array(SOURCE), **facts})
    return apply(logits_processors(config, row), np.array(scores, np.float32), np.array(ids, np.int64))


def expected_scores(processor: Any, ids: Sequence[int], scores: Sequence[float]) -> Any:
    return processor(torch.tensor([ids]), torch.tensor([scores], dtype=torch.float32))[0].numpy()


def same(got: Any, processor: Any, ids: Sequence[int], scores: Sequence[float]) -> None:
    expected = expected_scores(processor, ids, scores)
    np.testing.assert_array_equal(np.isneginf(got), np.isneginf(expected))
    np.testing.assert_allclose(got, expected, rtol=CLOSE, atol=CLOSE)


@settings(max_examples=30, **QUIET)
@given(tokens, score_rows, st.floats(0.25, 4))
def test_repetition_penalties_are_transformers(ids: list[int], scores: list[float], penalty: float) -> None:
    got = ours({"repetition_penalty": penalty}, ids, scores)
    same(got, theirs.RepetitionPenaltyLogitsProcessor(penalty), ids, scores)
    got = ours({"encoder_repetition_penalty": penalty}, ids, scores)
    same(got, theirs.EncoderRepetitionPenaltyLogitsProcessor(penalty, torch.tensor([SOURCE])), ids, scores)


@settings(max_examples=40, **QUIET)
@given(st.lists(st.integers(3, 5), min_size=1, max_size=12), score_rows, st.integers(1, 4))
def test_bans_of_repeated_runs_are_transformers(ids: list[int], scores: list[float], size: int) -> None:
    got = ours({"no_repeat_ngram_size": size}, ids, scores)
    same(got, theirs.NoRepeatNGramLogitsProcessor(size), ids, scores)
    got = ours({"encoder_no_repeat_ngram_size": size}, ids, scores)
    same(got, theirs.EncoderNoRepeatNGramLogitsProcessor(size, torch.tensor([SOURCE])), ids, scores)


@settings(max_examples=30, **QUIET)
@given(
    st.lists(st.integers(2, 5), min_size=1, max_size=8),
    score_rows,
    st.lists(st.lists(st.integers(2, 5), min_size=1, max_size=3), min_size=1, max_size=4, unique_by=tuple),
)
def test_bad_words_and_biases_are_transformers(
    ids: list[int], scores: list[float], runs: list[list[int]]
) -> None:
    if any(run != [END] for run in runs):  # transformers fails where nothing is left to ban
        same(
            ours({"bad_words_ids": runs}, ids, scores),
            theirs.NoBadWordsLogitsProcessor(runs, END),
            ids,
            scores,
        )
    biases = [[run, 1.5 + place] for place, run in enumerate(runs)]
    same(
        ours({"sequence_bias": biases}, ids, scores), theirs.SequenceBiasLogitsProcessor(biases), ids, scores
    )


@settings(max_examples=30, **QUIET)
@given(tokens, score_rows, st.integers(1, 12))
def test_lengths_and_forced_tokens_are_transformers(ids: list[int], scores: list[float], n: int) -> None:
    ids = ids[:11]
    same(ours({"min_length": n}, ids, scores), theirs.MinLengthLogitsProcessor(n, END), ids, scores)
    got = ours({"min_new_tokens": n}, ids, scores)
    same(got, theirs.MinNewTokensLengthLogitsProcessor(1, n, END), ids, scores)
    same(ours({"forced_bos_token_id": n}, ids, scores), theirs.ForcedBOSTokenLogitsProcessor(n), ids, scores)
    got = ours({"forced_eos_token_id": [END, n]}, ids, scores)
    same(got, theirs.ForcedEOSTokenLogitsProcessor(12, [END, n]), ids, scores)
    got = ours({"exponential_decay_length_penalty": (n, 1.5)}, ids, scores)
    same(got, theirs.ExponentialDecayLengthPenalty((n, 1.5), END, 1), ids, scores)
    got = ours({"suppress_tokens": [n, 1]}, ids, scores)
    same(got, theirs.SuppressTokensLogitsProcessor([n, 1]), ids, scores)
    got = ours({"begin_suppress_tokens": [n, 1]}, ids, scores)
    same(got, theirs.SuppressTokensAtBeginLogitsProcessor([n, 1], 1), ids, scores)


@settings(max_examples=40, **QUIET)
@given(score_rows, st.floats(0.05, 0.95), st.integers(1, 30), st.sampled_from([1, 2]))
def test_sampling_filters_are_transformers(scores: list[float], part: float, count: int, beams: int) -> None:
    least = 1 if beams == 1 else 2
    options = {"do_sample": True, "top_k": 0, "num_beams": beams}
    for changes, processor in (
        ({"temperature": part}, theirs.TemperatureLogitsWarper(part)),
        ({"top_k": count}, theirs.TopKLogitsWarper(count, min_tokens_to_keep=least)),
        ({"top_p": part}, theirs.TopPLogitsWarper(part, min_tokens_to_keep=least)),
        ({"min_p": part}, theirs.MinPLogitsWarper(part, min_tokens_to_keep=least)),
        ({"typical_p": part}, theirs.TypicalLogitsWarper(part, min_tokens_to_keep=least)),
        ({"epsilon_cutoff": part}, theirs.EpsilonLogitsWarper(part, min_tokens_to_keep=least)),
        ({"eta_cutoff": part}, theirs.EtaLogitsWarper(part, min_tokens_to_keep=least)),
        ({"top_h": part}, theirs.TopHLogitsWarper(part)),
    ):
        same(ours({**options, **changes}, PROMPT, scores), processor, PROMPT, scores)


@settings(max_examples=40, **QUIET)
@given(score_rows, st.data())
def test_the_order_of_all_rules_is_transformers(scores: list[float], data: st.DataObject) -> None:
    """Everything at once, by the list that `generate` itself would make."""
    changes: dict[str, Any] = {
        "do_sample": True,
        "temperature": 0.7,
        "top_k": 12,
        "top_p": 0.9,
        "repetition_penalty": 1.3,
        "no_repeat_ngram_size": 2,
        "bad_words_ids": [[4], [5, 6]],
        "min_new_tokens": 2,
        "suppress_tokens": [9],
        "begin_suppress_tokens": [10],
        "exponential_decay_length_penalty": (1, 1.2),
        "renormalize_logits": True,
        "remove_invalid_values": data.draw(st.booleans()),
    }
    ids = [*PROMPT, *data.draw(st.lists(token, max_size=6))]
    model = decoder_model()
    config = transformers.GenerationConfig(**changes, eos_token_id=END, max_length=20)
    model._prepare_special_tokens(config, device="cpu")
    processors = model._get_logits_processor(
        config, input_ids_seq_length=len(PROMPT), encoder_input_ids=torch.tensor([PROMPT]), device="cpu"
    )
    got = ours(changes, ids, scores, prompt_tokens=len(PROMPT), longest=20)
    if np.isnan(expected_scores(processors, ids, scores)).any():
        # END was banned, made finite, and then grew beyond float32. transformers' probabilities are then nan.
        assert changes["remove_invalid_values"]
        assert got.argmax() == END
        assert np.isfinite(got[END])
    else:
        same(got, processors, ids, scores)


def test_a_banned_end_may_grow_beyond_float32() -> None:
    changes = {
        "do_sample": True,
        "temperature": 0.7,
        "suppress_tokens": [9],
        "bad_words_ids": [[5, END]],
        "remove_invalid_values": True,
        "exponential_decay_length_penalty": (1, 2.0),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = ours(changes, [*PROMPT, 0, 0, 0, 5], np.zeros(VOCABULARY), prompt_tokens=len(PROMPT))
    assert np.isfinite(got[END])
    assert sample(got, sampling_rng(0, 0)) == END


def test_draws_follow_the_probabilities() -> None:
    """20,000 draws: each token's share lies within 5 standard deviations of its probability."""
    scores = np.array([2.0, 1.0, 0.0, -1.0, -np.inf, 0.5], np.float32)
    random = sampling_rng(3, 0)
    count = 20_000
    shares = np.bincount([sample(scores, random) for _ in range(count)], minlength=6) / count
    expected = softmax(scores)
    assert shares[4] == 0
    assert (np.abs(shares - expected) <= 5 * np.sqrt(expected * (1 - expected) / count)).all()


# --- searches ------------------------------------------------------------------------------------------------------


def decoder_model() -> Any:
    torch.manual_seed(3)
    config = transformers.GPT2Config(
        vocab_size=VOCABULARY,
        n_embd=16,
        n_layer=1,
        n_head=2,
        n_positions=64,
        bos_token_id=1,
        eos_token_id=END,
    )
    return livelier(transformers.GPT2LMHeadModel(config))


def encoder_decoder_model() -> Any:
    torch.manual_seed(4)
    config = transformers.T5Config(
        vocab_size=VOCABULARY,
        d_model=16,
        d_kv=8,
        d_ff=32,
        num_layers=1,
        num_heads=2,
        pad_token_id=0,
        eos_token_id=END,
        decoder_start_token_id=0,
        tie_word_embeddings=False,
    )
    return livelier(transformers.T5ForConditionalGeneration(config))


def livelier(model: Any) -> Any:
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(6)
    model.generation_config = transformers.GenerationConfig(
        eos_token_id=END, pad_token_id=0, decoder_start_token_id=0, bos_token_id=1
    )
    return model.eval()


class TorchDecoder:
    """What a search needs of a decoder, by the torch model itself, without caches."""

    def __init__(
        self, model: Any, rows: Sequence[Sequence[int]], sources: Sequence[Sequence[int]] | None
    ) -> None:
        self.model = model
        self.rows = [list(row) for row in rows]
        self.sources = sources

    def logits(self) -> Any:
        with torch.inference_mode():
            return np.stack([self._of(place, row) for place, row in enumerate(self.rows)])[:, None]

    def select(self, rows: Any) -> None:
        self.rows = [list(self.rows[row]) for row in rows]
        if self.sources is not None:
            self.sources = [self.sources[row] for row in rows]

    def step(self, new: Any) -> Any:
        for row, number in zip(self.rows, new.tolist(), strict=True):
            row.append(number)
        return self.logits()

    def _of(self, place: int, row: list[int]) -> Any:
        if self.sources is None:
            return self.model(torch.tensor([row])).logits[0, -1].numpy()
        source = torch.tensor([self.sources[place]])
        return self.model(source, decoder_input_ids=torch.tensor([row])).logits[0, -1].numpy()


def their_answers(
    model: Any, row: Sequence[int], changes: dict[str, Any]
) -> Iterator[tuple[list[int], float | None]]:
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        out = model.generate(
            torch.tensor([row]),
            attention_mask=torch.ones(1, len(row), dtype=torch.long),
            return_dict_in_generate=True,
            output_scores=True,
            **changes,
        )
    start = 1 if model.config.is_encoder_decoder else len(row)
    scores = getattr(out, "sequences_scores", None)
    for place, ids in enumerate(out.sequences[:, start:].tolist()):
        ids = ids[: ids.index(END) + 1] if END in ids else ids
        yield ids, None if scores is None else float(scores[place])


MODELS = {"decoder": decoder_model(), "encoder-decoder": encoder_decoder_model()}
ROWS = [[5, 6, 7], [8, 9], [3, 4, 5, 6, 7, 8]]

beam_options = st.fixed_dictionaries(
    {
        "num_beams": st.integers(2, 5),
        "max_new_tokens": st.integers(1, 14),
        "length_penalty": st.sampled_from([-1.0, 0.0, 0.6, 1.0, 2.0]),
        "early_stopping": st.sampled_from([True, False, "never"]),
        "min_new_tokens": st.integers(0, 1),
    },
    optional={
        "repetition_penalty": st.just(1.4),
        "no_repeat_ngram_size": st.just(2),
        "forced_eos_token_id": st.just(END),
        "forced_bos_token_id": st.just(11),
        "eos_token_id": st.just([END, 7, 12]),
    },
)


@pytest.mark.parametrize("family", MODELS)
@settings(max_examples=15, **QUIET)
@given(options=beam_options, data=st.data())
def test_beam_search_finds_transformers_answers(
    family: str, options: dict[str, Any], data: st.DataObject
) -> None:
    model = MODELS[family]
    count = data.draw(st.integers(1, options["num_beams"]))
    config = GenerationConfig(**{"eos_token_id": END, **options, "num_return_sequences": count})
    sources = ROWS if family == "encoder-decoder" else None
    prompts = [[0]] * 3 if sources else ROWS
    rows = []
    for prompt, row in zip(prompts, ROWS, strict=True):
        facts = RowContext(len(prompt), config.longest(len(prompt)), np.array(row))
        rows.append(BeamRow(prompt, facts, config))
    decoder: Any = TorchDecoder(model, prompts, sources)
    for _ in beam_search(decoder, decoder.logits(), rows, config.num_beams):
        pass
    for row, made in zip(ROWS, rows, strict=True):
        expected = list(their_answers(model, row, {**options, "num_return_sequences": count}))
        got = made.results()
        ends = options.get("eos_token_id", [END])
        for (ids, score), answer in zip(expected, got, strict=True):
            if score is None or score < -1e8:
                continue  # transformers' filler, where fewer answers are possible than were asked for
            ends_at = next((place for place, number in enumerate(ids) if number in ends), len(ids))
            assert list(answer.ids) == ids[: ends_at + 1]
            # float32 sums of log-probabilities, which rules and a negative length penalty make as large as hundreds
            assert answer.score == pytest.approx(score, rel=1e-5, abs=1e-4)


@pytest.mark.parametrize("family", MODELS)
@settings(max_examples=8, **QUIET)
@given(
    options=st.fixed_dictionaries(
        {"max_new_tokens": st.integers(1, 20)},
        optional={
            "repetition_penalty": st.just(1.5),
            "no_repeat_ngram_size": st.just(3),
            "min_new_tokens": st.just(6),
            "encoder_repetition_penalty": st.just(1.5),
            "forced_eos_token_id": st.just(END),
        },
    )
)
def test_greedy_search_finds_transformers_answers(family: str, options: dict[str, Any]) -> None:
    model = MODELS[family]
    config = GenerationConfig(eos_token_id=END, **options)
    sources = ROWS if family == "encoder-decoder" else None
    prompts = [[0]] * 3 if sources else ROWS
    rows = [
        Row(prompt, RowContext(len(prompt), config.longest(len(prompt)), np.array(row)), config)
        for prompt, row in zip(prompts, ROWS, strict=True)
    ]
    decoder: Any = TorchDecoder(model, prompts, sources)
    for _ in generate_tokens(decoder, decoder.logits(), rows):
        pass
    for row, made in zip(ROWS, rows, strict=True):
        [(ids, _)] = their_answers(model, row, options)
        assert list(made.result().ids) == ids


def test_every_field_of_transformers_is_known_passed_over_or_refused_and_defaults_are_its_own() -> None:
    defaults = transformers.GenerationConfig()._get_default_generation_params()
    ours_by_default = GenerationConfig()
    for name in vars(transformers.GenerationConfig()):
        if name.startswith("_") or name in ours_by_default.__dataclass_fields__:
            continue
        assert without_effect(name, defaults.get(name)), f"{name} is unknown here"
    for name, value in defaults.items():
        if name in ours_by_default.__dataclass_fields__ and name != "max_length":  # 20 new tokens, either way
            assert getattr(ours_by_default, name) in (value, ()), name
    assert ours_by_default.longest(5) == 5 + defaults["max_length"]


def test_drawn_beams_are_drawn_without_replacement_by_their_probability() -> None:
    """Against the exact chances of the first two draws: within 5 standard deviations over 20,000."""
    scores = np.array([1.0, 0.0, -0.5, 2.0], np.float32)
    chances = softmax(scores)
    random, count = sampling_rng(1, 0), 20_000
    seen = np.zeros((4, 4))
    for _ in range(count):
        first, second = sample_without_replacement(scores, 2, random)
        seen[first, second] += 1
    expected = chances[:, None] * chances / (1 - chances[:, None])
    np.fill_diagonal(expected, 0)
    assert (np.abs(seen / count - expected) <= 5 * np.sqrt(expected * (1 - expected) / count)).all()
