"""Intervals of percentiles, contention, texts that arrive at random, and comparison with an earlier report."""

import copy
import json
import multiprocessing
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.helpers.cli import ftool

from ftool.bench.contention import Contention, Meter, spread_of
from ftool.bench.engines import Engine
from ftool.bench.measure import BenchSettings
from ftool.bench.slowdown import read_report, slowdowns
from ftool.bench.timings import Timings
from ftool.bench.worker import served
from ftool.errors import BenchError


def timings(latencies: list[list[float]], tmp_path: Path) -> Timings:
    engine = Engine(
        name="one", kind="bundle", folder=tmp_path, files=(), threads=1, task="text-classification"
    )
    return Timings(engine=engine, latencies_ms=latencies)


def test_intervals_of_percentiles_hold_the_true_ones_95_times_in_100(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    true = float(np.quantile(rng.exponential(size=1_000_000), 0.9))
    held = 0
    for _ in range(400):
        low, high = timings([rng.exponential(size=200).tolist()], tmp_path).percentile_intervals_ms()[
            "p90"
        ] or (0, 0)
        held += low <= true <= high
    assert 0.91 <= held / 400 <= 0.99


def test_too_few_latencies_give_no_interval_of_a_rare_percentile(tmp_path: Path) -> None:
    found = timings([[float(number) for number in range(100)]], tmp_path).percentile_intervals_ms()
    assert found["p99"] is None
    assert found["p99.9"] is None
    low, high = found["p50"] or (0, 0)
    assert low < 49.5 < high


def _spin(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def test_the_processor_time_of_another_program_is_seen() -> None:
    meter = Meter()
    other = multiprocessing.get_context("spawn").Process(target=_spin, args=(3.0,))
    other.start()
    time.sleep(1.0)
    meter.start(0.0)
    time.sleep(1.0)
    meter.stop(0.0)
    other.join()
    assert meter.total.other_cores > 0.5
    assert any("other programs used" in phrase for phrase in meter.total.found(0.0))


def test_the_engines_own_time_is_no_contention() -> None:
    quiet = Contention(elapsed=10.0, busy=19.0, own=19.0)
    assert quiet.found(0.1) == []
    assert quiet.to_json(0.1)["disturbed"] == []
    busy = Contention(elapsed=10.0, busy=19.0, own=9.0, stolen=5.0)
    assert busy.other_cores == 1.0
    assert len(busy.found(0.5)) == 3


def test_the_spread_of_rounds_is_a_share_of_the_fastest() -> None:
    assert spread_of([2.0, 3.0, 2.5]) == 0.5
    assert spread_of([2.0]) == 0.0


class Clock:
    """A clock in the place of the module `time`, so that a busy machine changes no test: each reading takes 1 µs."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        self.now += 1e-6
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr("ftool.bench.worker.time", found)
    return found


def test_texts_that_arrive_while_another_is_answered_wait(clock: Clock) -> None:
    def answer(_: object) -> None:
        clock.sleep(0.02)

    took = served(answer, ["text"] * 40, rate=25.0, seed=1)  # half busy: waits are common
    assert len(took) == 40
    assert min(took) == pytest.approx(20, abs=0.1)
    assert max(took) > 30
    assert served(answer, ["text"] * 5, rate=1000.0, seed=1)[-1] > 80  # behind four others


def test_an_arrival_when_all_texts_are_answered_does_not_wait(clock: Clock) -> None:
    took = served(lambda _: clock.sleep(1e-4), ["text"] * 40, rate=1.0, seed=3)
    assert max(took) == pytest.approx(0.1, abs=0.01)


def test_a_rate_must_be_positive() -> None:
    with pytest.raises(BenchError, match="rate must be above 0 texts a second, got 0"):
        BenchSettings(rate=0)


REPORT: dict[str, Any] = {
    "subject": "ftool-int8",
    "machine": {"cpu": "one"},
    "engines": {
        "ftool-int8": {"latency_ms": {"p50": 1.0}, "throughput_per_s": 1000.0, "threads": 2},
        "torch-fp32": {"latency_ms": {"p50": 5.0}, "throughput_per_s": 300.0, "threads": 2},
    },
    "ratios": {"torch-fp32": {"latency_p50": 5.0, "throughput": 3.0}},
}


def changed(**figures: Any) -> dict[str, Any]:
    report = copy.deepcopy(REPORT)
    report.update(figures)
    return report


def test_a_slower_machine_is_no_slowdown_if_another_engine_was_timed_in_both() -> None:
    new = changed(machine={"cpu": "two"})
    new["engines"]["ftool-int8"] = {"latency_ms": {"p50": 9.0}, "throughput_per_s": 10.0, "threads": 1}
    assert [one.share for one in slowdowns(REPORT, new)] == [0.0, 0.0]
    new["ratios"] = {"torch-fp32": {"latency_p50": 4.0, "throughput": 3.0}}
    latency, throughput = slowdowns(REPORT, new)
    assert latency.share == 0.25
    assert throughput.share == 0.0
    assert "25.0% slower than before, each compared with torch-fp32" in latency.sentence(0.1)
    assert "more than the allowed 10.0%" in latency.sentence(0.1)
    assert "allowed" not in latency.sentence(0.3)


def test_times_are_compared_on_one_machine_only() -> None:
    alone, new = changed(ratios={}), changed(ratios={})
    new["engines"]["ftool-int8"] = {"latency_ms": {"p50": 1.1}, "throughput_per_s": 800.0, "threads": 2}
    assert [round(one.share, 3) for one in slowdowns(alone, new)] == [0.1, 0.25]
    with pytest.raises(BenchError, match=r"another processor \(one, now two\)"):
        slowdowns(alone, changed(ratios={}, machine={"cpu": "two"}))


@pytest.mark.parametrize("content", ["", "[]", "{}", json.dumps({**REPORT, "subject": "other"})])
def test_a_file_that_is_no_report_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "old.json"
    path.write_text(content)
    with pytest.raises(BenchError, match=r"old\.json"):
        read_report(path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--max-slowdown", "5%"), "--max-slowdown needs --compare"),
        (("--compare", "old.json", "--max-slowdown", "5"), "not a percentage; give one such as 5%"),
        (("--compare", "missing.json"), "missing.json can't be read (No such file or directory)"),
    ],
)
def test_a_comparison_that_can_not_be_made_is_refused_before_timing(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = ftool("bench", tmp_path, *arguments)
    assert result.exit_code == 2
    assert message in result.output
