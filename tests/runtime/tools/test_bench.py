"""`bench` of the runtime: the contents of its report, and that the figures are measured."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

import ftool_runtime as ft
from ftool_runtime.session.memory_usage import peak_memory_mb
from ftool_runtime.tools import bench as timing


def test_the_report_has_the_documented_keys_and_plausible_values(shared_bundle: Path) -> None:
    report = ft.bench(shared_bundle, calls=30, cold_starts=1, threads=1)
    printed = json.loads(json.dumps(report.to_json()))
    assert {"latency_ms", "throughput_per_s", "cold_start_ms", "peak_memory_mb"} <= set(printed)
    latency = printed["latency_ms"]
    assert 0 < latency["p50"] <= latency["p90"] <= latency["p95"] <= latency["p99"]
    assert printed["cold_start_ms"] > latency["p50"]  # it starts an interpreter
    assert printed["calls"] == 30
    assert printed["texts"] == 3
    assert printed["info"]["threads"] == 1


def test_every_text_is_timed_even_if_they_outnumber_the_calls(model: ft.TextClassifier) -> None:
    assert len(timing.time_single_calls(model, ["play"] * 7, calls=3)) == 7
    assert len(timing.time_single_calls(model, ["play", "music"], calls=5)) == 5


def test_the_whole_call_is_timed(monkeypatch: pytest.MonkeyPatch, model: ft.TextClassifier) -> None:
    class Slow:
        def __call__(self, texts: str) -> None:
            time.sleep(0.01)

    latencies = timing.time_single_calls(Slow(), ["play"], calls=5)  # type: ignore[arg-type]
    assert min(latencies) >= 10


def test_percentiles_are_of_the_calls() -> None:
    latency = timing.Latency.of([float(i) for i in range(101)])
    assert (latency.p50, latency.p90, latency.p95, latency.p99) == (50, 90, 95, 99)


def test_a_fresh_process_that_fails_says_why(shared_bundle: Path, tmp_path: Path) -> None:
    info = {"device": "cpu", "threads": 1, "profile": "desktop"}
    with pytest.raises(ft.FtoolError, match=r"new process failed to answer: Error: .*not an ftool bundle"):
        timing.time_cold_start(tmp_path, "play", info)
    assert timing.time_cold_start(shared_bundle, "--play", info) > 0


@pytest.mark.parametrize("options", [{"calls": 0}, {"cold_starts": 0}, {"texts": []}])
def test_nothing_to_time_is_refused(shared_bundle: Path, options: dict[str, object]) -> None:
    with pytest.raises(ft.InputError):
        ft.bench(shared_bundle, **options)  # type: ignore[arg-type]


def test_peak_memory_is_that_of_this_process() -> None:
    before = peak_memory_mb()
    block = bytearray(200_000_000)
    block[::4096] = b"x" * len(block[::4096])
    after = peak_memory_mb()
    assert before is not None
    assert after is not None
    assert after >= 200
    assert after >= before


@pytest.mark.skipif(sys.platform != "linux", reason="how Linux accounts for started programs")
def test_peak_memory_leaves_out_what_the_starting_program_had() -> None:
    ballast = bytearray(200_000_000)
    ballast[::4096] = b"1" * len(ballast[::4096])  # touched, so resident
    code = "from ftool_runtime.session.memory_usage import peak_memory_mb; print(peak_memory_mb())"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 1 < float(run.stdout) < 150
