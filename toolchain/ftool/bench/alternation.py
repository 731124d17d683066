"""Let engines take turns on the same texts, each alone and in reversed order every second round."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from ftool.bench.contention import Meter
from ftool.bench.engines import EngineProcess
from ftool.bench.timings import Timings

SETTLE_S = 0.25  # pause before a turn, so that the previous engine's threads stop spinning

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Alternation:
    """Engines that run at the same time, of which one at a time is timed.

    Attributes:
        running: the engines' processes by name.
        timings: the measurements by the engine's name.
        meter: adds up what other programs use of the processor during turns.
    """

    running: Mapping[str, EngineProcess]
    timings: Mapping[str, Timings]
    meter: Meter = field(default_factory=Meter)

    def turns(
        self, number: int, warm_up: Callable[[EngineProcess], object]
    ) -> Iterator[tuple[EngineProcess, Timings]]:
        """Yield the engines in the order of round `number`, each after a pause and `warm_up`, which is not timed.

        The caller times an engine between receiving the engine and asking for the next one. The number of processor
        cores that each waiting engine uses meanwhile is appended to the waiting engine's `Timings.waiting_cpu`.
        """
        names = list(self.running) if number % 2 == 0 else list(reversed(list(self.running)))
        for name in names:
            time.sleep(SETTLE_S)
            warm_up(self.running[name])
            before = self._cpu_seconds()
            self.meter.start(sum(before.values()))
            start = time.perf_counter()
            yield self.running[name], self.timings[name]
            elapsed = time.perf_counter() - start
            after = self._cpu_seconds()
            self.meter.stop(sum(after.values()))
            for other in names:
                if other != name:
                    self.timings[other].waiting_cpu.append((after[other] - before[other]) / elapsed)

    def _cpu_seconds(self) -> dict[str, float]:
        return {name: process.cpu_seconds() for name, process in self.running.items()}


def texts_of_round(texts: Sequence[T], number: int, count: int) -> list[T]:
    """Return `count` texts that are spread evenly over `texts`.

    In each round, `number`, the positions are one further than in the round before, so that rounds use other texts.
    """
    if len(texts) <= count:
        return list(texts)
    step = len(texts) / count
    return [texts[(int(i * step) + number) % len(texts)] for i in range(count)]
