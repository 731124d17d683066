"""Time engines in alternating rounds, each engine in its own process.

Two engines in one process disturb each other, because their thread pools spin on the same cores: in our tests, engines
were up to three times slower. Within a round the engines take turns on the same texts, in reversed order every second
round, so that changes in the machine's speed affect all engines equally. A ratio is computed for each round, and the
result is the median over the rounds. The processor time of waiting engines is measured, to show that they were idle.
"""

import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ftool.bench.alternation import Alternation, texts_of_round
from ftool.bench.contention import Contention
from ftool.bench.engines import Engine, EngineProcess, started
from ftool.bench.timings import Timings
from ftool.bench.worker import Text
from ftool.errors import BenchError
from ftool.tasks.base import Task

logger = logging.getLogger(__name__)

_WARM_UP_TEXTS = 3  # untimed calls at the start of a turn
_CALLS = 2  # fewest calls of each size in a turn

_POSITIVE = (
    "rounds", "texts_per_round", "throughput_rounds", "cold_starts", "throughput_texts", "texts_per_length"
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class BenchSettings:
    """Settings of a benchmark: how often each engine is timed, and on how many texts."""

    rounds: int = 5  # latency turns of each engine
    texts_per_round: int = 200  # texts in a latency turn; each round takes different ones
    throughput_rounds: int = 3  # throughput turns of each engine
    cold_starts: int = 3  # process starts of each engine
    throughput_texts: int = 10_000  # largest number of texts in one call, spread over the split
    rate: float | None = None  # texts that arrive a second in the server scenario; None leaves it out
    lengths: tuple[int, ...] = ()  # numbers of tokens to time texts of, ascending
    texts_per_length: int = 20  # texts of each length in a round
    batches: tuple[int, ...] = ()  # numbers of texts in a call to time, ascending

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            if getattr(self, name) < 1:
                raise BenchError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.rate is not None and not 0 < self.rate < float("inf"):
            raise BenchError(f"rate must be above 0 texts a second, got {self.rate}")
        for name in ("lengths", "batches"):
            sizes = getattr(self, name)
            if not all(low < high for low, high in pairwise((0, *sizes))):
                raise BenchError(f"{name} must be at least 1 and ascending, got {', '.join(map(str, sizes))}")


def settings_for(task: Task) -> BenchSettings:
    """Return the default benchmark settings for a task."""
    return BenchSettings(texts_per_round=task.texts_per_round, throughput_texts=task.throughput_texts)


def measure(
    engines: Sequence[Engine],
    texts: Sequence[Text],
    settings: BenchSettings,
    exact: Mapping[int, list[Text]] | None = None,
) -> tuple[dict[str, Timings], Contention]:
    """Time every engine on the same texts; return the timings by engine name, and what disturbed them.

    `exact` has, for each of `settings.lengths`, texts of this number of tokens.

    Raises BenchError if an engine can't be started.
    """
    exact = exact or {}
    timings = {engine.name: Timings(engine=engine) for engine in engines}
    for _ in range(settings.cold_starts):
        for engine in engines:
            with EngineProcess(engine, texts[0]) as process:
                timings[engine.name].cold_start_ms.append(process.cold_start_ms)
    with started(list(engines), texts[0]) as running:
        alternation = Alternation(running=running, timings=timings)
        for number in range(settings.rounds):
            logger.info("latency, round %d of %d", number + 1, settings.rounds)
            _time_one_by_one(alternation, number, texts, settings)
            for length, chunk in exact.items():
                _time_length(alternation, number, length, chunk)
        for number in range(settings.throughput_rounds):
            logger.info("throughput, round %d of %d", number + 1, settings.throughput_rounds)
            _time_together(alternation, number, texts, settings)
        for name, process in running.items():
            description = process.describe()
            timings[name].peak_memory_mb = description["peak_memory_mb"]
            timings[name].versions = description["versions"]
    _measure_memory(timings, texts, settings, exact)
    return timings, alternation.meter.total


def _time_one_by_one(
    alternation: Alternation, number: int, texts: Sequence[Text], settings: BenchSettings
) -> None:
    chunk = texts_of_round(texts, number, settings.texts_per_round)
    for process, found in alternation.turns(number, _few(chunk)):
        reply = process.latencies(chunk)
        found.latencies_ms.append(reply["latencies_ms"])
        if "tokens" in reply:
            found.first_ms.append(reply["first_ms"])
            found.tokens.append([int(count) for count in reply["tokens"]])
    if settings.rate is not None:
        for process, found in alternation.turns(number, _few(chunk)):
            found.served_ms.append(process.served(chunk, settings.rate, number))


def _time_length(alternation: Alternation, number: int, length: int, chunk: list[Text]) -> None:
    for process, found in alternation.turns(number, lambda one: one.first_latencies(chunk[:_WARM_UP_TEXTS])):
        found.length_ms.setdefault(length, []).append(process.first_latencies(chunk))


def _time_together(
    alternation: Alternation, number: int, texts: Sequence[Text], settings: BenchSettings
) -> None:
    together = texts_of_round(texts, 0, settings.throughput_texts)
    for process, found in alternation.turns(number, _few(together)):
        found.throughput_per_s.append(len(together) / process.seconds(together))
    if settings.batches:  # all sizes answer the same texts, as far as whole calls allow
        chosen = _texts_of_calls(texts, number, settings)
        for size in settings.batches:
            _time_batch(alternation, number, size, chosen[: len(chosen) // size * size])


def _time_batch(alternation: Alternation, number: int, size: int, texts: list[Text]) -> None:
    for process, found in alternation.turns(number, lambda one: one.seconds(texts[:size])):
        found.batch_ms.setdefault(size, []).append(1e3 * process.seconds(texts, size) * size / len(texts))


def _few(texts: list[Text]) -> Callable[[EngineProcess], object]:
    """Return a warm-up: answers to the first texts, one at a time."""
    return lambda process: process.latencies(texts[:_WARM_UP_TEXTS])


def _texts_of_calls(texts: Sequence[Text], number: int, settings: BenchSettings) -> list[Text]:
    """Return the texts that calls of all sizes answer in a round; if there are too few, some come again."""
    count = max(_CALLS * settings.batches[-1], settings.texts_per_round)
    return list(itertools.islice(itertools.cycle(texts_of_round(texts, number, count)), count))


def _measure_memory(
    timings: Mapping[str, Timings],
    texts: Sequence[Text],
    settings: BenchSettings,
    exact: Mapping[int, list[Text]],
) -> None:
    """Measure the peak memory at each size in a process of its own, because a process's peak never falls."""
    for found in timings.values():
        for length, chunk in exact.items():
            logger.info("peak memory at %d tokens", length)
            with EngineProcess(found.engine, chunk[0]) as process:
                process.first_latencies(chunk[:_WARM_UP_TEXTS])
                found.length_memory_mb[length] = process.describe()["peak_memory_mb"]
        for size in settings.batches:
            logger.info("peak memory with %d texts in a call", size)
            with EngineProcess(found.engine, texts[0]) as process:
                chosen = _texts_of_calls(texts, 0, settings)
                process.seconds(chosen[: len(chosen) // size * size], size)
                found.batch_memory_mb[size] = process.describe()["peak_memory_mb"]
