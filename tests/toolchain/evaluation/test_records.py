"""Evaluations kept for `ftool report`: what they hold, what a later call leaves, and texts that JSON can't hold."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.helpers.cli import ftool, succeeds
from tests.helpers.tiny_models import TinyModels

from ftool.data.rows.generation import GenerationExample
from ftool.data.rows.questions import Question
from ftool.evaluation.metrics.calibration import expected_calibration_error, reliability
from ftool.evaluation.mistakes import Doubt, WrongAnswers
from ftool.evaluation.records import keep_evaluation, read_evaluations
from ftool.evaluation.results import Evaluation
from ftool.evaluation.wrong_texts import NO_ANSWER, find_wrong_spans, find_wrong_texts
from ftool.workspace import ModelFolder


@pytest.fixture
def folder(tmp_path: Path) -> ModelFolder:
    """A model folder that was trained."""
    folder = ModelFolder(tmp_path)
    folder.run.mkdir()
    (folder.run / "metrics.json").write_text("{}")
    return folder


def evaluation(split: str = "test", **further: Any) -> Evaluation:
    return Evaluation(task="t", on="run", split=split, examples=2, metrics={"accuracy": 0.5}, **further)


def sliced(folder: ModelFolder) -> None:
    """Add slices to the one evaluation that is kept."""
    [file] = folder.evaluations.iterdir()
    file.write_text(json.dumps(json.loads(file.read_text()) | {"slices": {"dialect": {}}}))


def test_a_later_call_keeps_the_slices_of_the_same_model(folder: ModelFolder) -> None:
    keep_evaluation(folder, evaluation())
    sliced(folder)
    keep_evaluation(folder, evaluation())
    assert read_evaluations(folder)[0]["slices"] == {"dialect": {}}


def test_slices_of_an_earlier_model_are_dropped(folder: ModelFolder) -> None:
    keep_evaluation(folder, evaluation())
    sliced(folder)
    (folder.run / "metrics.json").write_text('{"trained": "again"}')
    keep_evaluation(folder, evaluation())
    assert "slices" not in read_evaluations(folder)[0]


def test_splits_and_other_data_have_files_of_their_own(folder: ModelFolder) -> None:
    for split, data in (("test", None), ("../up", None), ("test", "a.csv"), ("test", "b.csv")):
        keep_evaluation(folder, evaluation(split), data)
    found = read_evaluations(folder)
    assert len(found) == 4
    assert {one["data"] for one in found} == {None, "a.csv", "b.csv"}
    assert {path.parent for path in folder.evaluations.rglob("*.json")} == {folder.evaluations}


def test_texts_are_cut_and_can_be_encoded(folder: ModelFolder) -> None:
    long, broken = "a" * 5000, "half a pair \ud83d"
    doubts = [
        Doubt(split="test", row=1, text=text, labels=(), answer=(), confidence=0.9) for text in (long, broken)
    ]
    wrong = WrongAnswers(order="", measure="", total=2, found=doubts)
    keep_evaluation(folder, evaluation(find_wrong=lambda: wrong))
    first, second = (one["text"] for one in read_evaluations(folder)[0]["wrong"]["found"])
    assert first == f"{'a' * 2000}… (5,000 characters)"
    assert second == "half a pair ?"


def test_evaluate_keeps_what_the_report_shows(exported: TinyModels, tmp_path: Path) -> None:
    model = Path(shutil.copytree(exported["text-classification"], tmp_path / "model"))
    succeeds("evaluate", model, "--on", "bundle", "--by", "label")
    found = {(one["on"], one["split"]): one for one in read_evaluations(ModelFolder(model))}
    assert set(found) == {("run", "test"), ("bundle", "test")}  # training has kept that of run/
    bundle = found["bundle", "test"]
    assert {"metrics", "intervals", "baselines", "confusions", "wrong", "reliability", "slices"} <= set(
        bundle
    )
    wrong = bundle["examples"] * (1 - bundle["metrics"]["accuracy"])
    assert bundle["wrong"]["total"] == pytest.approx(wrong)
    diagram = bundle["reliability"]
    assert sum(one["answers"] for one in diagram["bins"]) == bundle["examples"]
    assert diagram["expected_calibration_error"] == bundle["metrics"]["expected_calibration_error"]


def test_evaluate_on_other_data_does_not_replace_the_own_test_split(
    exported: TinyModels, topics: Path, tmp_path: Path
) -> None:
    model = Path(shutil.copytree(exported["text-classification"], tmp_path / "model"))
    before = (model / "reports" / "evaluations" / "run-test.json").read_text()
    assert ftool("evaluate", model, "--data", topics / "validation.csv").exit_code == 0
    assert (model / "reports" / "evaluations" / "run-test.json").read_text() == before
    assert len(read_evaluations(ModelFolder(model))) == 2


def test_a_reliability_diagram_has_a_bin_for_each_confidence_that_was_given() -> None:
    confidence = np.array([0.95, 0.97, 0.99, 0.5, 1.0])
    correct = np.array([True, True, False, False, True])
    found = reliability(confidence, correct, counted="texts")
    assert [(one.answers, one.right) for one in found.bins] == [(1, 0.0), (4, 0.75)]
    assert found.bins[1].confidence == pytest.approx(0.9775)
    assert found.bins[1].low < 0.75 < found.bins[1].high
    assert found.error == expected_calibration_error(confidence, correct)


def test_written_answers_least_like_their_reference_come_first() -> None:
    wanted = ("on the third of March", "five apples", "exact")
    examples = [
        GenerationExample(source=f"source {row}", targets=(text,), row=row) for row, text in enumerate(wanted)
    ]
    found = find_wrong_texts(examples, ["on the fourth of March", "zzz", " exact "], split="test")
    assert [one.text for one in found.found] == ["source 1", "source 0"]
    assert found.total == 2
    assert found.found[0].confidence == 0
    assert 0.5 < found.found[1].confidence < 1


def test_wrong_spans_come_with_their_question_the_surest_first() -> None:
    asked = [
        Question(
            question=f"q{row}",
            context="one two three",
            answers=answers,
            starts=(0,) * len(answers),
            id=str(row),
            row=row,
        )
        for row, answers in enumerate([("one",), ("the two",), (), ("three",)])
    ]  # fmt: skip
    found = find_wrong_spans(asked, ["three", "two", "one", ""], np.array([0.2, 0.9, 0.8, 0.6]), split="test")
    assert [(one.row, one.labels, one.answer) for one in found.found] == [
        (2, (NO_ANSWER,), ("one",)),
        (3, ("three",), (NO_ANSWER,)),
        (0, ("one",), ("three",)),
    ]
    assert found.found[0].text == "q2\none two three"
