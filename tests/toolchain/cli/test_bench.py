"""`ftool bench`: options, what is written, and the checkpoint that torch runs."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.cli import ftool, told
from tests.helpers.tiny_models import TinyModels

from ftool.bench.engines import Engine
from ftool.errors import BenchError
from ftool_runtime.bundle.manifest import Manifest

BRIEF = ("--against", "none", "--rounds", 1, "--texts", 2)


@pytest.fixture
def model(exported: TinyModels, tmp_path: Path) -> Path:
    """A copy of a classifier's model folder with a bundle."""
    return Path(shutil.copytree(exported["text-classification"], tmp_path / "model"))


def test_lengths_and_batches_are_in_every_form_of_the_report(model: Path) -> None:
    sizes = ("--lengths", "32,4,8,16", "--batch", "1,2,4")
    printed = ftool("bench", model, *BRIEF, *sizes)
    assert printed.exit_code == 0, printed.output
    written = json.loads((model / "reports" / "bench.json").read_text())
    [engine] = written["engines"].values()
    assert [point["tokens"] for point in engine["lengths"]] == [4, 8, 16, 32]
    assert all(point["p50_ms"] > 0 and point["peak_memory_mb"] > 10 for point in engine["lengths"])
    assert [point["texts"] for point in engine["batches"]] == [1, 2, 4]
    assert all(point["peak_memory_mb"] > 10 for point in engine["batches"])
    assert set(engine["costs"]) == {
        "latency_by_length", "memory_by_length", "call_by_batch", "memory_by_batch"
    }  # fmt: skip
    page = (model / "reports" / "bench.html").read_text(encoding="utf-8")
    for text in (printed.output, page):
        assert "tokens of a text, one at a time" in text
        assert "texts in a call" in text
        assert "latency with n tokens = " in text


def test_the_comparison_is_in_every_form_of_the_report(model: Path, tmp_path: Path) -> None:
    before = told("bench", model, *BRIEF)
    [engine] = before["engines"].values()
    engine["latency_ms"]["p50"] /= 1e6
    engine["throughput_per_s"] /= 1e6
    old = tmp_path / "old.json"
    old.write_text(json.dumps(before))
    result = ftool("bench", model, *BRIEF, "--compare", old)
    assert result.exit_code == 1
    written = json.loads((model / "reports" / "bench.json").read_text())
    assert [(one["figure"], one["passed"]) for one in written["compared"]] == [
        ("latency_p50", False),
        ("throughput", True),
    ]
    page = (model / "reports" / "bench.html").read_text(encoding="utf-8")
    for text in (result.stdout, page):
        assert all(one["sentence"] in text for one in written["compared"])


def test_times_are_written_even_if_they_can_not_be_compared(model: Path, tmp_path: Path) -> None:
    before = told("bench", model, *BRIEF)
    before["machine"]["cpu"] = "another"
    old = tmp_path / "old.json"
    old.write_text(json.dumps(before))
    shutil.rmtree(model / "reports")
    result = ftool("bench", model, *BRIEF, "--compare", old)
    assert result.exit_code == 2
    assert "another processor" in result.output
    assert json.loads((model / "reports" / "bench.json").read_text())["engines"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--lengths", "16,x"), "'x' is not a whole number from 1 to 65,536; give some such as 16,64"),
        (("--batch", "9" * 5_000), "is not a whole number from 1 to 65,536"),
        (("--min-speedup", "nan"), "nan is not a finite number"),
        (("--min-speedup", "2", "--against", "none"), "--min-speedup needs an engine to compare"),
        (("--rate", "nan"), "nan is not a finite number"),
        (("--lengths", ""), "'' is not a whole number from 1"),
        (("--batch", "0"), "'0' is not a whole number from 1"),
        (("--lengths", "8,33,64"), "at most 32 tokens, so that texts of 33, 64 tokens can't be timed"),
    ],
)
def test_wrong_sizes_are_refused_before_timing(
    exported: TinyModels, arguments: Sequence[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ftool.bench.run.measure", None)
    result = ftool("bench", exported["text-classification"], *BRIEF, *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())


def test_a_length_over_the_limit_of_a_compared_bundle_is_refused(model: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(model / "bundle", tmp_path / "other"))
    manifest = Manifest.read(other)
    replace(manifest, input=replace(manifest.input, max_length=16)).write(other)
    result = ftool("bench", model, "--against", other, "--lengths", "8,20")
    assert result.exit_code == 2
    assert f"{other}: the model reads at most 16 tokens, so that texts of 20 tokens" in result.output


def test_torch_runs_the_checkpoint_that_the_bundle_was_made_from(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    smaller = model / "ladder" / "models" / "small" / "run"
    shutil.copytree(model / "run", smaller)
    manifest = Manifest.read(model / "bundle")
    replace(manifest, evidence={**manifest.evidence, "ladder": {"source": "small"}}).write(model / "bundle")

    def stop(engines: Sequence[Engine], *_: Any, **__: Any) -> None:
        raise BenchError("torch runs " + str([one.folder for one in engines if one.kind == "torch"]))

    monkeypatch.setattr("ftool.bench.bench_bundle.bench", stop)
    assert f"torch runs {[smaller]}" in ftool("bench", model).output
    shutil.rmtree(smaller)
    missing = ftool("bench", model).output
    assert "was made from another model, small" in missing
    assert "--checkpoint" in missing
