"""Beam search: follow several candidate answers to a row, and return the best complete answers.

The search finds the same answers as transformers, because it uses the same rules for which candidates can complete an
answer, how complete answers are ranked, and when the search has finished.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ftool_runtime.decoding.config import GenerationConfig
from ftool_runtime.decoding.detokenize import StopCheck
from ftool_runtime.decoding.logits_processors import (
    NEVER,
    RowContext,
    apply,
    logits_processors,
    no_token_left,
)
from ftool_runtime.decoding.results import FinishReason, GeneratedRow
from ftool_runtime.decoding.sampling import largest_places, sample_without_replacement, sampling_rng
from ftool_runtime.errors import InputError
from ftool_runtime.numerics import float32_power, log_softmax
from ftool_runtime.session.decoder.decoder import Decoder, Logits

_FAR = np.float32(-1e9)  # added to the scores of candidates that must not be chosen


class BeamRow:
    """The beams of one row and the complete answers found so far.

    Attributes:
        done: whether the search has finished.
    """

    def __init__(
        self,
        prompt: Sequence[int],
        context: RowContext,
        config: GenerationConfig,
        *,
        stop_check: StopCheck | None = None,
    ) -> None:
        """Start the search for answers to `prompt`, a list of token ids."""
        beams = config.num_beams
        self.done = False
        self._config = config
        self._context = context
        self._processors = logits_processors(config, context)
        self._ends = np.array(config.eos_token_id, np.int64)
        self._stop_check = stop_check
        self._random = sampling_rng(config.seed, 0) if config.do_sample else None
        self._ids = np.tile(np.array(prompt, np.int64), (beams, 1))  # (beams, tokens)
        self._scores = np.full(beams, _FAR, np.float32)  # scores of the running beams, best first
        self._scores[0] = 0  # all beams are the same at first, so only the first one is followed
        self._complete: list[NDArray[np.int64]] = [self._ids[0]] * beams
        self._complete_scores = np.full(beams, _FAR, np.float32)  # best first
        self._is_complete = np.zeros(beams, np.bool_)
        self._improvable = True

    @property
    def tokens(self) -> NDArray[np.int64]:
        """The last token of each running beam, int64 (beams,)."""
        return self._ids[:, -1]

    def advance(self, logits: NDArray[np.float32]) -> NDArray[np.intp]:
        """Add a token, chosen from `logits`, float32 (beams, vocabulary), to every beam.

        Returns:
            For each new beam the index of the old beam that it continues, (beams,).

        Raises InputError if the logits processors leave no token, and BundleError if the logits are nan.
        """
        chosen, scores = self._candidates(logits)
        parents, tokens = np.divmod(chosen, logits.shape[1])
        ids = np.concatenate([self._ids[parents], tokens[:, None]], axis=1)  # (candidates, tokens)
        ended = self._ended(ids)
        running = np.where(ended, scores + _FAR, scores)
        followed = largest_places(running, self._config.num_beams)
        self._collect(ids, scores, ended)
        self._ids, self._scores = ids[followed], running[followed]
        self._improvable = self._improvable and self._can_improve()
        full = self._config.early_stopping is True and bool(self._is_complete.all())
        self.done = not self._improvable or full or bool(ended.all())
        return parents[followed]

    def results(self) -> list[GeneratedRow]:
        """Return the best `num_return_sequences` answers, best first."""
        found = zip(self._complete, self._complete_scores.tolist(), strict=True)
        return [self._result(ids, score) for ids, score in found][: self._config.num_return_sequences]

    def _candidates(self, logits: NDArray[np.float32]) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Return the best or sampled continuations: indices into beams x vocabulary, and scores; (candidates,) each."""
        log_probabilities = log_softmax(logits)
        if self._processors:
            for beam, ids in enumerate(self._ids):
                log_probabilities[beam] = apply(self._processors, log_probabilities[beam], ids)
        scores = (log_probabilities + self._scores[:, None]).reshape(-1)
        best = scores.max()
        if np.isnan(best) or (best == NEVER and not self._is_complete.any()):
            raise no_token_left(logits, self._context.row)
        # enough candidates that num_beams of them continue even if all the others end
        count = min(max(2, 1 + self._ends.size) * self._config.num_beams, scores.size)
        rng = self._random
        chosen = (
            largest_places(scores, count) if rng is None else sample_without_replacement(scores, count, rng)
        )
        return chosen, scores[chosen]

    def _ended(self, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which of the candidates `ids`, (candidates, tokens), are complete answers: bool (candidates,)."""
        ended = np.isin(ids[:, -1], self._ends)
        if ids.shape[1] >= self._context.longest:
            ended[:] = True
        if self._stop_check is not None:
            answers = ids[:, self._context.prompt_tokens :].tolist()
            ended |= np.array([self._stop_check(answer) for answer in answers])
        return ended

    def _collect(self, ids: NDArray[np.int64], scores: NDArray[np.float32], ended: NDArray[np.bool_]) -> None:
        """Keep the best of the complete answers so far and of the candidates that have now `ended`."""
        config = self._config
        beams = config.num_beams
        length = ids.shape[1] - self._context.prompt_tokens
        completed = ended.copy()
        completed[beams:] = False  # later candidates only replace beams that end
        final = scores / length_divisor(length, config.length_penalty)
        if (config.early_stopping is True and self._is_complete.all()) or not self._improvable:
            final += _FAR
        final = np.where(completed, final, final + _FAR)
        merged = np.concatenate([self._complete_scores, final])
        best = largest_places(merged, beams)
        self._complete_scores = merged[best]
        self._is_complete = np.concatenate([self._is_complete, completed])[best]
        self._complete = [
            self._complete[place] if place < beams else ids[place - beams] for place in best.tolist()
        ]

    def _can_improve(self) -> bool:
        """Return whether a running beam can still become better than the worst complete answer."""
        config = self._config
        longest = self._ids.shape[1]
        if config.early_stopping == "never" and config.length_penalty > 0:
            longest = self._context.longest
        length = longest - self._context.prompt_tokens
        best = self._scores[0] / length_divisor(length, config.length_penalty)
        return not self._is_complete.all() or bool(best > self._complete_scores.min())

    def _result(self, ids: NDArray[np.int64], score: float) -> GeneratedRow:
        answer = ids[self._context.prompt_tokens :].tolist()
        reason: FinishReason = "length"
        if answer and answer[-1] in self._config.eos_token_id:
            reason = "eos"
        elif self._stop_check is not None and self._stop_check(answer):
            reason = "stop"
        return GeneratedRow(tuple(answer), reason, score)


def length_divisor(length: int, penalty: float) -> np.float32:
    """Return `length` to the power `penalty`, by which the score of an answer of `length` tokens is divided.

    Raises InputError if float32 can't hold the result.
    """
    divisor = float32_power(length, penalty)
    if divisor is None:
        raise InputError(
            f"length_penalty is {penalty:g}, and {length} tokens to this power are beyond float32's numbers; "
            "set it nearer to 0"
        )
    return np.float32(divisor)


def beam_search(decoder: Decoder, logits: Logits, rows: Sequence[BeamRow], beams: int) -> Iterator[None]:
    """Generate one token per step, until all `rows` are done; yields after every step.

    Args:
        decoder: the decoder, which has read the prompts, one row for each prompt.
        logits: the decoder's logits after the prompts, float32 (rows, 1, vocabulary).
        rows: the searches, in the order of the decoder's rows.
        beams: the number of beams of each row.
    """
    decoder.select(np.repeat(np.arange(len(rows)), beams))
    scores = np.repeat(logits[:, 0], beams, axis=0)  # (rows x beams, vocabulary)
    while True:
        parents = [
            row.advance(scores[place * beams : (place + 1) * beams]) + place * beams
            for place, row in enumerate(rows)
        ]
        yield
        running = [place for place, row in enumerate(rows) if not row.done]
        if not running:
            return
        decoder.select(np.concatenate([parents[place] for place in running]))
        rows = [rows[place] for place in running]
        scores = decoder.step(np.concatenate([row.tokens for row in rows]))[:, 0]
