"""Costs of scale: what is timed, and how a report shows it."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from ftool.bench.contention import Contention
from ftool.bench.engines import Engine
from ftool.bench.html_report import write_html
from ftool.bench.measure import BenchSettings, measure
from ftool.bench.report import BenchReport, sentences
from ftool.bench.scale import scale_tables
from ftool.bench.slowdown import slowdowns
from ftool.bench.timings import Timings
from ftool.errors import BenchError

LENGTHS = (10, 20, 40, 80)


def timings(tmp_path: Path, name: str, slower: float, lengths: tuple[int, ...] = LENGTHS) -> Timings:
    """An engine that takes 1 ms and 0.1 ms a token, 50 MB and 1 MB a token, in three rounds of 20 equal times."""
    file = tmp_path / "model.bin"
    file.write_bytes(b"0")
    rounds = (1.0, 2.0, 3.0)  # the machine becomes slower, for all engines alike
    return Timings(
        engine=Engine(
            name=name, kind="bundle", folder=tmp_path, files=(file,), threads=1, task="text-classification"
        ),
        latencies_ms=[[slower * speed] * 20 for speed in rounds],
        throughput_per_s=[100.0, 100.0, 100.0],
        cold_start_ms=[100.0],
        peak_memory_mb=50.0,
        length_ms={n: [[slower * speed * (1 + 0.1 * n)] * 20 for speed in rounds] for n in lengths},
        length_memory_mb={n: 50.0 + n for n in lengths},
        batch_ms={m: [slower * speed * (2.0 + m) for speed in rounds] for m in (1, 4, 16)},
        batch_memory_mb={m: 60.0 + m for m in (1, 4, 16)},
    )


def report_of(*engines: Timings, **settings: Any) -> BenchReport:
    return BenchReport(
        subject=engines[0].engine.name,
        timings={one.engine.name: one for one in engines},
        contention=Contention(),
        machine={"cpu": "one"},
        settings=BenchSettings(**settings),
        task="text-classification",
        split="test",
        examples=3,
    )


@pytest.fixture
def report(tmp_path: Path) -> BenchReport:
    return report_of(timings(tmp_path, "quick", 1.0), timings(tmp_path, "slow", 3.0))


def test_the_json_has_points_fits_and_ratios(report: BenchReport) -> None:
    data = json.loads(json.dumps(report.to_json()))
    quick, ratios = data["engines"]["quick"], data["ratios"]["slow"]
    assert quick["lengths"][1] == {
        "tokens": 20,
        "p50_ms": 6.0,
        "interval_ms": [6.0, 6.0],
        "peak_memory_mb": 70.0,
    }
    assert quick["batches"][1] == {
        "texts": 4,
        "texts_per_s": pytest.approx(1000 / 3),
        "call_ms": 12.0,
        "peak_memory_mb": 64.0,
    }
    assert ratios["lengths"][3] == {"tokens": 80, "ratio": pytest.approx(3), "ratio_range": [3.0, 3.0]}
    assert [one["texts"] for one in ratios["batches"]] == [1, 4, 16]
    costs = quick["costs"]
    assert costs["latency_by_length"]["form"] == "a + b*n + c*n^2"
    assert costs["latency_by_length"]["coefficients"] == pytest.approx({"a": 2, "b": 0.2, "c": 0}, abs=1e-9)
    assert costs["memory_by_length"]["coefficients"] == pytest.approx({"a": 50, "b": 1, "c": 0}, abs=1e-9)
    assert costs["call_by_batch"]["coefficients"] == pytest.approx({"a": 4, "b": 2})
    assert costs["call_by_batch"]["unit"] == "ms"
    assert costs["memory_by_batch"]["coefficients"] == pytest.approx({"a": 60, "b": 1})
    assert all(abs(one["error"]) < 1e-9 for fit in costs.values() for one in fit["left_out"])


def test_the_tables_have_a_row_for_each_size_and_each_point_left_out(report: BenchReport) -> None:
    lengths, batches, left_out = scale_tables(report.to_json())
    assert lengths[0] == [
        "tokens of a text, one at a time",
        "quick (p50, ms)",
        "quick (MB)",
        "slow (p50, ms)",
        "slow (MB)",
        "faster than slow",
    ]
    assert lengths[2] == ["20", "6.0 (6.0 to 6.0)", "70", "18.0 (18.0 to 18.0)", "70", "3.00x (3.00 to 3.00)"]
    assert batches[3] == ["16", "444.4", "76", "148.1", "76", "3.00x (3.00 to 3.00)"]
    assert len(left_out) == 1 + 2 * (4 + 4 + 3 + 3)
    assert left_out[1][:4] == ["quick: latency (ms)", "10", "4.0", "4.0"]
    assert (
        "quick: time of a call with n texts = 4 + 2*n ms; each point is predicted by the others to within 0.0%"
        in sentences(report.to_json())
    )


def test_too_few_sizes_are_named_and_nothing_is_fitted(tmp_path: Path) -> None:
    report = report_of(timings(tmp_path, "quick", 1.0, LENGTHS[:3])).to_json()
    assert report["engines"]["quick"]["costs"]["latency_by_length"]["coefficients"] is None
    assert (
        "latency: 3 lengths are too few to fit a + b*n + c*n^2 and to check it; time at least 4"
        in sentences(report)
    )
    assert not any("latency" in row[0] for row in scale_tables(report)[-1])


def test_the_page_shows_tables_fits_and_a_chart(report: BenchReport, tmp_path: Path) -> None:
    write_html(report, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<h3>Costs of scale</h3>" in page
    assert "predicted from the other sizes" in page
    assert "quick: latency with n tokens = 2 + 0.2*n + " in page
    assert page.count("<figure") == 3


def test_a_report_without_lengths_has_nothing_about_scale(tmp_path: Path) -> None:
    plain = timings(tmp_path, "quick", 1.0)
    plain.length_ms, plain.batch_ms = {}, {}
    report = report_of(plain)
    assert not {"lengths", "batches", "costs"} & set(report.to_json()["engines"]["quick"])
    assert scale_tables(report.to_json()) == []
    write_html(report, tmp_path / "report.html")
    assert "Costs of scale" not in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_report_with_lengths_is_compared_with_one_from_before_them(
    report: BenchReport, tmp_path: Path
) -> None:
    new, old = report.to_json(), report.to_json()
    for engine in old["engines"].values():
        for key in ("lengths", "batches", "costs"):
            del engine[key]
    for key in ("lengths", "batches"):
        del old["ratios"]["slow"][key], old["settings"][key]
    assert [one.share for one in slowdowns(old, new)] == [0, 0]


class CountingEngine(Engine):
    """An engine that writes, for each call, the number of texts and the first text's length into a file."""

    SCRIPT = """
import json, sys
from pathlib import Path
from ftool.bench.worker import Calls, serve

file = (Path(json.loads(sys.argv[1])["folder"]) / "calls").open("a")

def called(what, texts):
    print(what, len(texts), len(texts[0]), file=file, flush=True)

serve(lambda spec: Calls(
    one=lambda text: called("one", [text]) or 1,
    many=lambda texts: called("many", texts),
    first=(lambda text: called("first", [text])) if spec["task"] == "text-generation" else None,
))
"""

    def command(self) -> list[str]:
        return [sys.executable, "-c", self.SCRIPT, self.spec()]


@pytest.mark.parametrize(("task", "call"), [("text-classification", "one"), ("text-generation", "first")])
def test_lengths_and_batches_are_timed_in_calls_of_these_sizes(tmp_path: Path, task: str, call: str) -> None:
    engine = CountingEngine(name="it", kind="bundle", folder=tmp_path, files=(), threads=1, task=task)
    settings = BenchSettings(
        rounds=2, texts_per_round=2, throughput_rounds=1, cold_starts=1, lengths=(7, 9), batches=(3, 5)
    )
    exact = {7: ["x" * 7] * 6, 9: ["x" * 9] * 6}
    found, _ = measure([engine], ["a", "b", "c", "d"], settings, exact)
    one = found["it"]
    assert {length: [len(chunk) for chunk in rounds] for length, rounds in one.length_ms.items()} == {
        7: [6, 6],
        9: [6, 6],
    }
    assert set(one.length_memory_mb) == {7, 9}
    assert set(one.batch_memory_mb) == {3, 5}
    assert {size: len(rounds) for size, rounds in one.batch_ms.items()} == {3: 1, 5: 1}
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls.count(f"{call} 1 9") >= 2 * (6 + 3)  # with three to warm up
    assert calls.count("many 5 1") == 1 + 2 + 2  # to warm up; ten texts; for the memory
    assert calls.count("many 3 1") == 1 + 3 + 3  # nine of them
    assert not calls.count("many 1 1")


@pytest.mark.parametrize("sizes", [(0, 4), (4, 4), (8, 4)])
def test_sizes_must_be_ascending(sizes: tuple[int, ...]) -> None:
    with pytest.raises(BenchError, match="lengths must be at least 1 and ascending, got"):
        BenchSettings(lengths=sizes)
    with pytest.raises(BenchError, match="batches must be at least 1 and ascending, got"):
        BenchSettings(batches=sizes)
