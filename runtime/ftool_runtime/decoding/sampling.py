"""Sampling: filters that exclude unlikely tokens, and random draws from the remaining tokens."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftool_runtime.decoding.config import GenerationConfig
from ftool_runtime.numerics import softmax

Scores = NDArray[np.float32]
Filter = Callable[[Scores, NDArray[np.int64]], Scores]

_NEVER = np.float32(-np.inf)
_MOST = np.finfo(np.float32).max
_TOP_H_TOKENS = 100  # top_h computes the entropy of at most this many of the best tokens


def sampling_filters(config: GenerationConfig) -> list[Filter]:
    """Return the filters that a config enables, in transformers' order; an empty list unless `do_sample`."""
    if not config.do_sample:
        return []
    # each beam needs a token that does not end it
    least = 1 if config.num_beams == 1 else 1 + (len(config.eos_token_id) or 1)
    filters: list[Filter] = []
    if config.temperature != 1:
        filters.append(_temperature(config.temperature))
    if config.top_h is not None:
        filters.append(_top_h(config.top_h))
    if config.top_k:
        filters.append(_top_k(max(config.top_k, least)))
    if config.top_p < 1:
        filters.append(_top_p(config.top_p, least))
    if config.min_p is not None:
        filters.append(_min_p(config.min_p, least))
    if config.typical_p < 1:
        filters.append(_typical(config.typical_p, least))
    if 0 < config.epsilon_cutoff < 1:
        filters.append(_epsilon(config.epsilon_cutoff, least))
    if 0 < config.eta_cutoff < 1:
        filters.append(_eta(config.eta_cutoff, least))
    return filters


def sampling_rng(seed: int | None, sequence: int) -> np.random.Generator:
    """Return a new random generator for one answer, so that an answer does not depend on the rest of its call.

    `sequence` is the answer's number, from 0, among the answers to the same text.
    """
    return np.random.default_rng(None if seed is None else (seed, sequence))


def sample(scores: Scores, random: np.random.Generator) -> int:
    """Return a random token, drawn with the probabilities softmax(`scores`); `scores` is float32 (vocabulary,)."""
    allowed = np.flatnonzero(scores > _NEVER)
    reached = softmax(scores[allowed]).cumsum()
    place = int(np.searchsorted(reached, random.random() * reached[-1], side="right"))
    return int(allowed[min(place, allowed.size - 1)])


def sample_without_replacement(scores: Scores, count: int, random: np.random.Generator) -> NDArray[np.intp]:
    """Return `count` distinct indices of `scores`, float32 (n,), drawn one after another with softmax weights."""
    # Sorting scores with added Gumbel noise gives such draws: Gumbel 1954, Efraimidis and Spirakis 2006.
    return largest_places(scores + random.gumbel(size=scores.shape), count)


def largest_places(values: NDArray[np.floating[Any]], count: int) -> NDArray[np.intp]:
    """Return the indices of the `count` largest values, largest first; equal values stay in order."""
    places = np.flatnonzero(values >= _nth_largest(values, count))  # much faster than argpartition
    best: NDArray[np.intp] = places[np.argsort(-values[places], kind="stable")][:count]
    return best


def _masked(scores: Scores, keep: NDArray[np.bool_]) -> Scores:
    return np.where(keep, scores, _NEVER)


def _nth_largest(scores: NDArray[np.floating[Any]], count: int) -> Any:
    """Return the `count`-th largest score, or the smallest if there are fewer scores."""
    count = min(count, scores.size)
    return np.partition(scores, scores.size - count)[scores.size - count]


def _temperature(temperature: float) -> Filter:
    def temperature_filter(scores: Scores, _: NDArray[np.int64]) -> Scores:
        with np.errstate(over="ignore"):
            quotients: Scores = scores / np.float32(temperature)
        return np.minimum(quotients, _MOST, out=quotients)

    return temperature_filter


def _top_k(count: int) -> Filter:
    return lambda scores, _: _masked(scores, scores >= _nth_largest(scores, count))


def _top_p(mass: float, least: int) -> Filter:
    def top_p(scores: Scores, _: NDArray[np.int64]) -> Scores:
        rising = np.sort(scores[scores > _NEVER])
        reached = softmax(rising).cumsum()
        first = int(np.searchsorted(reached, 1 - mass, side="right"))
        return _masked(scores, scores >= rising[max(0, min(first, rising.size - least))])

    return top_p


def _min_p(part: float, least: int) -> Filter:
    def min_p(scores: Scores, _: NDArray[np.int64]) -> Scores:
        probabilities = softmax(scores)
        return _masked(
            scores, (probabilities >= part * probabilities.max()) | (scores >= _nth_largest(scores, least))
        )

    return min_p


def _typical(mass: float, least: int) -> Filter:
    def typical(scores: Scores, _: NDArray[np.int64]) -> Scores:
        probabilities = softmax(scores)
        surprise = _surprise(probabilities)
        distance = np.abs(surprise - _entropy(probabilities))
        order = np.argsort(distance, kind="stable")
        reached = probabilities[order].cumsum()
        last = min(int((reached < mass).sum()), scores.size - 1)
        keep = np.empty(scores.shape, np.bool_)
        keep[order] = distance[order] <= distance[order[last]]
        keep[order[:least]] = True
        return _masked(scores, keep)

    return typical


def _epsilon(cutoff: float, least: int) -> Filter:
    return lambda scores, _: _masked(
        scores, (softmax(scores) >= cutoff) | (scores >= _nth_largest(scores, least))
    )


def _eta(cutoff: float, least: int) -> Filter:
    def eta(scores: Scores, _: NDArray[np.int64]) -> Scores:
        probabilities = softmax(scores)
        limit = min(cutoff, math.sqrt(cutoff) * math.exp(-_entropy(probabilities)))
        return _masked(scores, (probabilities >= limit) | (scores >= _nth_largest(scores, least)))

    return eta


def _top_h(part: float) -> Filter:
    def top_h(scores: Scores, _: NDArray[np.int64]) -> Scores:
        best = np.argsort(-scores, kind="stable")[:_TOP_H_TOKENS]
        probabilities = softmax(scores[best])
        terms = probabilities * _surprise(probabilities)
        keep = np.zeros(scores.shape, np.bool_)
        keep[best[terms.cumsum() <= part * terms.sum()]] = True
        keep[best[0]] = True
        return _masked(scores, keep)

    return top_h


def _surprise(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return minus the logarithm of each probability; finite for 0, which adds nothing to the entropy."""
    result: NDArray[np.float64] = -np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))
    return result


def _entropy(probabilities: NDArray[np.float64]) -> float:
    return float((probabilities * _surprise(probabilities)).sum())
