"""A reader is trained and exported by the commands, and its run/ and bundle/ are compared."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from tests.helpers.cli import ftool, told
from tests.helpers.paths import REPOSITORY

import ftool_runtime as ft
from ftool.export import check_parity, examples_for
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool_export.checkpoints.encoder import compute_outputs
from ftool_export.checkpoints.reader import create_reader, load_reader
from ftool_export.errors import CheckpointError
from ftool_export.examples.questions import QuestionExamples
from ftool_export.parity import parity
from ftool_export.pipeline import export
from ftool_export.report import ParityReport
from ftool_export.settings import ExportSettings

ASKED = {"question": "tell me about", "context": "sun about song"}
SCORER = runpy.run_path(str(REPOSITORY / "tests" / "helpers" / "squad2_scorer.py"))


@pytest.fixture(scope="session")
def fp32_bundle(reader_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run in fp32."""
    bundle = tmp_path_factory.mktemp("fp32") / "bundle"
    loaded = load_reader(reader_folder / "run")
    examples = examples_for(Recipe.read(reader_folder / "recipe.toml"), loaded, "validation")
    settings = ExportSettings(bundle=bundle, precision="fp32")
    report = export(settings, loaded, examples)
    assert report.bundle == bundle
    assert report.largest_logit_difference < 1e-4
    return bundle


def test_the_manifest_says_how_contexts_are_read(reader_folder: Path) -> None:
    manifest, run = ft.Manifest.read(reader_folder / "bundle"), load_reader(reader_folder / "run")
    assert (manifest.task, manifest.labels, manifest.input.max_length) == ("question-answering", (), 24)
    assert manifest.questions is not None
    assert (manifest.questions.stride, manifest.questions.max_answer_length) == (6, 4)
    assert manifest.questions.no_answer_threshold == run.no_answer_threshold is not None


def test_the_answers_of_an_fp32_bundle_are_torchs(reader_folder: Path, fp32_bundle: Path) -> None:
    loaded = load_reader(reader_folder / "run")
    examples = examples_for(Recipe.read(reader_folder / "recipe.toml"), loaded, "test")
    report = parity(loaded, fp32_bundle, examples)
    assert (report.passed, report.agreement) == (True, 1.0)
    reference = examples.answers(compute_outputs(loaded, examples.rows))
    with ft.Reader.load(fp32_bundle, threads=1) as model:
        found = model(list(examples.inputs))
        assert [row.shape for row in model.outputs(examples.inputs)] == [
            (len(r.ids), 2) for r in examples.rows
        ]
    assert [(one.text, one.start, one.end) for one in found] == [
        (one.text, one.start, one.end) for one in reference
    ]
    assert {one.text is None for one in found} == {True, False}


def test_run_and_bundle_are_measured_alike_and_as_another_scorer_does(
    reader_folder: Path, questions: Path, tmp_path: Path
) -> None:
    data = json.loads((questions / "test.json").read_text())
    figures = []
    for on in ("run", "bundle"):
        report = told("evaluate", reader_folder, "--on", on, "--predictions", tmp_path / f"{on}.jsonl")
        assert (report["on"], report["examples"]) == (on, 40)
        second = SCORER["score"](data, SCORER["read_predictions"](tmp_path / f"{on}.jsonl"))
        assert set(second) < set(report["metrics"])
        for name, value in second.items():
            assert 100 * report["metrics"][name] == pytest.approx(value, abs=0.01)
        figures.append(report["metrics"]["f1"])
    assert figures[1] == pytest.approx(figures[0], abs=0.2)
    table = ftool("evaluate", reader_folder, "--by", "title").stdout
    assert "F1, unanswerable" in table


def test_predict_answers_questions_about_contexts(reader_folder: Path, tmp_path: Path) -> None:
    context = "rain sun about song snow"
    answer = json.loads(ftool("predict", reader_folder, "tell me about", context).stdout)
    assert answer["answer"] == "song"
    assert context[answer["start"] : answer["end"]] == "song"
    lines = [{"question": "tell me about", "context": text} for text in (context, "rain sun snow")]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    out = ftool("predict", reader_folder, "--input", tmp_path / "in.jsonl", "--top-k", 2).stdout
    found = [json.loads(line) for line in out.splitlines()]
    assert [one["answer"] for one in found] == ["song", None]
    assert [len(one["top"]) for one in found] == [2, 2]


def test_parity_and_bench_take_readers(reader_folder: Path) -> None:
    report = check_parity(reader_folder, Recipe.read(reader_folder / "recipe.toml"))
    assert isinstance(report, ParityReport)
    assert report.batch_effect == 0  # int8: windows run alone
    assert report.agreement > 0.85
    timed = told("bench", reader_folder, "--rounds", 1, "--texts", 5, "--against", "none")
    assert timed["engines"]["ftool-int8"]["latency_ms"]["p50"] > 0


def test_distances_are_changes_of_a_tokens_probability(reader_folder: Path) -> None:
    loaded = load_reader(reader_folder / "run")
    examples = QuestionExamples(loaded=loaded, inputs=[{"question": "tell", "context": "rain " * 60}, ASKED])
    outputs = compute_outputs(loaded, examples.rows)
    assert (examples.distances(outputs, outputs) == 0).all()
    assert examples.same(outputs, outputs).all()
    moved = [np.array(row) for row in outputs]
    moved[-1][0, 1] += 100.0  # the end of no answer, in the last input's only window
    assert examples.distances(outputs, moved)[0] == 0
    assert 0.5 < examples.distances(outputs, moved)[1] <= 1
    assert examples.same(outputs, moved).tolist() == [[True], [False]]


def test_any_reader_is_exported_without_data(tiny_base: Path, tmp_path: Path) -> None:
    """Its head has random weights here; it always answers, as its card names no data with unanswerable questions."""
    loaded = create_reader(str(tiny_base))
    assert (loaded.max_length, loaded.stride, loaded.max_answer_length) == (32, 10, 11)
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    loaded.save(checkpoint)
    config = json.loads((checkpoint / "config.json").read_text())
    del config["ftool"]  # as others write it
    (checkpoint / "config.json").write_text(json.dumps(config))
    for card, threshold in (("squad", None), ("squad_v2", 0.0)):
        (checkpoint / "README.md").write_text(f"---\ndatasets: [{card}]\n---\n")
        assert load_reader(checkpoint).no_answer_threshold == threshold
    arguments = ("--checkpoint", checkpoint, "--task", "question-answering", "-o", tmp_path / "bundle")
    assert told("export", *arguments, "--precision", "fp32")["gate"]["judged"] is False
    with ft.Reader.load(tmp_path / "bundle", threads=1) as model:
        answer = model("tell me", "rain sun")
        assert (answer.text or "rain sun") in "rain sun"


def test_an_encoder_without_a_head_is_no_reader(tiny_base: Path) -> None:
    with pytest.raises(CheckpointError, match="no trained head for question answering"):
        load_reader(tiny_base)


def test_other_data_is_measured_on(reader_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("question,context,answer\ntell me about,sun about song,song\n")
    report = told("evaluate", reader_folder, "--on", "bundle", "--data", path)
    assert (report["examples"], report["metrics"]["f1"]) == (1, 1.0)
    loaded = load_reader(reader_folder / "run")
    given = examples_for(
        Recipe(task="question-answering", data=DataSettings(path=str(path))),
        loaded,
        "test",
        DataSettings(path=str(path)),
    )
    assert given.score(compute_outputs(loaded, given.rows)) == 1.0
