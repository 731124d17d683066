"""Every command is run on a text generator, trained for a short time on the shipped data set of dates."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.cli import ftool, succeeds, told

from ftool_runtime import Manifest

SETTINGS = {
    "data.path": "builtin:dates:1000",
    "train.epochs": 3,
    "train.vocabulary_size": 400,
    "train.threads": 1,
}
SMALL = [part for name, value in SETTINGS.items() for part in ("--set", f"{name}={value}")]


@pytest.fixture(scope="module")
def dates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "dates"
    succeeds("new", folder, "--from", "dates", *SMALL)
    return folder


@pytest.fixture(scope="module")
def demo(dates: Path) -> dict[str, Any]:
    return told("demo", dates)


def test_every_step_passes_its_gate(demo: dict[str, Any]) -> None:
    assert demo["passed"]
    assert demo["export"]["precision"] == "w8"  # the default of what writes text
    assert demo["export"]["attention"] == "fused"
    assert demo["parity"]["greedy"]["answers"] == 50  # the test split
    assert demo["parity"]["changed_by_company"] == 0


def test_run_and_bundle_are_measured_alike_on_test_and_on_forms_never_seen(demo: dict[str, Any]) -> None:
    splits = [evaluation["split"] for evaluation in demo["evaluate"]]
    assert splits == ["test", "unseen_forms"]
    for name in ("exact_match", "token_accuracy", "bleu", "chrf"):
        assert demo["evaluate"][0]["metrics"][name] == pytest.approx(demo["train"]["metrics"][name], abs=0.05)


def test_the_benchmark_times_tokens(demo: dict[str, Any]) -> None:
    for engine in demo["bench"]["engines"].values():
        assert 0 < engine["first_token_ms"] <= engine["latency_ms"]["p99"]
        assert engine["per_token_ms"] > 0
        assert engine["tokens_per_s"] > 0


def test_an_fp32_bundle_gives_every_token_of_the_run(
    dates: Path, demo: dict[str, Any], tmp_path: Path
) -> None:
    settings = ("--checkpoint", dates / "run", "--task", "translation", "--precision", "fp32")
    exported = told("export", *settings, "-o", tmp_path / "exact")
    assert exported["largest_logit_difference"] < 1e-3
    (dates / "bundle").rename(tmp_path / "w8")
    (tmp_path / "exact").rename(dates / "bundle")
    try:
        parity = ftool("parity", dates, "--json")
    finally:
        (dates / "bundle").rename(tmp_path / "exact")
        (tmp_path / "w8").rename(dates / "bundle")
    report = json.loads(parity.stdout)
    assert parity.exit_code == 0, report
    for search in ("greedy", "beams"):
        assert report[search]["same"] + report[search]["ties"] == report[search]["answers"] == 50


def test_predict_streams_what_it_answers(dates: Path, demo: dict[str, Any]) -> None:
    text = "the 3rd of March, 2021"
    answer = json.loads(ftool("predict", dates, text).stdout)
    assert answer == demo["predictions"][0]
    assert ftool("predict", dates, "--stream", text).stdout == answer["answer"] + "\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--num-beams", "4", "--stream", "x"), "num_beams"),
        (("--max-new-tokens", "0", "x"), "max_new_tokens"),
        (("--threshold", "0.5", "x"), "--threshold"),
        (("--target-language", "fr", "x"), "target_language"),
        (("--device", "cuda", "x"), "CPU"),
        ((" ",), "empty"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(
    dates: Path, demo: dict[str, Any], arguments: tuple[str, ...], said: str
) -> None:
    result = ftool("predict", dates, *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")
    assert said in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_translator_holds_no_chat(dates: Path, demo: dict[str, Any]) -> None:
    result = ftool("chat", dates)
    assert result.exit_code == 2
    assert "predict" in result.stderr


def test_the_device_verifies_the_bundle_without_torch(dates: Path, demo: dict[str, Any]) -> None:
    code = (
        "import sys; from ftool_runtime.tools.cli import main; status = main(sys.argv[1:]); "
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules; sys.exit(status)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, "verify", str(dates / "bundle")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "golden inputs" in run.stdout


def test_the_manifest_names_what_it_was_trained_on(dates: Path, demo: dict[str, Any]) -> None:
    manifest = Manifest.read(dates / "bundle")
    assert manifest.base == "scratch:t5-tiny"
    assert manifest.training_data.examples == 1000
    assert manifest.training_data.sha256 == demo["train"]["data"]["sha256"]
