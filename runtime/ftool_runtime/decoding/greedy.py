"""One token after another: the best one, or a drawn one, for rows that leave the batch as they end."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ftool_runtime.decoding.config import GenerationConfig
from ftool_runtime.decoding.detokenize import Stopped
from ftool_runtime.decoding.logits_processors import NEVER, RowFacts, apply, no_choice, rules_of
from ftool_runtime.decoding.results import FinishReason, GeneratedRow
from ftool_runtime.decoding.sampling import draw, random_of
from ftool_runtime.session.decoder.decoder import Decoder, Logits


class Row:
    """One answer as it grows.

    Attributes:
        answer: its tokens so far.
        number: the row's position in the caller's numbering.
        finish_reason: None while it goes on.
    """

    def __init__(
        self,
        prompt: Sequence[int],
        facts: RowFacts,
        config: GenerationConfig,
        *,
        sequence: int = 0,
        stopped: Stopped | None = None,
        keep_logits: bool = False,
    ) -> None:
        """Begin the answer to `prompt`, token ids; `sequence` numbers the answers to one text."""
        self.answer: list[int] = []
        self.finish_reason: FinishReason | None = None
        self.rules = rules_of(config, facts)
        self.number = facts.row
        self._ends = frozenset(config.eos_token_id)
        self._longest = facts.longest
        self._random = random_of(config.seed, sequence) if config.do_sample else None
        self._stopped = stopped
        self._logits: list[NDArray[np.float32]] | None = [] if keep_logits else None
        self._ids = np.array([*prompt, *[0] * 64], np.int64)  # doubled when full
        self._length = len(prompt)
        self.plain = not self.rules and self._random is None and self._logits is None

    def choose(self, logits: NDArray[np.float32]) -> int:
        """The next token by `logits`, float32 (vocabulary,), which are not changed. Raises as `search`."""
        if self._logits is not None:
            self._logits.append(logits.copy())
        scores = apply(self.rules, logits.copy(), self._ids[: self._length]) if self.rules else logits
        best = int(scores.argmax())  # the first nan, where there is one
        if not scores[best] > NEVER:
            raise no_choice(logits, self.number)
        return best if self._random is None else draw(scores, self._random)

    def append(self, token: int) -> None:
        """Add the next token, and see whether the answer ends with it."""
        if self._length == self._ids.size:
            self._ids = np.concatenate([self._ids, np.zeros_like(self._ids)])
        self._ids[self._length] = token
        self._length += 1
        self.answer.append(token)
        stopped = self._stopped is not None and self._stopped(self.answer)
        if token in self._ends:
            self.finish_reason = "eos"
        elif stopped:
            self.finish_reason = "stop"
        elif self._length >= self._longest:
            self.finish_reason = "length"

    def result(self) -> GeneratedRow:
        """The answer, as far as it got."""
        logits = None if self._logits is None else np.stack(self._logits)
        return GeneratedRow(tuple(self.answer), self.finish_reason or "cancelled", None, logits)


def search(decoder: Decoder, logits: Logits, rows: Sequence[Row]) -> Iterator[None]:
    """Let `rows` grow until all have ended, a token a step; gives control back after every token.

    Args:
        decoder: holds the rows' prompts.
        logits: what it said of them, float32 (rows, 1, vocabulary).
        rows: as they stand in the decoder.

    Raises InputError where a row's rules leave no token to choose, BundleError where its logits are no numbers.
    """
    while True:
        tokens = _next_tokens(logits[:, 0], rows)
        for row, token in zip(rows, tokens.tolist(), strict=True):
            row.append(token)
        yield
        going = [place for place, row in enumerate(rows) if row.finish_reason is None]
        if not going:
            return
        if len(going) < len(rows):
            decoder.select(np.array(going))
            rows = [rows[place] for place in going]
            tokens = tokens[going]
        logits = decoder.step(tokens)


def _next_tokens(logits: NDArray[np.float32], rows: Sequence[Row]) -> NDArray[np.int64]:  # (rows,)
    if all(row.plain for row in rows):
        best: NDArray[np.int64] = logits.argmax(axis=1)
        for place, row in enumerate(rows):
            if not logits[place, best[place]] > NEVER:
                raise no_choice(logits[place], row.number)
        return best
    return np.array([row.choose(scores) for row, scores in zip(rows, logits, strict=True)])
