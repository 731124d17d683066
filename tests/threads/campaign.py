"""`run`: many threads call four models that are loaded and closed meanwhile; answers must be those of one thread."""

import ctypes
import json
import statistics
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

import psutil

import ftool_runtime as ft
from tests.helpers.tiny_generators import WORDS
from tests.threads.bundles import LENGTH, LETTERS, NAMES

THREADS: Final = 24
CALLS_OF_A_MODEL: Final = 250  # different calls, whose answers one thread gives before
AT_ONCE: Final = 1_000  # calls between two measurements of memory
LOADS: Final = 0.01  # models loaded, in place of one that is closed, for each call
MOST_TEXTS: Final = 6  # of a call
MOST_TOKENS: Final = 40  # that the generator writes

Call = Callable[[Any], str]


@dataclass(kw_only=True)
class Tally:
    """What happened.

    Attributes:
        threads: the number of threads.
        calls: the number of calls of each model.
        loads: how often a model was loaded in place of one that was closed.
        closed: calls that met a model that another thread had just closed, and were made again.
        wrong: calls whose answer was another than that of one thread.
        memory_mib: the resident memory of the process, after each 1,000 calls, while no thread called.
        allocated_mib: what malloc has given out and not got back, at the same times; empty without glibc.
        seconds: how long all calls took.
    """

    threads: int
    calls: dict[str, int] = field(default_factory=lambda: dict.fromkeys(NAMES, 0))
    loads: int = 0
    closed: int = 0
    wrong: list[str] = field(default_factory=list)
    memory_mib: list[float] = field(default_factory=list)
    allocated_mib: list[float] = field(default_factory=list)
    seconds: float = 0

    @property
    def growth(self) -> float:
        """By what share the memory grew after the first measurement, by the median of the last ten."""
        return statistics.median(self.memory_mib[-10:]) / self.memory_mib[0] - 1

    def to_json(self) -> dict[str, Any]:
        """Return the tally as JSON values."""
        return {**asdict(self), "growth": self.growth}


class _Slot:
    """A bundle, with the model that is loaded at present."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self.model: Any = ft.load(folder, threads=1)

    def load_again(self) -> None:
        """Load the bundle again, and close the model that other threads may be calling."""
        with self._lock:
            before, self.model = self.model, ft.load(self._folder, threads=1)
            before.close()


def run(folder: Path, *, calls: int, threads: int = THREADS, loads: float = LOADS, seed: int = 0) -> Tally:
    """Make `calls` calls of the bundles in `folder`, from `threads` threads.

    A call has 1 to 6 texts of random lengths, from a word to more than the model reads. After a share `loads` of the
    calls, the thread loads a model again and closes the one that it replaces, which others may be calling.
    """
    random = Random(seed)
    made = {name: [_call(name, random) for _ in range(CALLS_OF_A_MODEL)] for name in NAMES}
    expected = {name: _answers(folder / name, made[name]) for name in NAMES}
    slots = {name: _Slot(folder / name) for name in NAMES}
    tally = Tally(threads=threads)
    started = time.perf_counter()
    workers = [_Worker(slots, made, expected, loads, Random(seed + 1 + number)) for number in range(threads)]
    turns = threading.Barrier(threads + 1)
    rounds = -(-calls // AT_ONCE)
    for number, worker in enumerate(workers):
        share = AT_ONCE // threads + (number < AT_ONCE % threads)
        threading.Thread(target=worker.work, args=(turns, rounds, share), daemon=True).start()
    for _ in range(rounds):
        turns.wait()  # all begin
        turns.wait()  # all have ended
        tally.memory_mib.append(psutil.Process().memory_info().rss / 2**20)
        tally.allocated_mib += _allocated_mib()
    tally.seconds = time.perf_counter() - started
    for worker in workers:
        worker.add_to(tally)
    for slot in slots.values():
        slot.model.close()
    return tally


class _Worker:
    """What one thread does and counts."""

    def __init__(
        self,
        slots: Mapping[str, _Slot],
        made: Mapping[str, Sequence[Call]],
        expected: Mapping[str, Sequence[str]],
        loads: float,
        random: Random,
    ) -> None:
        self._slots, self._made, self._expected, self._random = slots, made, expected, random
        self._share_of_loads = loads
        self._calls = dict.fromkeys(slots, 0)
        self._loads = self._closed = 0
        self._wrong: list[str] = []

    def work(self, turns: threading.Barrier, rounds: int, share: int) -> None:
        """Make `share` calls in each of `rounds` rounds, which begin and end for all threads together."""
        for _ in range(rounds):
            turns.wait()
            for _ in range(share):
                try:
                    self._call()
                except Exception as error:  # noqa: BLE001 - whatever a call raises is wrong
                    self._wrong.append(f"{type(error).__name__}: {error}")
            turns.wait()

    def add_to(self, tally: Tally) -> None:
        """Add this thread's counts to those of all."""
        for name, count in self._calls.items():
            tally.calls[name] += count
        tally.loads += self._loads
        tally.closed += self._closed
        tally.wrong += self._wrong

    def _call(self) -> None:
        name = self._random.choice(NAMES)
        place = self._random.randrange(CALLS_OF_A_MODEL)
        while True:
            try:
                answer = self._made[name][place](self._slots[name].model)
                break
            except ft.ClosedError:
                self._closed += 1
        self._calls[name] += 1
        if answer != self._expected[name][place]:
            self._wrong.append(
                f"{name}, call {place}: {answer[:200]} instead of {self._expected[name][place][:200]}"
            )
        if self._random.random() < self._share_of_loads:
            self._slots[self._random.choice(NAMES)].load_again()
            self._loads += 1


# The fields of glibc's struct mallinfo2.
_FIELDS: Final = (
    "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
)  # fmt: skip


class _Mallinfo(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_size_t) for name in _FIELDS)


def _allocated_mib() -> list[float]:
    """Return what all arenas of glibc's malloc have given out, with blocks outside arenas; empty elsewhere."""
    mallinfo = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if mallinfo is None:
        return []
    mallinfo.restype = _Mallinfo
    found = mallinfo()
    return [(found.uordblks + found.hblkhd) / 2**20]


def _answers(folder: Path, made: Sequence[Call]) -> list[str]:
    with ft.load(folder, threads=1) as model:
        return [call(model) for call in made]


def _call(name: str, random: Random) -> Call:
    """Return a call with texts of random lengths, which gives its answers as a text."""
    if name == "generator":
        texts = [_words(WORDS, random.randint(1, 40), random) for _ in range(random.randint(1, 3))]
        count = random.randint(1, MOST_TOKENS)
        return lambda model: _told(model(texts, max_new_tokens=count))
    texts = [
        _words(LETTERS, random.randint(1, LENGTH + 20), random) for _ in range(random.randint(1, MOST_TEXTS))
    ]
    if name == "embedder":
        return lambda model: str(model(texts).tobytes().hex())
    return lambda model: _told(model(texts))


def _words(letters: Sequence[str], count: int, random: Random) -> str:
    return " ".join(random.choices(letters, k=count))


def _told(answers: Sequence[Any]) -> str:
    return json.dumps([answer.to_json() for answer in answers])
