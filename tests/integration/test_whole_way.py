"""From labelled data to a bundle that answers without PyTorch, with the data that ships with ftool."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.helpers.cli import ftool
from tests.helpers.files import files_in
from tests.helpers.report_folders import read_page

import ftool_runtime
from ftool.data.load import load_dataset
from ftool.data.rows.labels import LabelReader
from ftool.recipe.recipe import Recipe

BUNDLE_FILES = {
    "README.md",
    "config.json",
    "ftool.json",
    "golden.json",
    "onnx/model.onnx",
    "onnx/model.onnx_data",
    "tokenizer.json",
    "tokenizer_config.json",
}


def test_the_demo_passes_every_gate(demo: dict[str, Any]) -> None:
    assert demo["passed"]
    assert demo["export"]["gate"]["passed"]
    assert demo["parity"]["passed"]
    assert demo["export"]["attention"] == "fused"


def test_the_model_is_useful_and_not_perfect_by_construction(demo: dict[str, Any]) -> None:
    # A frozen encoder and a linear head; guessing the largest class would give 0.085.
    assert 0.70 < demo["train"]["metrics"]["accuracy"] < 0.97


def test_the_bundle_is_as_good_as_the_checkpoint(demo: dict[str, Any]) -> None:
    (evaluation,) = demo["evaluate"]
    trained, bundled = demo["train"]["metrics"], evaluation["metrics"]
    assert evaluation["on"] == "bundle"
    assert bundled["accuracy"] == pytest.approx(trained["accuracy"], abs=0.015)  # 3 of 213 texts
    assert demo["parity"]["batch_effect"] == 0


def test_the_bundle_is_timed_beside_torch_and_needs_less_memory_and_disk(demo: dict[str, Any]) -> None:
    ratio = demo["bench"]["ratios"]["torch-fp32"]
    assert ratio["latency_p50"] > 0  # how much above 1 depends on what else this machine does
    assert ratio["cold_start"] > 0
    assert ratio["peak_memory"] > 1.5
    assert ratio["size"] > 3


def test_exactly_the_promised_files_are_left(intents: Path, demo: dict[str, Any]) -> None:
    assert {path.name for path in intents.iterdir()} == {"recipe.toml", "run", "bundle", "reports"}
    assert files_in(intents / "bundle") == BUNDLE_FILES
    evaluations = {"evaluations/run-test.json", "evaluations/bundle-test.json"}
    pages = {"bench.html", "report.html"}
    assert {"parity.json", "bench.json", *pages, *evaluations} == files_in(intents / "reports")
    assert {"config.json", "model.safetensors", "tokenizer.json", "metrics.json"} <= files_in(intents / "run")
    assert not [name for name in files_in(intents / "run") if name.endswith((".bin", ".pt", ".pkl"))]


def test_the_demo_answers_three_texts(demo: dict[str, Any]) -> None:
    assert len(demo["predictions"]) == 3
    assert demo["predictions"][0]["label"] == "set_timer"


def test_the_bundle_answers_in_a_process_that_loads_neither_torch_nor_transformers(
    intents_bundle: Path,
) -> None:
    code = (
        "import sys, ftool_runtime as ft\n"
        "print(ft.load(sys.argv[1])('set a timer for ten minutes').label)\n"
        "print(sorted({'torch', 'transformers', 'onnx', 'ftool', 'ftool_export'} & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, intents_bundle], capture_output=True, text=True, check=True
    )
    assert run.stdout.split("\n")[:2] == ["set_timer", "[]"]


def test_the_bundle_verifies_itself(intents_bundle: Path) -> None:
    assert ftool_runtime.verify(intents_bundle).passed


def test_batches_change_no_answer_of_an_int8_bundle(intents: Path, intents_bundle: Path) -> None:
    texts = load_dataset(LabelReader, Recipe.read(intents / "recipe.toml").data).test.inputs[:48]
    with ftool_runtime.TextClassifier.load(intents_bundle, threads=2) as model:
        together = model.logits(texts)
        alone = np.concatenate([model.logits([text]) for text in texts])
    np.testing.assert_array_equal(together, alone)


def test_predict_reads_csv_and_writes_json_lines(intents: Path, demo: dict[str, Any], tmp_path: Path) -> None:
    source, output = tmp_path / "texts.csv", tmp_path / "answers.jsonl"
    source.write_text('text,id\n"open the browser, please",1\nmute,2\n', encoding="utf-8")
    result = ftool("predict", str(intents), "--input", str(source), "--output", str(output))
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert [(row["text"], row["label"]) for row in rows] == [
        ("open the browser, please", "open_app"),
        ("mute", "set_volume"),
    ]


def test_parity_says_no_to_a_bundle_of_other_weights(intents: Path, demo: dict[str, Any]) -> None:
    """The gate must be able to fail: a checkpoint whose head was changed after the export."""
    import shutil

    from safetensors.numpy import load_file, save_file

    other = intents.parent / "changed"
    shutil.copytree(intents, other)
    head = next(other.glob("run/*_Dense/model.safetensors"))
    weights = load_file(head)
    rolled = {name: np.roll(value, 1, axis=0) for name, value in weights.items()}  # every label's neighbour
    save_file(rolled, head)
    result = ftool("parity", other)
    assert result.exit_code == 1
    assert "run ftool export to update the bundle" in result.stdout
    report = json.loads((other / "reports" / "parity.json").read_text())
    assert not report["passed"]
    assert "agreement" in report["failed"]
    assert "same_weights" in report["failed"]


def test_the_demo_ends_with_a_report_for_people(demo: dict[str, Any], intents: Path) -> None:
    assert demo["report"] == str(intents / "reports" / "report.html")
    for page in (read_page(Path(demo["report"])), read_page(intents / "reports" / "bench.html")):
        assert "intents, int8" in page.text
        assert "PyTorch, fp32" in page.text
    report = read_page(Path(demo["report"]))
    assert f"{demo['evaluate'][0]['metrics']['accuracy']:.4f}" in report.text
    assert "Mistakes to read" in report.text
