"""Contention: how much processor time other programs and other virtual machines took while engines were timed."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import psutil

MOST_OTHER: Final = 0.1  # cores that other programs may use
MOST_STOLEN: Final = 0.01  # share of the time that the host may give to other virtual machines
MOST_SPREAD: Final = 0.25  # the slowest round's median latency above the fastest's, as a share

_IDLE: Final = ("idle", "iowait", "steal", "guest", "guest_nice")  # guests' time is part of user's too


@dataclass(slots=True)
class Contention:
    """Sums over all timed turns, in seconds.

    Attributes:
        elapsed: the duration of the turns.
        busy: the processor time of the whole machine, over all cores.
        own: the part of `busy` of the engines and of this process.
        stolen: the processor time that the host gave to other virtual machines while this one wanted to run.
    """

    elapsed: float = 0.0
    busy: float = 0.0
    own: float = 0.0
    stolen: float = 0.0

    @property
    def other_cores(self) -> float:
        """The mean number of cores that other programs used."""
        return max(0.0, self.busy - self.own) / self.elapsed if self.elapsed else 0.0

    @property
    def steal(self) -> float:
        """The share of all cores' time that the host took away."""
        return self.stolen / (self.elapsed * (psutil.cpu_count() or 1)) if self.elapsed else 0.0

    def found(self, spread: float) -> list[str]:
        """Return a phrase for each kind of contention above its limit; `spread` is the largest of the engines'."""
        phrases = []
        if self.other_cores > MOST_OTHER:
            phrases.append(f"other programs used {self.other_cores:.1f} cores")
        if self.steal > MOST_STOLEN:
            phrases.append(f"the host gave {self.steal:.0%} of the time to other virtual machines")
        if spread > MOST_SPREAD:
            phrases.append(f"the slowest round took {spread:.0%} longer than the fastest")
        return phrases

    def to_json(self, spread: float) -> dict[str, Any]:
        """Return the figures as plain JSON, with the phrases of `found` under "disturbed"."""
        return {
            "other_cores": round(self.other_cores, 3),
            "steal": round(self.steal, 4),
            "spread": round(spread, 3),
            "disturbed": self.found(spread),
        }


@dataclass(slots=True)
class Meter:
    """Adds the turns between `start` and `stop` to a `Contention`."""

    total: Contention = field(default_factory=Contention)
    _begun: float = 0.0
    _before: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def start(self, engines_seconds: float) -> None:
        """Begin a turn; `engines_seconds` is the processor time that all engines have used so far."""
        self._before = _now(engines_seconds)
        self._begun = time.perf_counter()

    def stop(self, engines_seconds: float) -> None:
        """End the turn."""
        self.total.elapsed += time.perf_counter() - self._begun
        busy, own, stolen = (
            after - before for after, before in zip(_now(engines_seconds), self._before, strict=True)
        )
        self.total.busy += busy
        self.total.own += own
        self.total.stolen += stolen


def spread_of(medians: Sequence[float]) -> float:
    """Return how much longer the slowest round's median is than the fastest's, as a share of the fastest's."""
    return max(medians) / min(medians) - 1 if medians and min(medians) > 0 else 0.0


def _now(engines_seconds: float) -> tuple[float, float, float]:
    """Return processor times so far, in seconds: of the machine, of engines and this process, and the stolen time."""
    machine, mine = psutil.cpu_times()._asdict(), psutil.Process().cpu_times()
    busy = sum(value for name, value in machine.items() if name not in _IDLE)
    return busy, engines_seconds + mine.user + mine.system, machine.get("steal", 0.0)
