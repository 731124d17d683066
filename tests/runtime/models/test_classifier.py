"""Calls of a classifier: one or many texts, order, batches, length limits, threads, processes, closing."""

import copy
import itertools
import multiprocessing
import os
import pickle
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import ftool_runtime as ft
from ftool_runtime.bundle.manifest import InputContract, Precision

BundleMaker = Callable[..., Path]
Reference = Callable[[str], NDArray[np.float64]]

TEXTS = ["turn the lights off", "play", "set a timer for ten minutes", "music", "the the the the the the the"]
FP32 = 1e-5  # float32 sums of 16 numbers below 200, in another order


def test_one_text_gives_one_answer_and_a_list_gives_a_list(model: ft.TextClassifier) -> None:
    one = model("play music")
    assert isinstance(one, ft.Classification)
    assert model(["play music"]) == [one]
    assert model([]) == []


def test_logits_are_those_of_the_weights(model: ft.TextClassifier, reference: Reference) -> None:
    logits = model.logits(TEXTS)
    assert logits.dtype == np.float32
    assert logits.shape == (len(TEXTS), 3)
    np.testing.assert_allclose(logits, [reference(text) for text in TEXTS], rtol=FP32, atol=FP32)


def test_the_answer_follows_from_the_logits(model: ft.TextClassifier, reference: Reference) -> None:
    logits = reference("turn the lights off")
    expected = np.exp(logits) / np.exp(logits).sum()
    answer = model("turn the lights off")
    np.testing.assert_allclose(answer.scores, expected, atol=1e-5)
    assert answer.label == model.labels[int(expected.argmax())]
    assert answer.score == max(answer.scores)
    assert answer.labels == (answer.label,)
    assert answer.top == (ft.LabelScore(answer.label, answer.score),)


def test_top_k_gives_the_best_first_and_no_more_than_there_are(model: ft.TextClassifier) -> None:
    top = model("play music", top_k=2).top
    assert len(top) == 2
    assert top[0].score >= top[1].score
    assert len(model("play music", top_k=100).top) == 3


@settings(max_examples=30, deadline=None)
@given(words=st.lists(st.lists(st.sampled_from(["turn", "off", "minutes", "who"]), min_size=1, max_size=20)))
def test_answers_are_in_the_order_of_the_texts(
    model: ft.TextClassifier, reference: Reference, words: list[list[str]]
) -> None:
    texts = [" ".join(text) for text in words]
    expected = np.array([reference(text) for text in texts]).reshape(-1, 3)
    np.testing.assert_allclose(model.logits(texts), expected, rtol=FP32, atol=1e-4)


def test_batches_and_padding_change_no_answer(model: ft.TextClassifier) -> None:
    together = model.logits(TEXTS)
    alone = np.concatenate([model.logits([text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=FP32)


def test_batches_change_no_bit_if_rows_share_a_scale(make_bundle: BundleMaker) -> None:
    with ft.TextClassifier.load(make_bundle(quantised=True), threads=2) as model:
        alone = np.concatenate([model.logits([text]) for text in TEXTS * 5])
        np.testing.assert_array_equal(model.logits(TEXTS * 5), alone)


@pytest.mark.parametrize("quantised", [False, True])
def test_runs_in_parallel_give_the_answers_of_runs_in_turn(
    make_bundle: BundleMaker, *, quantised: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long lists go through a second session; lists of a few runs do not, because it would not pay for itself."""
    monkeypatch.setattr("ftool_runtime.session.encoder_engine.l2_bytes", lambda: 1)  # 64 tokens in a run
    folder = make_bundle(quantised=quantised)
    many = [" ".join(["music", *TEXTS[row % len(TEXTS)].split()][: 1 + row % 9]) for row in range(120)]
    with (
        ft.TextClassifier.load(folder, threads=1) as in_turn,
        ft.TextClassifier.load(folder, threads=2) as parallel,
    ):
        opened = []
        second = parallel._engine._second_session
        monkeypatch.setattr(parallel._engine, "_second_session", lambda: opened.append(1) or second())
        np.testing.assert_allclose(parallel.logits(many[:3]), in_turn.logits(many[:3]), atol=FP32)
        assert not opened
        np.testing.assert_allclose(parallel.logits(many), in_turn.logits(many), atol=FP32)
        assert opened == [1]


def test_the_shared_scale_of_the_test_above_is_real(make_bundle: BundleMaker) -> None:
    """If the manifest says that rows share no scale, batches change the answers: the outlier sets the scale."""
    folder = make_bundle(quantised=True, precision=Precision(name="int8", rows_share_scale=False))
    with ft.TextClassifier.load(folder) as model:
        assert np.abs(model.logits(TEXTS)[1] - model.logits([TEXTS[1]])[0]).max() > 0.01


def test_a_long_text_is_cut_and_says_so(model: ft.TextClassifier, reference: Reference) -> None:
    fits, too_long = " ".join(["music"] * 14), " ".join(["music"] * 14 + ["minutes"] * 10_000)
    assert not model(fits).truncated
    assert model(too_long).truncated
    assert [answer.truncated for answer in model([fits, too_long])] == [False, True]
    np.testing.assert_allclose(model.logits([too_long])[0], reference(too_long), atol=FP32)


def test_the_prefix_of_the_manifest_goes_before_every_text(
    make_bundle: BundleMaker, model: ft.TextClassifier
) -> None:
    contract = InputContract(names=("input_ids", "attention_mask"), max_length=16, prefix="turn the ")
    with ft.TextClassifier.load(make_bundle(input=contract)) as prefixed:
        np.testing.assert_array_equal(prefixed.logits(["music"]), model.logits(["turn the music"]))


@pytest.mark.parametrize("bad", [None, 3, b"bytes", ["nested"]])
def test_anything_but_a_string_is_refused_with_its_row_and_type(model: ft.TextClassifier, bad: Any) -> None:
    with pytest.raises(ft.InputError, match=rf"text 1 must be a string, got {type(bad).__name__}") as caught:
        model(["play", bad])
    assert caught.value.row == 1


@pytest.mark.parametrize("empty", ["", "  ", "\n\t"])
def test_an_empty_text_is_refused_with_its_row(make_bundle: BundleMaker, empty: str) -> None:
    for quantised in (False, True):
        with ft.TextClassifier.load(make_bundle(quantised=quantised), threads=2) as model:
            with pytest.raises(ft.InputError, match="text 2 is empty") as caught:
                model(["play", "music", empty, "set"])
            assert caught.value.row == 2


def test_a_lone_surrogate_is_refused_with_its_row(model: ft.TextClassifier) -> None:
    with pytest.raises(ft.InputError, match="text 1 is not valid Unicode"):
        model(["play", "\ud800 music"])


def test_a_nul_byte_is_text_like_any_other(model: ft.TextClassifier) -> None:
    assert len(model(["play\x00music", "\x00"])) == 2


@settings(max_examples=60, deadline=None)
@given(st.text())  # surrogates are not among them
def test_any_string_with_something_in_it_is_answered(model: ft.TextClassifier, text: str) -> None:
    if not text.strip():
        with pytest.raises(ft.InputError, match="is empty"):
            model(text)
    else:
        assert sum(model(text).scores) == pytest.approx(1)


@pytest.mark.parametrize("bad", [3, None, b"play", {"play": 1}])
def test_anything_that_holds_no_texts_is_refused(model: ft.TextClassifier, bad: Any) -> None:
    with pytest.raises(ft.InputError, match=f"got {type(bad).__name__}"):
        model(bad)


def test_two_texts_in_a_row_are_a_pair(make_bundle: BundleMaker, model: ft.TextClassifier) -> None:
    with ft.TextClassifier.load(make_bundle(golden=False, pairs=True), threads=1) as pairs:
        assert pairs("turn off", "the lights") == pairs(("turn off", "the lights"))
        assert pairs("turn off", "the lights", top_k=2) == pairs(("turn off", "the lights"), top_k=2)
        with pytest.raises(ft.InputError, match="input 0: this model takes two texts"):
            pairs("turn off")
        with pytest.raises(ft.InputError, match="two strings, or pairs in a list"):
            pairs(["turn off", "play"], ["the lights", "music"])
    with pytest.raises(ft.InputError, match="this model takes one text at a time; give several in a list"):
        model("turn off", "the lights")


def test_predict_iter_reads_texts_only_as_answers_are_consumed(model: ft.TextClassifier) -> None:
    taken = itertools.count()

    def endless() -> Iterator[str]:
        for i in taken:
            yield TEXTS[i % len(TEXTS)]

    answers = list(itertools.islice(model.predict_iter(endless(), batch_size=4), 6))
    assert next(taken) == 8
    assert [answer.label for answer in answers] == [answer.label for answer in model((TEXTS * 2)[:6])]


@pytest.mark.parametrize("quantised", [False, True])
def test_predict_iter_counts_rows_from_the_start_of_the_stream(
    make_bundle: BundleMaker, quantised: bool
) -> None:
    texts = ["play"] * 5 + [""]
    with (
        ft.TextClassifier.load(make_bundle(quantised=quantised)) as model,
        pytest.raises(ft.InputError, match="text 5 is empty"),
    ):
        list(model.predict_iter(texts, batch_size=2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size must be"),
        ({"top_k": 0}, "top_k must be a whole number of at least 1, got 0"),
        ({"thresholds": 0.5}, "thresholds are for multi-label models"),
    ],
)
def test_a_wrong_option_is_refused_before_any_text_is_taken(
    model: ft.TextClassifier, options: dict[str, Any], message: str
) -> None:
    texts = iter(["play"])
    with pytest.raises(ft.InputError, match=message):
        model.predict_iter(texts, **options)
    assert next(texts) == "play"


def test_multi_label_thresholds_come_from_the_bundle_and_can_be_changed(make_bundle: BundleMaker) -> None:
    with ft.TextClassifier.load(make_bundle(multi_label=True, thresholds=(0.0, 1.0, 1.0))) as model:
        assert model("play music").labels == ("lights",)
        assert model("play music", thresholds=1.0).labels == ()
        assert set(model("play music", thresholds=0).labels) == set(model.labels)
        assert set(model("play music", thresholds={"timer": 0}).labels) == {"lights", "timer"}
        assert len(model("play music", thresholds=1.0, top_k=2).top) == 2


def test_many_threads_get_the_answers_that_one_gets(make_bundle: BundleMaker) -> None:
    for quantised in (False, True):
        with ft.TextClassifier.load(make_bundle(quantised=quantised), threads=2) as model:
            expected = model(TEXTS)
            wrong: list[object] = []

            def ask(
                model: ft.TextClassifier = model, expected: object = expected, wrong: list[object] = wrong
            ) -> None:
                wrong.extend(1 for _ in range(20) if model(TEXTS) != expected)

            callers = [threading.Thread(target=ask) for _ in range(6)]
            for caller in callers:
                caller.start()
            for caller in callers:
                caller.join()
            assert not wrong


def test_a_closed_model_says_so(shared_bundle: Path) -> None:
    with ft.TextClassifier.load(shared_bundle) as model:
        pass
    for call in (lambda: model("play"), lambda: model(TEXTS), lambda: list(model.predict_iter(TEXTS))):
        with pytest.raises(ft.ClosedError, match="load it again"):
            call()
    model.close()  # twice is fine


def test_a_model_can_be_neither_pickled_nor_copied(model: ft.TextClassifier) -> None:
    with pytest.raises(ft.OtherProcessError, match="load it there"):
        pickle.dumps(model)
    with pytest.raises(ft.OtherProcessError):
        copy.deepcopy(model)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")  # the very thing under test
def test_a_forked_child_says_so_and_does_not_hang(shared_bundle: Path) -> None:
    with ft.TextClassifier.load(shared_bundle, threads=2) as model:
        model("play")
        receiver, sender = multiprocessing.get_context("fork").Pipe(duplex=False)
        child = multiprocessing.get_context("fork").Process(target=_call_in_child, args=(model, sender))
        child.start()
        child.join(30)
        assert child.exitcode == 0
        assert "load it in the child" in receiver.recv()
        assert model("play").label  # the parent goes on


def _call_in_child(model: ft.TextClassifier, sender: Any) -> None:
    try:
        model("play")
    except ft.OtherProcessError as error:
        sender.send(str(error))


def test_answers_survive_pickling(model: ft.TextClassifier) -> None:
    answer = model("play")
    assert pickle.loads(pickle.dumps(answer)) == answer


def test_info_says_what_runs_where(model: ft.TextClassifier, shared_bundle: Path) -> None:
    info = model.info()
    assert info["bundle"] == str(shared_bundle)
    assert (info["device"], info["threads"], info["profile"]) == ("cpu", 2, "desktop")
    assert info["labels"] == list(model.labels)
    assert (info["multi_label"], info["thresholds"]) == (False, None)
    assert "generation" not in info
    assert (info["precision"], "embedding_bits" in info) == ("fp32", False)
    assert info["versions"]["ftool-runtime"] == ft.__version__
    assert {"onnxruntime", "numpy", "tokenizers"} <= set(info["versions"])


def test_a_graph_whose_answers_have_another_shape_is_refused(make_bundle: BundleMaker) -> None:
    folder = make_bundle(golden=False, labels=("a", "b"))
    with (
        ft.TextClassifier.load(folder, threads=1) as model,
        pytest.raises(ft.BundleError, match=r"instead of \(1, 2\)"),
    ):
        model.logits(["play"])


def _replaced(folder: Path, make_bundle: BundleMaker) -> None:
    other = make_bundle(quantised=True, labels=("x", "y", "z"))
    folder.rename(folder.with_name("old"))
    other.rename(folder)


def _overwritten(folder: Path, make_bundle: BundleMaker) -> None:
    path = folder / "onnx" / "model.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 3 : len(content) // 2] = bytes(len(content) // 2 - len(content) // 3)
    path.write_bytes(content)


def _another_graph(folder: Path, make_bundle: BundleMaker) -> None:
    shutil.copy(make_bundle() / "onnx" / "model.onnx", folder / "onnx" / "model.onnx")  # fp32, no longer int8


def _removed(folder: Path, make_bundle: BundleMaker) -> None:
    shutil.rmtree(folder)


def _untouched(folder: Path, make_bundle: BundleMaker) -> None:
    pass


@pytest.mark.parametrize("change", [_replaced, _overwritten, _another_graph, _removed, _untouched])
def test_a_loaded_model_does_not_change_with_its_folder(
    change: Callable[[Path, BundleMaker], None],
    make_bundle: BundleMaker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = shutil.copytree(make_bundle(quantised=True), tmp_path / "bundle")
    monkeypatch.chdir(tmp_path)
    with ft.TextClassifier.load("bundle", threads=2) as model:
        expected = [model(text) for text in TEXTS]
        change(folder, make_bundle)
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        assert model(TEXTS) == expected
