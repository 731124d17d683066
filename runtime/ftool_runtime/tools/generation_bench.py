"""How fast a bundle generates text on this machine."""

import itertools
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from ftool_runtime.errors import InputError
from ftool_runtime.models.generator import Generator
from ftool_runtime.tools.latency import Latency

NEW_TOKENS: Final = 64
ROWS_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationBenchReport:
    """What `bench` measured of a model that generates text; times in milliseconds, memory in MB (10**6 bytes).

    Attributes:
        first_token_ms: from the call to the answer's first token, one row a call.
        token_ms: each further token, one row a call.
        tokens_per_s: new tokens a second of one row, the prompt's time included.
        tokens_per_s_batch: of eight rows in one call.
        new_tokens: how long each answer was made; fewer where the context ends.
        cold_start_ms: start of a fresh process to the end of its first answer, median.
        load_ms: `load` alone, in this process.
        peak_memory_mb: the most resident memory this process ever had; None where the system doesn't say.
        rows: how many different sources or prompts were timed.
        calls: how many timed calls the times stand on.
        info: the model's `info()`.
    """

    first_token_ms: Latency
    token_ms: Latency
    tokens_per_s: float
    tokens_per_s_batch: float
    new_tokens: int
    cold_start_ms: float
    load_ms: float
    peak_memory_mb: float | None
    rows: int
    calls: int
    info: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return asdict(self)

    def lines(self) -> list[str]:
        """The report for people."""
        first, token = self.first_token_ms, self.token_ms
        memory = "unknown" if self.peak_memory_mb is None else f"{self.peak_memory_mb:.0f} MB"
        return [
            f"first token          p50 {first.p50:.2f} ms   p95 {first.p95:.2f} ms",
            f"further tokens       p50 {token.p50:.2f} ms   p95 {token.p95:.2f} ms",
            f"tokens a second      {self.tokens_per_s:.0f} alone, {self.tokens_per_s_batch:.0f} of {ROWS_AT_ONCE} rows",
            f"cold start           {self.cold_start_ms:.0f} ms, of which load {self.load_ms:.0f} ms",
            f"peak memory          {memory}",
            f"{self.rows} rows, {self.calls} calls of {self.new_tokens} new tokens, {self.info['device']}, "
            f"{self.info['threads']} threads, profile {self.info['profile']}",
        ]


@dataclass(frozen=True, slots=True)
class Speeds:
    """Times of single calls in milliseconds, and tokens a second, alone and in batches."""

    first_ms: list[float]
    token_ms: list[float]
    alone_per_s: float
    batch_per_s: float


def time_generation(model: Generator, rows: Sequence[Sequence[int]], calls: int) -> Speeds:
    """Time greedy answers of NEW_TOKENS tokens to `rows`, token ids, which go round. Warms up first.

    Raises InputError where there are none.
    """
    if not rows:
        raise InputError("no texts to time")
    options: dict[str, Any] = {"do_sample": False, "num_beams": 1, "num_return_sequences": 1}
    options |= {"max_new_tokens": NEW_TOKENS, "min_new_tokens": NEW_TOKENS}
    model.generate([rows[0]], **options)
    first, later, elapsed, made = [], [], 0.0, 0
    for row in itertools.islice(itertools.cycle(rows), max(calls, len(rows))):
        marks = model.time_tokens(row, **options)
        first.append(marks[0] * 1e3)
        later += [(after - before) * 1e3 for before, after in itertools.pairwise(marks)]
        elapsed += marks[-1]
        made += len(marks)
    batch = list(itertools.islice(itertools.cycle(rows), ROWS_AT_ONCE))
    model.generate(batch, **options)
    started = time.perf_counter()
    answers = model.generate(batch, **options)
    together = sum(len(answer.ids) for answer in answers) / (time.perf_counter() - started)
    return Speeds(first, later or first, made / elapsed, together)
