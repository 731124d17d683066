"""Time engines in alternating rounds, each engine in its own process.

Two engines in one process disturb each other, because their thread pools spin on the same cores: in our tests, engines
were up to three times slower. Within a round the engines take turns on the same texts, in reversed order every second
round, so that changes in the machine's speed affect all engines equally. A ratio is computed for each round, and the
result is the median over the rounds. The processor time of waiting engines is measured, to show that they were idle.
"""

import logging
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from ftool.bench.contention import Contention, Meter
from ftool.bench.engines import Engine, EngineProcess, started
from ftool.bench.worker import Text
from ftool.errors import BenchError
from ftool.tasks.base import Task

logger = logging.getLogger(__name__)

PERCENTILES = (50, 90, 95, 99, 99.9)
_NORMAL_95 = 1.96  # standard errors of a 95% interval
SETTLE_S = 0.25  # pause before a turn, so that the previous engine's threads stop spinning
WARM_UP_TEXTS = 3  # untimed calls at the start of each turn


@dataclass(frozen=True, kw_only=True)
class BenchSettings:
    """Settings of a benchmark: how often each engine is timed, and on how many texts."""

    rounds: int = 5  # latency turns of each engine
    texts_per_round: int = 200  # texts in a latency turn; each round takes different ones
    throughput_rounds: int = 3  # throughput turns of each engine
    cold_starts: int = 3  # process starts of each engine
    throughput_texts: int = 10_000  # largest number of texts in one call, spread over the split
    rate: float | None = None  # texts that arrive a second in the server scenario; None leaves it out

    def __post_init__(self) -> None:
        for name in ("rounds", "texts_per_round", "throughput_rounds", "cold_starts", "throughput_texts"):
            if getattr(self, name) < 1:
                raise BenchError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.rate is not None and not 0 < self.rate < float("inf"):
            raise BenchError(f"rate must be above 0 texts a second, got {self.rate}")


def settings_for(task: Task) -> BenchSettings:
    """Return the default benchmark settings for a task."""
    return BenchSettings(texts_per_round=task.texts_per_round, throughput_texts=task.throughput_texts)


@dataclass(kw_only=True)
class Timings:
    """All measurements of one engine; lists have one entry per round."""

    engine: Engine
    latencies_ms: list[list[float]] = field(default_factory=list)
    first_ms: list[list[float]] = field(default_factory=list)  # to the first token; generators only
    tokens: list[list[int]] = field(default_factory=list)  # lengths of the answers; generators only
    served_ms: list[list[float]] = field(default_factory=list)  # of texts that arrive at random
    throughput_per_s: list[float] = field(default_factory=list)
    cold_start_ms: list[float] = field(default_factory=list)
    waiting_cpu: list[float] = field(default_factory=list)  # cores used during the other engines' turns
    peak_memory_mb: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)

    def percentiles_ms(self) -> dict[str, float]:
        """Return latency percentiles over all rounds, in milliseconds, under "p50", "p90", "p95", "p99", "p99.9"."""
        return _percentiles(self.latencies_ms)

    def served_percentiles_ms(self) -> dict[str, float]:
        """Return percentiles of the server scenario, as `percentiles_ms` does; {} if it was left out."""
        return _percentiles(self.served_ms) if self.served_ms else {}

    def percentile_intervals_ms(self) -> dict[str, tuple[float, float] | None]:
        """Return a 95% interval of each percentile, in milliseconds; None if there are too few latencies for one.

        The ends are order statistics, chosen by the binomial distribution of the number of latencies below the
        percentile (normal approximation: Conover 1999, Practical Nonparametric Statistics, section 3.2).
        """
        ordered = np.sort(np.concatenate([np.asarray(one) for one in self.latencies_ms]))
        found: dict[str, tuple[float, float] | None] = {}
        for percentile in PERCENTILES:
            share, count = percentile / 100, ordered.size
            half = _NORMAL_95 * (count * share * (1 - share)) ** 0.5
            low, high = int(np.floor(count * share - half)), int(np.ceil(count * share + half))
            inside = low >= 1 and high <= count
            found[f"p{percentile}"] = (float(ordered[low - 1]), float(ordered[high - 1])) if inside else None
        return found

    def generation(self) -> dict[str, float]:
        """Return a generator's `tokens_per_s`, and the medians `first_token_ms` and `per_token_ms` (later tokens).

        Returns {} for models that are not generators.
        """
        if not self.tokens:
            return {}
        pooled = (
            np.concatenate([np.asarray(one) for one in rows]) for rows in (self.latencies_ms, self.first_ms)
        )
        whole, first = pooled
        tokens = np.concatenate([np.asarray(one) for one in self.tokens])
        return {
            "first_token_ms": float(np.median(first)),
            "per_token_ms": float(np.median((whole - first) / np.maximum(tokens - 1, 1))),
            "tokens_per_s": float(1e3 * tokens.sum() / whole.sum()),
        }

    def round_p50_ms(self) -> list[float]:
        """Return the median latency of each round in milliseconds."""
        return [statistics.median(one) for one in self.latencies_ms]


def _percentiles(rounds: Sequence[Sequence[float]]) -> dict[str, float]:
    pooled = np.concatenate([np.asarray(one) for one in rounds])
    return {f"p{p}": float(np.percentile(pooled, p)) for p in PERCENTILES}


def measure(
    engines: Sequence[Engine], texts: Sequence[Text], settings: BenchSettings
) -> tuple[dict[str, Timings], Contention]:
    """Time every engine on the same texts; return the timings by engine name, and what disturbed them.

    Raises BenchError if an engine can't be started.
    """
    meter = Meter()
    timings = {engine.name: Timings(engine=engine) for engine in engines}
    for _ in range(settings.cold_starts):
        for engine in engines:
            with EngineProcess(engine, texts[0]) as process:
                timings[engine.name].cold_start_ms.append(process.cold_start_ms)
    with started(list(engines), texts[0]) as running:
        for number in range(settings.rounds):
            chunk = texts_of_round(texts, number, settings.texts_per_round)
            logger.info("latency, round %d of %d", number + 1, settings.rounds)
            for name in turns(running, timings, number, chunk, meter):
                found = running[name].latencies(chunk)
                timings[name].latencies_ms.append(found["latencies_ms"])
                if "tokens" in found:
                    timings[name].first_ms.append(found["first_ms"])
                    timings[name].tokens.append([int(count) for count in found["tokens"]])
            if settings.rate is not None:
                for name in turns(running, timings, number, chunk, meter):
                    timings[name].served_ms.append(running[name].served(chunk, settings.rate, number))
        together = texts_of_round(texts, 0, settings.throughput_texts)
        for number in range(settings.throughput_rounds):
            logger.info("throughput, round %d of %d", number + 1, settings.throughput_rounds)
            for name in turns(running, timings, number, together, meter):
                seconds = running[name].seconds(together)
                timings[name].throughput_per_s.append(len(together) / seconds)
        for name, process in running.items():
            description = process.describe()
            timings[name].peak_memory_mb = description["peak_memory_mb"]
            timings[name].versions = description["versions"]
    return timings, meter.total


def turns(
    running: dict[str, EngineProcess],
    timings: dict[str, Timings],
    number: int,
    texts: list[Text],
    meter: Meter,
) -> Iterator[str]:
    """Yield the engines' names in the order of round `number`, each after a pause and untimed calls of that engine.

    The caller times an engine between receiving the engine's name and asking for the next name. The number of processor
    cores that each waiting engine uses meanwhile is appended to the waiting engine's `Timings.waiting_cpu`, and `meter`
    adds up what other programs use.
    """
    names = list(running) if number % 2 == 0 else list(reversed(running))
    for name in names:
        time.sleep(SETTLE_S)
        running[name].latencies(texts[:WARM_UP_TEXTS])
        before = {engine: process.cpu_seconds() for engine, process in running.items()}
        meter.start(sum(before.values()))
        start = time.perf_counter()
        yield name
        elapsed = time.perf_counter() - start
        after = {engine: process.cpu_seconds() for engine, process in running.items()}
        meter.stop(sum(after.values()))
        for other in names:
            if other != name:
                timings[other].waiting_cpu.append((after[other] - before[other]) / elapsed)


def texts_of_round(texts: Sequence[Text], number: int, count: int) -> list[Text]:
    """Return `count` texts that are spread evenly over `texts`.

    In each round, `number`, the positions are one further than in the round before, so that rounds use other texts.
    """
    if len(texts) <= count:
        return list(texts)
    step = len(texts) / count
    return [texts[(int(i * step) + number) % len(texts)] for i in range(count)]
