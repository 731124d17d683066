"""Answers to questions are spans of the given context or None, and are the same for single and batched questions."""

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.helpers.tiny_bundles import relist

import ftool_runtime as ft
from ftool_runtime.bundle.golden import encoder_golden
from ftool_runtime.bundle.manifest import Manifest, QuestionContract
from ftool_runtime.bundle.verify import verify
from ftool_runtime.tools import cli

VOCABULARY = 17
MAX_LENGTH, STRIDE = 16, 5
# What the graph says of a token, as a start and as an end: "ten" begins an answer and "minutes" ends one.
LOGITS = {"[CLS]": (2.0, 2.0), "ten": (5.0, 0.0), "minutes": (0.0, 6.0), "timer": (1.0, 1.0)}
IDS = {"[CLS]": 2, "timer": 13, "ten": 15, "minutes": 16}
CONTEXT = "Set a timer, for ten minutes!"


@pytest.fixture(scope="session")
def make_reader(make_bundle: Callable[..., Path], onnx_writer: SimpleNamespace) -> Callable[..., Path]:
    """Makes a bundle whose graph is a table of two logits a token."""
    table = np.full((VOCABULARY, 2), -1.0, dtype=np.float32)
    for word, logits in LOGITS.items():
        table[IDS[word]] = logits
    graph = onnx_writer.model(
        [onnx_writer.node("Gather", ["table", "input_ids"], ["logits"])],
        [onnx_writer.tensor("table", table)],
        [onnx_writer.value(name, 7, ("batch", "sequence")) for name in ("input_ids", "attention_mask")],
        [onnx_writer.value("logits", 1, ("batch", "sequence", 2))],
    )

    def make(threshold: float | None = 0.0, **changes: Any) -> Path:
        contract = QuestionContract(stride=STRIDE, max_answer_length=4, no_answer_threshold=threshold)
        fields = {"task": "question-answering", "labels": (), "questions": contract, **changes}
        return make_bundle(graph=graph, golden=False, **fields)

    return make


@pytest.fixture(scope="session")
def reader_bundle(make_reader: Callable[..., Path]) -> Path:
    return make_reader()


@pytest.fixture(scope="session")
def reader(reader_bundle: Path) -> Iterable[ft.Reader]:
    with ft.Reader.load(reader_bundle, threads=2) as loaded:
        assert isinstance(loaded, ft.Reader)
        yield loaded


def test_an_answer_is_a_stretch_of_the_context(reader: ft.Reader) -> None:
    answer = reader("How long?", CONTEXT)
    assert (answer.text, answer.start, answer.end) == ("ten minutes", 17, 28)
    assert answer.margin == 11.0 - 4.0
    assert 0.98 < answer.score < 1


def test_there_may_be_no_answer(reader: ft.Reader) -> None:
    answer = reader("How long?", "turn off the lights")
    assert (answer.text, answer.start, answer.end) == (None, None, None)
    assert answer.margin == -2.0 - 4.0
    assert 0.9 < answer.score < 1


def test_the_threshold_is_the_bundles_and_without_one_there_is_always_an_answer(
    make_reader: Callable[..., Path],
) -> None:
    context = "a timer"  # its margin is 2 - 4
    for threshold, text in ((1.9, None), (2.0, "timer"), (None, "timer")):
        with ft.Reader.load(make_reader(threshold), threads=1) as model:
            assert model("What?", context).text == text
    best = model_n_best(make_reader(None), context)
    assert sum(one.score for one in best) == pytest.approx(1.0)
    assert all(one.text is not None for one in best)


def model_n_best(bundle: Path, context: str) -> tuple[ft.Candidate, ...]:
    with ft.Reader.load(bundle, threads=1) as model:
        assert isinstance(model, ft.Reader)
        return model.n_best("What?", context, 20)


def test_the_best_candidates_come_with_their_probabilities(reader: ft.Reader) -> None:
    best = reader.n_best("How long?", CONTEXT, 4)
    assert [one.text for one in best] == ["ten minutes", "minutes", ", for ten minutes", "for ten minutes"]
    every = reader.n_best("How long?", CONTEXT, 20)
    assert sum(one.score for one in every) < 1  # 20 spans and no answer, of which the least is left out
    assert any(one.text is None for one in every)
    nothing = reader.n_best("How long?", "turn off the lights", 1)[0]
    assert nothing == ft.Candidate(None, None, None, reader("How long?", "turn off the lights").score)


@pytest.mark.parametrize("before", range(30))
def test_an_answer_is_found_wherever_windows_meet(reader: ft.Reader, before: int) -> None:
    context = "play " * before + "ten a a minutes" + " music" * 30
    answer = reader("how long", context)
    assert (answer.text, answer.start) == ("ten a a minutes", 5 * before)


def test_offsets_are_characters_of_the_context_as_given(reader: ft.Reader) -> None:
    context = "\t😀👩\u200d👧 Türn\u0301 中文字 \n TEN  Minutes. שלום"
    answer = reader("How long?", context)
    assert answer.text == "TEN  Minutes" == context[answer.start : answer.end]


def test_an_answer_is_independent_of_the_batch(reader: ft.Reader) -> None:
    contexts = [CONTEXT, "turn off", "play ten minutes " * 40, "a timer"]
    together = reader("How long?", contexts)
    assert together == [reader("How long?", context) for context in contexts]
    assert together == reader(["How long?"] * 4, contexts)
    assert reader(["How long?", "What?"], CONTEXT) == [reader("How long?", CONTEXT), reader("What?", CONTEXT)]
    asked = [{"question": "How long?", "context": context} for context in contexts]
    assert together == reader(asked) == list(reader.predict_iter(iter(asked), batch_size=3))
    assert reader(asked[0]) == together[0]
    assert reader([]) == []


def test_outputs_are_those_of_every_window_in_order(reader: ft.Reader) -> None:
    asked = [{"question": "the", "context": context} for context in ("a timer " * 20, "ten")]
    rows = reader.outputs(asked)
    assert [row.shape for row in rows[-1:]] == [(5, 2)]
    assert len(rows) > 2
    np.testing.assert_array_equal(rows[-1][0], LOGITS["[CLS]"])
    assert [found.no_answer for found in reader.spans(asked)] == [4.0, 4.0]


@pytest.mark.parametrize(
    ("arguments", "problem", "row"),
    [
        (("", "a"), "question 0 is empty", 0),
        (("a", ["a", " "]), "context 1 is empty", 1),
        (("a", ["a", 5]), "context 1 must be a string, got int", 1),
        (("the " * 9, "a"), "question 0 has 9 tokens; at most 7 fit with a context in windows", 0),
        ((["a", "a"], ["a"] * 3), "got 2 questions and 3 contexts", None),
        (("a",), "give a question and a context, or mappings of both", None),
        (([{"question": "a"}],), "input 0 must hold a question and a context", 0),
        ((["a", "b"],), "input 0 must hold a question and a context", 0),
        (("a", 5), "contexts must be strings in a list or another iterable, got int", None),
        ((b"a", "a"), "questions must be strings", None),
        (({"question": None, "context": "a"},), "question 0 must be a string, got NoneType", 0),
        (([None], "a"), "question 0 must be a string, got NoneType", 0),
        (("a", [None]), "context 0 must be a string, got NoneType", 0),
    ],
)
def test_what_can_not_be_asked_is_refused(
    reader: ft.Reader, arguments: tuple[Any, ...], problem: str, row: int | None
) -> None:
    with pytest.raises(ft.InputError) as refused:
        reader(*arguments)
    assert problem in str(refused.value)
    assert refused.value.row == row


@pytest.mark.parametrize("question", ["When?", ["When?"]])
def test_the_best_candidates_are_those_of_one_question(reader: ft.Reader, question: Any) -> None:
    with pytest.raises(ft.InputError, match="n_best takes one question and one context, each a string"):
        reader.n_best(question, [CONTEXT])


@pytest.mark.parametrize("top_k", [0, 21, True, 1.5])
def test_a_number_of_candidates_that_there_can_not_be_is_refused(reader: ft.Reader, top_k: Any) -> None:
    with pytest.raises(ft.InputError, match="top_k must be a whole number from 1 to 20"):
        reader("a", "a", top_k=top_k)


def test_a_row_of_a_stream_counts_from_its_start(reader: ft.Reader) -> None:
    asked = [{"question": "a", "context": "a"}] * 70 + [{"question": "a", "context": ""}]
    with pytest.raises(ft.InputError, match="context 70 is empty"):
        list(reader.predict_iter(asked, batch_size=64))


def test_a_manifest_without_the_contract_is_refused(make_reader: Callable[..., Path]) -> None:
    with pytest.raises(ft.BundleError, match='has no "questions"'):
        ft.load(make_reader(questions=None, labels=("a",)))
    with pytest.raises(ft.BundleError, match="a stride of 13 tokens needs a larger"):
        ft.load(make_reader(questions=QuestionContract(stride=13)))


def test_predict_takes_questions_and_contexts_from_arguments_and_files(
    reader_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = {"question": "How long?", "answer": "ten minutes", "start": 17, "end": 28}
    assert cli.main(["predict", str(reader_bundle), "How long?", CONTEXT]) == 0
    found = json.loads(capsys.readouterr().out)
    assert expected.items() <= found.items()
    (tmp_path / "in.csv").write_text(f'id,question,passage\n1,How long?,"{CONTEXT}"\n2,What?,off\n')
    command = ["predict", str(reader_bundle), "--input", str(tmp_path / "in.csv")]
    assert cli.main([*command, "--column", "context=passage", "--top-k", "2"]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert expected.items() <= first.items()
    assert [one["answer"] for one in first["top"]] == ["ten minutes", "minutes"]
    assert second["answer"] is None
    assert cli.main(["predict", str(reader_bundle), "How long?"]) == 2
    assert "give question and context of each input as separate arguments" in capsys.readouterr().err


def test_json_holds_the_margin_and_that_nothing_was_cut(reader: ft.Reader) -> None:
    asked = {"question": "How long?", "context": CONTEXT}
    answer = reader(asked)
    told = answer.to_json(asked)
    assert (told["margin"], told["truncated"]) == (answer.margin, False)
    nothing = ft.Answer(None, None, None, 1.0, float("-inf")).to_json(asked)
    assert nothing["margin"] is None  # JSON knows no infinity


def test_info_leaves_out_what_does_not_apply(reader: ft.Reader) -> None:
    info = reader.info()
    assert not {"labels", "multi_label", "thresholds", "generation"} & info.keys()
    assert info["questions"]["stride"] > 0


def test_verify_replays_questions(make_reader: Callable[..., Path]) -> None:
    folder = make_reader()
    asked = [{"question": "How long?", "context": CONTEXT}, {"question": "What?", "context": "a timer " * 20}]
    for moved in (0.0, 1.0):
        with ft.Reader.load(folder, threads=1) as model:
            outputs = [row + np.float32(moved) for row in model.outputs(asked)]
            golden = encoder_golden(model, asked, outputs, source="bundle", tolerance=1e-4, texts="probes")
        golden.write(folder)
        relist(folder, "golden.json")
        report = verify(folder, threads=1)
        assert report.passed == (moved == 0.0)
        assert report.replay is not None
        assert report.replay.same_answers == 2
    assert {"answer", "start", "end", "score", "margin", "truncated"} <= golden.answers[0].keys()


def test_verify_names_the_answers_that_another_threshold_changes(make_reader: Callable[..., Path]) -> None:
    folder = make_reader()
    asked = [{"question": "How long?", "context": CONTEXT}]
    with ft.Reader.load(folder, threads=1) as model:
        golden = encoder_golden(
            model, asked, model.outputs(asked), source="bundle", tolerance=1e-4, texts="probes"
        )
    golden.write(folder)
    manifest = Manifest.read(folder)
    assert manifest.questions is not None
    limit = 1e6 if golden.answers[0]["answer"] == "" else -1e6
    replace(manifest, questions=replace(manifest.questions, no_answer_threshold=limit)).write(folder)
    relist(folder, "golden.json")
    report = verify(folder, threads=1)
    assert not report.passed
    assert report.replay is not None
    assert "answer.answer is" in report.replay.changed[0]
