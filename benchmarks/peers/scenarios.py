"""Time engines in alternating rounds: texts as they are, texts of exact lengths, and many texts in one call."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ftool.bench.alternation import Alternation, texts_of_round
from ftool.bench.contention import Contention, Meter, spread_of
from ftool.bench.engines import Engine, EngineProcess, started
from ftool.bench.timings import Timings
from ftool.bench.worker import Text

_FIRST = 200  # untimed texts before a scenario's first round
_WARM_UP = 3  # untimed texts before each turn


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Texts to time, one at a time or `together` in one call; in a round each engine answers `per_round` of them."""

    name: str
    texts: Sequence[Text]
    rounds: int
    per_round: int
    together: bool = False

    @property
    def unit(self) -> str:
        """The unit of the scenario's figures."""
        return "texts/s" if self.together else "ms"


@dataclass(kw_only=True)
class Measured:
    """All measurements: timings by scenario and engine, starts in milliseconds, and what disturbed the engines."""

    timings: dict[str, dict[str, Timings]]
    starts: dict[str, list[float]]
    described: dict[str, dict[str, Any]]
    contention: Contention


def measure(engines: Sequence[Engine], scenarios: Sequence[Scenario], cold_starts: int) -> Measured:
    """Time every engine in every scenario, each in its own process. Raises BenchError if an engine can't be started."""
    meter, first = Meter(), scenarios[0].texts[0]
    starts: dict[str, list[float]] = {engine.name: [] for engine in engines}
    for _ in range(cold_starts):
        for engine in engines:
            with EngineProcess(engine, first) as process:
                starts[engine.name].append(process.cold_start_ms)
    timings = {one.name: {engine.name: Timings(engine=engine) for engine in engines} for one in scenarios}
    with started(list(engines), first) as running:
        for scenario in scenarios:
            print(f"timing: {scenario.name}", flush=True)
            alternation = Alternation(running=running, timings=timings[scenario.name], meter=meter)
            for process in running.values():  # OpenVINO prepares itself for each new length of a text
                _answer(process, scenario, texts_of_round(scenario.texts, 0, _FIRST))
            for number in range(scenario.rounds):
                _round(alternation, scenario, number)
        described = {name: process.describe() for name, process in running.items()}
    return Measured(timings=timings, starts=starts, described=described, contention=meter.total)


def _round(alternation: Alternation, scenario: Scenario, number: int) -> None:
    texts = texts_of_round(scenario.texts, number, scenario.per_round)

    def warm_up(process: EngineProcess) -> None:
        _answer(process, scenario, texts_of_round(texts, 0, _WARM_UP))

    for process, found in alternation.turns(number, warm_up):
        if scenario.together:
            found.throughput_per_s.append(len(texts) / process.seconds(texts))
        else:
            found.latencies_ms.append(process.latencies(texts)["latencies_ms"])


def _answer(process: EngineProcess, scenario: Scenario, texts: list[Text]) -> None:
    if scenario.together:
        process.seconds(texts)
    else:
        process.latencies(texts)


def report(measured: Measured, scenarios: Sequence[Scenario], subject: str) -> dict[str, Any]:
    """Return the figures of every engine as JSON, with ratios to the engine `subject`: above 1, `subject` is better."""
    engines = {}
    spreads = [0.0]
    for name, described in measured.described.items():
        figures = {one.name: _figures(measured, one, name, subject) for one in scenarios}
        spreads += [one["spread"] for one in figures.values()]
        engine = measured.timings[scenarios[0].name][name].engine
        waiting = [value for one in scenarios for value in measured.timings[one.name][name].waiting_cpu]
        engines[name] = {
            "scenarios": figures,
            "cold_start_ms": statistics.median(measured.starts[name]),
            "peak_memory_mb": described["peak_memory_mb"],
            "size_mb": engine.size_mb,
            "threads": engine.threads,
            "waiting_cpu": max(waiting, default=0.0),
            "versions": described["versions"],
        }
    return {
        "subject": subject,
        "contention": measured.contention.to_json(max(spreads)),
        "scenarios": {
            one.name: {"unit": one.unit, "rounds": one.rounds, "texts": min(one.per_round, len(one.texts))}
            for one in scenarios
        },
        "engines": engines,
    }


def _figures(measured: Measured, scenario: Scenario, name: str, subject: str) -> dict[str, Any]:
    ours, theirs = (
        measured.timings[scenario.name][one].throughput_per_s
        if scenario.together
        else measured.timings[scenario.name][one].round_p50_ms()
        for one in (subject, name)
    )
    ratios = [a / b if scenario.together else b / a for a, b in zip(ours, theirs, strict=True)]
    found = {
        "value": statistics.median(theirs),
        "rounds": theirs,
        "spread": spread_of(theirs),
        "ratio": statistics.median(ratios),
        "ratio_range": [min(ratios), max(ratios)],
    }
    if not scenario.together:
        pooled = np.concatenate(
            [np.asarray(one) for one in measured.timings[scenario.name][name].latencies_ms]
        )
        found["p95"] = float(np.percentile(pooled, 95))
    return found
