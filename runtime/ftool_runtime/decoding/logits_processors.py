"""Logits processors: forbid, force or reweight tokens as a generation config says, in transformers' order.

A processor takes the scores of one row, float32 (vocabulary,), which it may overwrite, and the row's tokens so far,
int64 (length,), including the prompt or start token. It returns the new scores. Each row is processed separately, so
that it is independent of the rest of the batch.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ftool_runtime.decoding.config import GenerationConfig
from ftool_runtime.decoding.sampling import sampling_filters
from ftool_runtime.errors import BundleError, FtoolError, InputError
from ftool_runtime.numerics import float32_power, log_softmax

Scores = NDArray[np.float32]
Ids = NDArray[np.int64]
Processor = Callable[[Scores, Ids], Scores]

NEVER = np.float32(-np.inf)


@dataclass(frozen=True, slots=True)
class RowContext:
    """The facts about one row that logits processors need.

    Attributes:
        prompt_tokens: the number of tokens before the answer, in the prompt or the decoder's start token.
        longest: the largest number of tokens in prompt and answer together.
        source: the encoder's tokens; for decoders without an encoder, the prompt.
        row: the row's position in the caller's numbering, for errors.
    """

    prompt_tokens: int
    longest: int
    source: Ids = field(default_factory=lambda: np.empty(0, np.int64))
    row: int = 0


def logits_processors(config: GenerationConfig, row: RowContext) -> tuple[Processor, ...]:
    """Return the processors for one row, in the order in which transformers applies them."""
    checks = [_require_choice(row.row)] if config.do_sample else []  # filters need at least one token
    return (*_constraints(config, row), *checks, *sampling_filters(config), *_renormalisation(config))


def apply(processors: Sequence[Processor], scores: Scores, ids: Ids) -> Scores:
    """Return `scores`, float32 (vocabulary,), after all processors; the given array may be overwritten."""
    for process in processors:
        scores = process(scores, ids)
    return scores


def no_token_left(logits: Scores, row: int) -> FtoolError:
    """Return the error for a row without any token to choose: BundleError if the graph's `logits` are nan."""
    if np.isnan(logits).any():
        return BundleError(
            f"row {row}: the model's logits are not numbers (nan); run verify on the bundle, or set "
            "remove_invalid_values=True"
        )
    return InputError(
        f"row {row}: the generation config leaves no token to choose; forbid fewer tokens with suppress_tokens, "
        "bad_words_ids, no_repeat_ngram_size and similar options",
        row=row,
    )


def _require_choice(row: int) -> Processor:
    def require_choice(scores: Scores, _: Ids) -> Scores:
        if not scores.max() > NEVER:
            raise no_token_left(scores, row)
        return scores

    return require_choice


def _constraints(config: GenerationConfig, row: RowContext) -> list[Processor]:
    ends = np.array(config.eos_token_id, np.int64)
    processors: list[Processor] = []
    if config.sequence_bias:
        processors.append(_sequence_bias(config.sequence_bias))
    if config.encoder_repetition_penalty != 1 and row.source.size:
        processors.append(_source_penalty(config.encoder_repetition_penalty, row.source))
    if config.repetition_penalty != 1:
        processors.append(_repetition_penalty(config.repetition_penalty))
    if config.no_repeat_ngram_size:
        processors.append(_no_repeat(config.no_repeat_ngram_size))
    if config.encoder_no_repeat_ngram_size and row.source.size:
        processors.append(_no_repeat_of_source(config.encoder_no_repeat_ngram_size, row.source))
    bad_words = [run for run in config.bad_words_ids if not (len(run) == 1 and run[0] in config.eos_token_id)]
    if bad_words:
        processors.append(_sequence_bias([(run, -math.inf) for run in bad_words]))
    if ends.size:
        least = config.min_length
        if config.min_new_tokens is not None:  # takes precedence over min_length
            least = row.prompt_tokens + config.min_new_tokens
        if least:
            processors.append(_min_length(least, ends))
    if config.forced_bos_token_id is not None:
        processors.append(_forced_at(1, np.array([config.forced_bos_token_id])))
    if config.forced_eos_token_id:
        processors.append(_forced_at(row.longest - 1, np.array(config.forced_eos_token_id)))
    if config.remove_invalid_values:
        processors.append(_finite)
    if config.exponential_decay_length_penalty is not None and ends.size:
        start, factor = config.exponential_decay_length_penalty
        processors.append(_growing_eos(start + row.prompt_tokens, factor, ends))
    if config.suppress_tokens:
        processors.append(_suppressed(np.array(config.suppress_tokens)))
    if config.begin_suppress_tokens:
        first = row.prompt_tokens
        if first <= 1 and config.forced_bos_token_id is not None:  # the token after the forced one
            first += 1
        processors.append(_suppressed_at(first, np.array(config.begin_suppress_tokens)))
    return processors


def _renormalisation(config: GenerationConfig) -> list[Processor]:
    return [lambda scores, _: log_softmax(scores)] if config.renormalize_logits else []


def _penalised(scores: Scores, tokens: Ids, penalty: float) -> Scores:
    """Divide positive scores of `tokens` by `penalty`, and multiply negative scores by it, once for each token."""
    tokens = tokens[tokens < scores.size]
    chosen = scores[tokens]
    scores[tokens] = np.where(chosen < 0, chosen * np.float32(penalty), chosen / np.float32(penalty))
    return scores


def _repetition_penalty(penalty: float) -> Processor:
    return lambda scores, ids: _penalised(scores, ids, penalty)


def _source_penalty(weight: float, source: Ids) -> Processor:
    return lambda scores, _: _penalised(scores, source, 1 / weight)


def _no_repeat(size: int) -> Processor:
    def no_repeat(scores: Scores, ids: Ids) -> Scores:
        return scores if ids.size < size else _ban_followers(scores, ids, ids, size)

    return no_repeat


def _no_repeat_of_source(size: int, source: Ids) -> Processor:
    def no_repeat_of_source(scores: Scores, ids: Ids) -> Scores:
        if source.size < size or ids.size < size - 1:
            return scores
        return _ban_followers(scores, source, ids, size)

    return no_repeat_of_source


def _ban_followers(scores: Scores, text: Ids, ids: Ids, size: int) -> Scores:
    """Forbid every token that follows, anywhere in `text`, the same size - 1 tokens that `ids` ends with."""
    windows = np.lib.stride_tricks.sliding_window_view(text, size)  # (places, size)
    same = (windows[:, :-1] == ids[ids.size - size + 1 :]).all(axis=1)
    banned = windows[same, -1]
    scores[banned[banned < scores.size]] = NEVER
    return scores


def _sequence_bias(biases: Sequence[tuple[Sequence[int], float]]) -> Processor:
    singles = [(run[0], bias) for run, bias in biases if len(run) == 1]
    single_tokens = np.array([token for token, _ in singles], np.int64)
    single_biases = np.array([bias for _, bias in singles], np.float32)
    longer = [
        (np.array(run[:-1], np.int64), run[-1], np.float32(bias)) for run, bias in biases if len(run) > 1
    ]

    def sequence_bias(scores: Scores, ids: Ids) -> Scores:
        bias = np.zeros_like(scores)
        bias[single_tokens] = single_biases
        for before, token, value in longer:
            if before.size <= ids.size and (ids[ids.size - before.size :] == before).all():
                bias[token] += value
        return scores + bias

    return sequence_bias


def _min_length(least: int, ends: Ids) -> Processor:
    def min_length(scores: Scores, ids: Ids) -> Scores:
        if ids.size < least:
            scores[ends[ends < scores.size]] = NEVER
        return scores

    return min_length


def _forced_at(length: int, tokens: Ids) -> Processor:
    def forced_at(scores: Scores, ids: Ids) -> Scores:
        if ids.size == length:
            scores.fill(NEVER)
            scores[tokens] = 0
        return scores

    return forced_at


def _finite(scores: Scores, _: Ids) -> Scores:
    limits = np.finfo(np.float32)
    return np.nan_to_num(scores, copy=False, nan=0.0, posinf=float(limits.max), neginf=float(limits.min))


def _growing_eos(start: int, factor: float, ends: Ids) -> Processor:
    def growing_eos(scores: Scores, ids: Ids) -> Scores:
        if ids.size > start:
            there = ends[ends < scores.size]
            chosen = scores[there]
            power = float32_power(factor, ids.size - start)
            if power is None:
                raise InputError(
                    f"exponential_decay_length_penalty: {factor:g} to the power {ids.size - start} is beyond float32's "
                    "numbers; set the factor nearer to 1, or a smaller max_new_tokens"
                )
            factor_now = np.float32(power - 1)
            with np.errstate(
                over="ignore"
            ):  # a token that remove_invalid_values made finite may grow to infinity
                growth = np.abs(chosen) * factor_now
            scores[there] = chosen + np.where(np.isfinite(chosen), growth, np.float32(0))
        return scores

    return growing_eos


def _suppressed(tokens: Ids) -> Processor:
    def suppressed(scores: Scores, _: Ids) -> Scores:
        scores[tokens[tokens < scores.size]] = NEVER
        return scores

    return suppressed


def _suppressed_at(length: int, tokens: Ids) -> Processor:
    def suppressed_at(scores: Scores, ids: Ids) -> Scores:
        if ids.size == length:
            scores[tokens[tokens < scores.size]] = NEVER
        return scores

    return suppressed_at
