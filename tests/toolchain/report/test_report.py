"""`ftool report`: what is on the page, what is said of parts that are missing, and hostile texts."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests.helpers.cli import ftool, succeeds, told
from tests.helpers.report_folders import HOSTILE, Texts, add_wrong_answers, read_page
from tests.helpers.tiny_models import TinyModels

from ftool.errors import ModelFolderError
from ftool.report.figures import percent
from ftool.report.folder_facts import FolderFacts
from ftool.report.sections.findings import notices
from ftool.report.write import write_report
from ftool.workspace import ModelFolder


def report(folder: Path, *flags: object) -> Texts:
    """The page that `ftool report` writes."""
    return read_page(Path(told("report", folder, *flags)["report"]))


def test_the_page_shows_everything_that_was_measured(model: Path) -> None:
    page = report(model)
    evaluation = json.loads((model / "reports" / "evaluations" / "bundle-test.json").read_text())
    assert f"{evaluation['metrics']['accuracy']:.4f}" in page.text
    for text in (
        "a linear model on TF-IDF",  # the baselines
        "Confusion matrix",  # three labels fit into one
        "weather",
        "Expected calibration error",
        "By label",  # a slice
        "Widest gap",
        "Passed.",  # parity
        "made from the weights in run/",
        "10.0×",  # faster than PyTorch, which is named for people
        "PyTorch, fp32",
        "Latency, one input at a time",
        "int8-4bit-embeddings (chosen)",
        "two texts are few",  # a note of the ladder
        "onnxruntime",
    ):
        assert text in page.text, text
    for name in ("torch-fp32", "ftool-int8", "f1_macro"):
        assert name not in page.text, "an internal name"


def test_the_page_is_one_file_without_scripts(model: Path) -> None:
    page = report(model)
    assert page.links
    assert all(link.startswith("#") for link in page.links)
    assert not {"script", "img", "link", "iframe", "object"} & set(page.tags)


def test_texts_of_the_data_can_not_break_the_page(hostile: Path) -> None:
    page = report(hostile)
    for text in HOSTILE[:4]:
        assert text in page.text
    assert page.tags.count("h1") == 1
    assert "script" not in page.tags
    assert "endless" * 10 in page.text
    assert "endless" * 200 not in page.text  # texts are cut
    assert "nul�, bell�, half a pair ?" in page.text


def test_the_page_can_leave_out_the_texts_of_the_data(hostile: Path) -> None:
    page = report(hostile, "--without-texts")
    assert "Mistakes to read" not in page.text
    assert "Furthest apart" not in page.text
    assert "endless" not in page.text


def test_what_is_missing_is_named_with_the_command_that_makes_it(trained: TinyModels, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(trained["text-classification"], tmp_path / "model"))
    page = report(folder)
    assert f"Next: ftool export {folder}" in page.text
    assert f"ftool evaluate {folder} --by COLUMN" in page.text
    assert f"ftool export {folder} --precision auto" in page.text
    assert "--suite" not in page.text  # no label of this model is about hate
    assert "Mistakes to read" in page.text  # training has kept them
    succeeds("export", folder, "--max-drop", 0.2)
    page = report(folder)
    assert f"Next: ftool evaluate {folder} --on bundle" in page.text
    assert f"ftool parity {folder}" in page.text
    assert f"ftool bench {folder}" in page.text


def test_a_recipe_alone_makes_a_page_too(trained: TinyModels, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    shutil.copy(trained["text-classification"] / "recipe.toml", folder)
    assert "This model has not been trained." in report(folder).text


def test_figures_of_an_earlier_bundle_are_marked(model: Path) -> None:
    assert "of an earlier" not in report(model).text
    succeeds("export", model, "--max-drop", 0.2, "--precision", "w8")
    page = report(model)
    assert "bundle, w8: these figures are of an earlier version of the model." in page.text
    assert "These figures are of an earlier bundle." in page.text
    assert "These times are of an earlier bundle" in page.text


def test_a_report_begins_with_the_findings_in_sentences(model: Path) -> None:
    file = ModelFolder(model).evaluations / "bundle-test.json"
    found = json.loads(file.read_text())
    right, total = found["examples"] - found["wrong"]["total"], found["examples"]
    head = report(model).text.partition("same answers as PyTorch")[0]
    assert (
        f"{right} of {total} test examples, which the model did not learn from, were labelled correctly."
        in head
    )
    assert "the best of the simple models, a linear model on TF-IDF, reaches accuracy" in head
    assert "The bundle, which is what ships, gives" in head


def test_a_single_mistake_is_told_in_the_singular(model: Path) -> None:
    add_wrong_answers(ModelFolder(model), ["only this"])
    assert "1 answer holds a mistake" in report(model).text


def test_times_of_a_busy_machine_give_no_ratio_at_the_head(model: Path) -> None:
    head = "which the model did not learn from"
    page = report(model).text.partition("The model Task")[0]
    assert "10.0× as fast as PyTorch, fp32" in page
    assert "Other programs were running" not in page
    file = ModelFolder(model).reports / "bench.json"
    timed = json.loads(file.read_text())
    timed["contention"]["disturbed"] = ["other programs used 1.5 cores"]
    file.write_text(json.dumps(timed))
    page = report(model).text.partition("The model Task")[0]
    assert head in page
    assert "as fast as PyTorch" not in page
    assert "Other programs were running" in page


def test_a_bundle_that_lost_more_than_was_asked_for_is_marked_at_the_head(measured: Path) -> None:
    facts = FolderFacts.read(measured)
    assert facts.manifest is not None
    lost = {"reference": 0.99, "bundle": 0.9767, "max_drop": 0.01, "allowance": 0.01}
    gate = {**facts.manifest.evidence["gate"], **lost}
    manifest = replace(facts.manifest, evidence={**facts.manifest.evidence, "gate": gate})
    (notice,) = notices(replace(facts, manifest=manifest))
    assert "a loss of 0.0133, more than the 0.01 that was asked for" in notice
    assert not notices(facts)


def test_a_label_that_is_likely_wrong_is_named_with_how_sure_the_right_one_is(model: Path) -> None:
    file = ModelFolder(model).evaluations / "bundle-test.json"
    found = json.loads(file.read_text())
    doubt = {"split": "train", "row": 3, "labels": ["food"], "answer": ["weather"]}
    shown = [{**doubt, "text": "surely", "confidence": 0.9}, {**doubt, "text": "hardly", "confidence": 0.3}]
    found["label_errors"] = {"examples_checked": 99, "how": "by 5 simple models", "likely": 2, "shown": shown}
    file.write_text(json.dumps(found))
    text = report(model).text
    assert "likelyweather confidence 90.0%" in text
    assert "perhapsweather confidence 30.0%" in text


def test_a_bundle_on_its_own_needs_a_file_to_write(model: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(model / "bundle", tmp_path / "bundle"))
    result = ftool("report", bundle)
    assert result.exit_code == 2
    assert "name the file to write with -o FILE.html" in result.stderr
    page = report(bundle, "-o", tmp_path / "new" / "page.html")
    assert "text-classification" in page.text
    assert "When it was exported, accuracy on 36 validation examples was" in page.text
    assert not {path.name for path in bundle.iterdir()} - {path.name for path in (model / "bundle").iterdir()}


@pytest.mark.parametrize("name", ["parity.json", "bench.json", "evaluations/bundle-test.json"])
def test_a_damaged_file_is_named(model: Path, name: str) -> None:
    (model / "reports" / name).write_text('{"half": ')
    result = ftool("report", model)
    assert result.exit_code == 2
    assert name in result.stderr
    assert "is not JSON" in result.stderr


@pytest.mark.parametrize("value", [None, [], ["x"], "x", -1, 10**400])
@pytest.mark.parametrize(
    "name", ["reports/bench.json", "reports/parity.json", "ladder/frontier.json", "run/metrics.json"]
)
def test_a_file_of_another_form_is_named(model: Path, name: str, value: object) -> None:
    written = json.loads((model / name).read_text(encoding="utf-8"))
    (model / name).write_text(json.dumps(dict.fromkeys(written, value)), encoding="utf-8")
    with pytest.raises(ModelFolderError, match="has not the form that this version of ftool writes") as error:
        write_report(model)
    assert str(model / name) in str(error.value)


def test_a_folder_that_is_neither_is_refused(tmp_path: Path) -> None:
    result = ftool("report", tmp_path)
    assert result.exit_code == 2
    assert "neither a model folder nor a bundle" in result.stderr


def test_people_are_told_the_path(model: Path) -> None:
    assert succeeds("report", model).stdout == f"report: {model / 'reports' / 'report.html'}\n"


def test_a_generator_has_its_wrong_answers_on_the_page(trained: TinyModels, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(trained["translation"], tmp_path / "model"))
    wrong = json.loads((ModelFolder(folder).evaluations / "run-test.json").read_text())["wrong"]
    page = report(folder)
    if wrong["total"]:
        assert "those least like their reference first" in page.text
        assert wrong["found"][0]["labels"][0] in page.text
    assert "Calibration" not in page.text  # a written text has no confidence


def test_an_embedder_has_the_queries_that_find_another_passage_on_the_page(
    trained: TinyModels, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(trained["feature-extraction"], tmp_path / "model"))
    wrong = json.loads((ModelFolder(folder).evaluations / "run-test.json").read_text())["wrong"]
    assert wrong["total"]  # the tiny model finds few
    page = report(folder)
    assert f"{wrong['total']} queries find another passage first" in page.text
    first = wrong["found"][0]
    assert f"rank of the right passage {first['confidence']}" in page.text
    assert first["text"] in page.text
    assert first["labels"][0] in page.text
    assert first["answer"][0] in page.text


def test_commands_in_a_verdict_are_code(model: Path) -> None:
    file = ModelFolder(model).evaluations / "bundle-test.json"
    found = json.loads(file.read_text())
    found["baselines"]["verdict"] = "Next: read `ftool data <x>` first."
    file.write_text(json.dumps(found))
    (ModelFolder(model).evaluations / "run-test.json").unlink()
    (ModelFolder(model).run / "metrics.json").write_text("{}")
    path = Path(told("report", model)["report"])
    assert "Next: read <code>ftool data &lt;x&gt;</code> first." in path.read_text(encoding="utf-8")


def test_a_report_loads_no_model_library(measured: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from ftool.report.write import write_report\n"
        "write_report(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "print(sorted({'torch', 'transformers', 'matplotlib'} & set(sys.modules)))"
    )
    call = [sys.executable, "-c", code, measured, tmp_path / "page.html"]
    assert subprocess.run(call, capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_share_that_is_nearly_all_does_not_look_like_all() -> None:
    assert [percent(one) for one in (1.0, 0.99999, 0.997, 0.00001, 0.0)] == [
        "100.0%", "> 99.9%", "99.7%", "< 0.1%", "0.0%"
    ]  # fmt: skip
