"""The benchmark's report of timings, and errors of engines that can't start."""

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.report_folders import Texts

from ftool.bench.alternation import texts_of_round
from ftool.bench.contention import Contention
from ftool.bench.engines import Engine, EngineProcess
from ftool.bench.html_report import write_html
from ftool.bench.measure import BenchSettings, settings_for
from ftool.bench.report import BenchReport, sentences, table
from ftool.bench.timings import Timings
from ftool.cli import main
from ftool.errors import BenchError
from ftool.tasks.registry import find_task, task_names


def engine(name: str, folder: Path, kind: str = "bundle") -> Engine:
    file = folder / f"{name}.bin"
    file.write_bytes(b"0" * (2_000_000 if name == "quick" else 8_000_000))
    return Engine(name=name, kind=kind, folder=folder, files=(file,), threads=1, task="text-classification")


@pytest.fixture
def report(tmp_path: Path) -> BenchReport:
    """A quick engine 4, 5 and 6 times as fast in three rounds, on a machine whose speed changes sixfold."""
    timings = {
        "quick": Timings(
            engine=engine("quick", tmp_path),
            latencies_ms=[[1.0, 1.0, 1.0], [6.0, 6.0, 6.0], [3.0, 3.0, 9.0]],
            throughput_per_s=[300.0, 200.0, 100.0],
            cold_start_ms=[100.0, 200.0],
            waiting_cpu=[0.0, 0.01],
            peak_memory_mb=50.0,
        ),
        "<slow>": Timings(
            engine=engine("<slow>", tmp_path),
            latencies_ms=[[4.0, 4.0, 4.0], [30.0, 30.0, 30.0], [18.0, 18.0, 18.0]],
            throughput_per_s=[100.0, 100.0, 100.0],
            cold_start_ms=[1000.0, 4000.0],
            waiting_cpu=[0.0],
            peak_memory_mb=500.0,
        ),
    }
    return BenchReport(
        contention=Contention(elapsed=10.0, busy=10.0, own=9.9),
        subject="quick",
        timings=timings,
        machine={"cpu": "Some & Other", "cpu_features": ["avx2"]},
        settings=BenchSettings(rounds=3, texts_per_round=3),
        task="text-classification",
        split="test",
        examples=3,
    )


def test_ratios_are_medians_of_the_ratios_within_rounds(report: BenchReport) -> None:
    ratio = report.ratio("<slow>")
    assert ratio["latency_p50"] == 5.0  # the ratio of the pooled medians would be 18 / 3 = 6
    assert ratio["latency_p50_range"] == [4.0, 6.0]
    assert ratio["throughput"] == 2.0
    assert ratio["cold_start"] == 15.0  # the median of 10 and 20
    assert ratio["peak_memory"] == 10.0
    assert ratio["size"] == 4.0


def test_the_json_has_the_promised_keys(report: BenchReport) -> None:
    data = json.loads(json.dumps(report.to_json()))
    assert data["machine"]["cpu"] == "Some & Other"
    for one in data["engines"].values():
        assert set(one["latency_ms"]) == {"p50", "p90", "p95", "p99", "p99.9"}
        assert set(one["latency_interval_ms"]) == set(one["latency_ms"])
        assert {"throughput_per_s", "cold_start_ms", "peak_memory_mb"} <= set(one)
    assert {"latency_p50", "throughput"} <= set(data["ratios"]["<slow>"])
    assert "quick" not in data["ratios"]


def test_an_engine_that_was_busy_while_waiting_is_named(report: BenchReport) -> None:
    assert not any("disturbed" in sentence for sentence in sentences(report.to_json()))
    report.timings["<slow>"].waiting_cpu.append(0.4)
    assert any("<slow> used the processor" in sentence for sentence in sentences(report.to_json()))


def test_the_table_has_a_column_for_each_engine(report: BenchReport) -> None:
    rows = table(report.to_json())
    assert rows[0] == ["", "quick", "<slow>"]
    assert rows[1] == ["one text at a time, p50 (ms)", "3.0", "18.0"]
    assert all(len(row) == 3 for row in rows)


def test_the_html_report_is_self_contained_and_escapes_names(report: BenchReport, tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.html"
    write_html(report, path)
    text = path.read_text(encoding="utf-8")
    page = Texts(text)
    assert "<slow>" in page.text
    assert "<slow>" not in text
    assert "Some & Other" in page.text
    assert "5.00× (4.00× to 6.00×)" in page.text
    assert page.tags.count("figure") == 2  # the distribution and the rounds
    assert all(link.startswith("#") for link in page.links), "the page refers to something outside itself"


@given(st.integers(1, 400), st.integers(1, 100), st.integers(0, 20))
def test_a_round_takes_the_asked_number_of_texts_spread_over_the_split(
    size: int, count: int, number: int
) -> None:
    texts = [str(i) for i in range(size)]
    chosen = texts_of_round(texts, number, count)
    assert len(chosen) == min(size, count)
    assert len(set(chosen)) == len(chosen)
    assert set(chosen) <= set(texts)
    if count < size:
        assert chosen != texts_of_round(texts, number + 1, count)


@pytest.mark.parametrize("name", ["rounds", "texts_per_round", "throughput_rounds", "cold_starts"])
def test_settings_that_measure_nothing_are_refused(name: str) -> None:
    with pytest.raises(BenchError, match=f"{name} must be at least 1, got 0"):
        BenchSettings(**{name: 0})


def test_an_engine_that_cannot_start_is_reported_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"engine ghost ended with exit status 1: .*BundleError"):
        EngineProcess(
            Engine(
                name="ghost", kind="bundle", folder=tmp_path, files=(), threads=1, task="text-classification"
            ),
            "text",
        )


class EchoEngine(Engine):
    """An engine whose worker reports the length of its first text and the number of texts to time."""

    SCRIPT = """
import time
from ftool.bench.worker import Calls, serve

def load(spec):
    time.sleep(0.2)
    def one(text):
        time.sleep(0.3)
        assert len(text) in (1, 5_000_000), len(text)
    return Calls(one=one, many=len)

serve(load)
"""

    def command(self) -> list[str]:
        return [sys.executable, "-c", self.SCRIPT, self.spec()]


@pytest.mark.parametrize(
    "length", [1, 5_000_000]
)  # the second is too long for an argument or a pipe's buffer
def test_a_first_text_of_any_length_is_answered_within_the_cold_start(tmp_path: Path, length: int) -> None:
    engine = EchoEngine(
        name="echo", kind="bundle", folder=tmp_path, files=(), threads=1, task="text-classification"
    )
    with EngineProcess(engine, "\n" * length) as process:
        assert process.cold_start_ms >= 500  # 0.2 s for loading and 0.3 s for answering
        assert len(process.latencies(["x"])["latencies_ms"]) == 1


def test_an_engine_that_ends_before_reading_a_long_text_is_reported_with_the_reason(tmp_path: Path) -> None:
    ghost = Engine(
        name="ghost", kind="bundle", folder=tmp_path, files=(), threads=1, task="text-classification"
    )
    with pytest.raises(BenchError, match=r"engine ghost ended with exit status 1: .*BundleError"):
        EngineProcess(ghost, "x" * 5_000_000)


def test_help_states_how_many_texts_each_task_is_timed_on() -> None:
    said = " ".join(CliRunner().invoke(main, ["bench", "--help"]).output.split())
    usual = {task: settings_for(find_task(task)).texts_per_round for task in task_names()}
    assert usual == {task: 200 if task == "text-classification" else 20 for task in task_names()}
    assert "20 by default, 200 for classifiers" in said
