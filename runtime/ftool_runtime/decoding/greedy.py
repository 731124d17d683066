"""Greedy search and sampling: generate one token per step for each row; rows leave the batch when they end.

A row with a prompt lookup runs alone, and gets several tokens from a step whose guesses are right.
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
from ftool_runtime.decoding.prompt_lookup import PromptLookup
from ftool_runtime.decoding.results import FinishReason, GeneratedRow
from ftool_runtime.decoding.sampling import sample, sampling_rng
from ftool_runtime.session.decoder.decoder import Decoder, Logits


class Row:
    """One answer while it is generated.

    Attributes:
        answer: the tokens generated so far.
        number: the row's position in the caller's numbering, for errors.
        finish_reason: None until the answer ends.
        lookup: the guesses of the next tokens, made from prompt and answer so far; None for one token per step.
    """

    def __init__(
        self,
        prompt: Sequence[int],
        context: RowContext,
        config: GenerationConfig,
        *,
        sequence: int = 0,
        stop_check: StopCheck | None = None,
        keep_logits: bool = False,
        lookup: PromptLookup | None = None,
    ) -> None:
        """Start an answer to `prompt`, a list of token ids.

        `sequence` is the answer's number, from 0, among the answers to the same text.
        """
        self.answer: list[int] = []
        self.finish_reason: FinishReason | None = None
        self.lookup = lookup
        self._processors = logits_processors(config, context)
        self.number = context.row
        self._ends = frozenset(config.eos_token_id)
        self._longest = context.longest
        self._random = sampling_rng(config.seed, sequence) if config.do_sample else None
        self._stop_check = stop_check
        self._logits: list[NDArray[np.float32]] | None = [] if keep_logits else None
        self._ids = np.array([*prompt, *[0] * 64], np.int64)  # doubled when full
        self._length = len(prompt)
        self.plain = not self._processors and self._random is None and self._logits is None

    def choose(self, logits: NDArray[np.float32]) -> int:
        """Return the next token, chosen from `logits`, float32 (vocabulary,), which are not changed.

        Raises InputError if the logits processors leave no token, and BundleError if the logits are nan.
        """
        if self._logits is not None:
            self._logits.append(logits.copy())
        scores = (
            apply(self._processors, logits.copy(), self._ids[: self._length]) if self._processors else logits
        )
        best = int(scores.argmax())  # the first nan, if there is one
        if not scores[best] > NEVER:
            raise no_token_left(logits, self.number)
        return best if self._random is None else sample(scores, self._random)

    def append(self, token: int) -> None:
        """Add the next token, and set `finish_reason` if the answer ends with it."""
        if self._length == self._ids.size:
            self._ids = np.concatenate([self._ids, np.zeros_like(self._ids)])
        self._ids[self._length] = token
        self._length += 1
        self.answer.append(token)
        if self.lookup is not None:
            self.lookup.add(token)
        stopped = self._stop_check is not None and self._stop_check(self.answer)
        if token in self._ends:
            self.finish_reason = "eos"
        elif stopped:
            self.finish_reason = "stop"
        elif self._length >= self._longest:
            self.finish_reason = "length"

    @property
    def length(self) -> int:
        """The number of tokens in prompt and answer so far."""
        return self._length

    @property
    def room(self) -> int:
        """The largest number of tokens that the answer can still get."""
        return self._longest - self._length

    def result(self) -> GeneratedRow:
        """Return the answer so far; its finish reason is "cancelled" if it has not ended."""
        logits = None if self._logits is None else np.stack(self._logits)
        return GeneratedRow(tuple(self.answer), self.finish_reason or "cancelled", None, logits)


def generate_tokens(decoder: Decoder, logits: Logits, rows: Sequence[Row]) -> Iterator[None]:
    """Generate one token per step, until all `rows` have ended; yields after every step.

    A single row with a lookup can get several tokens per step, and yields after every token.

    Args:
        decoder: the decoder, which has read the rows' prompts.
        logits: the decoder's logits after the prompts, float32 (rows, 1, vocabulary).
        rows: the answers, in the order of the decoder's rows.

    Raises InputError if a row's logits processors leave no token, and BundleError if its logits are nan.
    """
    if len(rows) == 1 and rows[0].lookup is not None:
        yield from _generate_with_lookup(decoder, logits, rows[0], rows[0].lookup)
        return
    while True:
        tokens = _next_tokens(logits[:, 0], rows)
        for row, token in zip(rows, tokens.tolist(), strict=True):
            row.append(token)
        yield
        running = [place for place, row in enumerate(rows) if row.finish_reason is None]
        if not running:
            return
        if len(running) < len(rows):
            decoder.select(np.array(running))
            rows = [rows[place] for place in running]
            tokens = tokens[running]
        logits = decoder.step(tokens)


def _generate_with_lookup(decoder: Decoder, logits: Logits, row: Row, lookup: PromptLookup) -> Iterator[None]:
    """Generate one row; each run of the decoder gives one token, and one more for each right guess.

    After every run the decoder forgets the wrong guesses, also if the iterator is closed before the next run.
    """
    guesses: list[int] = []
    while True:
        right = 0
        try:
            for scores, guess in zip(logits[0], [*guesses, None], strict=True):
                token = row.choose(scores)
                row.append(token)
                yield
                if row.finish_reason is not None:
                    return
                if token != guess:
                    break
                right += 1
        finally:
            decoder.cut(row.length - 1)  # the last token has not been run
        lookup.learn(len(guesses), right)
        guesses = lookup.guess(row.room - 1)  # a run gives one token more than it has guesses
        if guesses:
            logits = decoder.feed([[token, *guesses]], np.arange(len(guesses) + 1)[None])
        else:
            logits = decoder.step(np.array([token]))


def _next_tokens(logits: NDArray[np.float32], rows: Sequence[Row]) -> NDArray[np.int64]:  # (rows,)
    if all(row.plain for row in rows):
        best: NDArray[np.int64] = logits.argmax(axis=1)
        for place, row in enumerate(rows):
            if not logits[place, best[place]] > NEVER:
                raise no_token_left(logits[place], row.number)
        return best
    return np.array([row.choose(scores) for row, scores in zip(rows, logits, strict=True)])
