"""Limits: what a call, a bundle or a read of a knowledge base costs at most, and the errors beyond."""

import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.helpers.tiny_bundles import LABELS, SPECIAL, WORDS, weights

import ftool_runtime as ft
from ftool_runtime.bundle.contracts import EmbeddingContract, EntityContract, QuestionContract

BundleMaker = Callable[..., Path]
SIDE = 1500  # of the matrix that the slow graph works on
LONG = "play " * 5


def loaded(folder: Path, **limits: Any) -> Any:
    return ft.load(folder, threads=1, limits=ft.Limits(**limits))


@pytest.fixture(scope="module")
def slow_bundle(make_bundle: BundleMaker, onnx_writer: SimpleNamespace) -> Path:
    """A classifier whose graph takes many seconds, in operators that each take some milliseconds."""
    node, tensor = onnx_writer.node, onnx_writer.tensor
    table, head = weights()
    nodes = [
        node("Gather", ["table", "input_ids"], ["embedded"]),
        node("ReduceMean", ["embedded"], ["pooled"], axes=[1], keepdims=0),
        node("MatMul", ["pooled", "head"], ["plain"]),
        node("ReduceMean", ["plain"], ["one"], keepdims=0),
        node("Expand", ["one", "side"], ["x0"]),
        *(node("Softmax", [f"x{number}"], [f"x{number + 1}"]) for number in range(1000)),
        node("ReduceMean", ["x1000"], ["mean"], keepdims=0),
        node("Add", ["plain", "mean"], ["logits"]),
    ]
    tensors = [tensor("table", table), tensor("head", head), tensor("side", np.array([SIDE, SIDE]))]
    inputs = [onnx_writer.value(name, 7, ("batch", "sequence")) for name in ("input_ids", "attention_mask")]
    outputs = [onnx_writer.value("logits", 1, ("batch", len(LABELS)))]
    return make_bundle(graph=onnx_writer.model(nodes, tensors, inputs, outputs), golden=False)


@pytest.fixture(scope="module")
def per_token(make_bundle: BundleMaker, onnx_writer: SimpleNamespace) -> BundleMaker:
    """Makes a bundle with two outputs for each token, of a task to choose."""
    table = np.zeros((len(SPECIAL) + len(WORDS), 2), np.float32)
    graph = onnx_writer.model(
        [onnx_writer.node("Gather", ["table", "input_ids"], ["logits"])],
        [onnx_writer.tensor("table", table)],
        [onnx_writer.value(name, 7, ("batch", "sequence")) for name in ("input_ids", "attention_mask")],
        [onnx_writer.value("logits", 1, ("batch", "sequence", 2))],
    )
    return lambda **changes: make_bundle(graph=graph, golden=False, **changes)


# --- values ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, -1, True, "3", 1.5])
def test_a_limit_that_is_no_number_above_zero_is_refused_by_name(value: Any) -> None:
    for field in fields(ft.Limits):
        if value == 1.5 and field.name.endswith("seconds"):
            continue
        with pytest.raises(ft.InputError, match=f"{field.name} must be a .*number"):
            ft.Limits(**{field.name: value})


def test_none_switches_every_limit_off(shared_bundle: Path) -> None:
    with loaded(shared_bundle, **{field.name: None for field in fields(ft.Limits)}) as model:
        assert model(LONG).label in LABELS


def test_anything_but_limits_is_refused(shared_bundle: Path) -> None:
    wrong: Any = {"texts": 3}
    for load in (ft.load, ft.TextClassifier.load):
        with pytest.raises(ft.InputError, match=r"must be ftool_runtime\.Limits"):
            load(shared_bundle, limits=wrong)


# --- texts ----------------------------------------------------------------------------------------------------------


def test_a_text_with_too_many_characters_is_refused_with_its_row(shared_bundle: Path) -> None:
    with loaded(shared_bundle, text_characters=len(LONG)) as model:
        assert len(model([LONG, LONG])) == 2
        said = "text 1 has 26 characters, and the limit text_characters is 25"
        with pytest.raises(ft.InputError, match=said) as caught:
            model([LONG, LONG + "x", LONG])
        assert caught.value.row == 1
        with pytest.raises(ft.InputError) as caught:
            list(model.stream([LONG] * 70 + [LONG * 2]))
        assert caught.value.row == 70


def test_a_word_of_ten_million_letters_is_refused_by_default(model: ft.TextClassifier) -> None:
    with pytest.raises(ft.InputError, match=r"10,000,000 characters.*text_characters is 1,000,000"):
        model("x" * 10_000_000)


def test_every_kind_of_model_counts_characters(
    per_token: BundleMaker, make_bundle: BundleMaker, make_generator: Callable[..., Path]
) -> None:
    tags = {"task": "token-classification", "labels": ("O", "B-x"), "entities": EntityContract(stride=2)}
    with loaded(per_token(**tags), text_characters=10) as tagger:
        for call in (tagger, lambda text: tagger.tags([text.split()])):
            with pytest.raises(ft.InputError, match="text 0 has") as caught:
                call(LONG)
            assert caught.value.row == 0
    asks = {
        "task": "question-answering",
        "labels": (),
        "questions": QuestionContract(stride=2, max_answer_length=3),
    }
    with loaded(per_token(**asks), text_characters=10) as reader:
        with pytest.raises(ft.InputError, match="context 0 has"):
            reader("play", LONG)
        with pytest.raises(ft.InputError, match="question 0 has"):
            reader(LONG, "play")
    vectors = EmbeddingContract(
        dimension=len(LABELS), pooling="mean", normalize=False, prompts={"query": "play "}
    )
    folder = make_bundle(task="feature-extraction", labels=(), embedding=vectors, golden=False)
    with loaded(folder, text_characters=10) as embedder, pytest.raises(ft.InputError, match="text 0 has"):
        embedder(LONG, kind="query")
    for source in (False, True):
        with loaded(make_generator(source=source), text_characters=10) as generator:
            for call in (generator, generator.stream, lambda text: generator.tokenize([text])):
                with pytest.raises(ft.InputError, match="text 0 has"):
                    call(LONG)


def test_a_call_takes_no_more_texts_than_the_limit(shared_bundle: Path) -> None:
    with loaded(shared_bundle, texts=3) as model:
        assert len(model(["play"] * 3)) == 3
        for call in (model, model.outputs, model.encode):
            with pytest.raises(ft.InputError, match=r"at most 3 inputs \(the limit texts\)") as caught:
                call(itertools.repeat("play"))
            assert caught.value.row == 3
        assert len(list(itertools.islice(model.stream(itertools.repeat("play")), 100))) == 100


def test_readers_and_taggers_count_their_inputs_too(per_token: BundleMaker) -> None:
    tags = {"task": "token-classification", "labels": ("O", "B-x"), "entities": EntityContract(stride=2)}
    with loaded(per_token(**tags), texts=2) as tagger, pytest.raises(ft.InputError, match="the limit texts"):
        tagger.tags(itertools.repeat(["play"]))
    asks = {
        "task": "question-answering",
        "labels": (),
        "questions": QuestionContract(stride=2, max_answer_length=3),
    }
    with loaded(per_token(**asks), texts=2) as reader:
        with pytest.raises(ft.InputError, match="the limit texts"):
            reader("play", itertools.repeat("music"))
        with pytest.raises(ft.InputError, match="the limit texts"):
            reader(itertools.repeat({"question": "play", "context": "music"}))


# --- answers and bundles --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("beams", [1, 2])
def test_an_answer_ends_at_the_limit_of_tokens(make_generator: Callable[..., Path], beams: int) -> None:
    options = {"max_new_tokens": 20, "min_new_tokens": 20, "num_beams": beams}
    with loaded(make_generator()) as model:
        whole = model("turn on", **options)
    with loaded(make_generator(), new_tokens=4) as model:
        cut = model("turn on", **options)
        assert (
            model("turn on", max_new_tokens=2, min_new_tokens=2).token_ids == whole.token_ids[:2] or beams > 1
        )
    assert (len(whole.token_ids), len(cut.token_ids), cut.finish_reason) == (20, 4, "length")
    assert cut.token_ids == whole.token_ids[:4] or beams > 1


def test_a_bundle_that_is_too_large_is_refused_before_its_files_are_read(bundle: Path) -> None:
    size = sum(record.bytes for record in ft.Manifest.read(bundle).files.values())
    with loaded(bundle, bundle_bytes=size) as model:
        assert model("play").label in LABELS
    for path in bundle.rglob("*.*"):
        if path.name != "ftool.json" and path.is_file():
            path.unlink()  # to read one would be a BundleError
    for load in (ft.load, ft.TextClassifier.load):
        with pytest.raises(
            ft.InputError, match=f"of {size:,} bytes, and the limit bundle_bytes is {size - 1:,}"
        ):
            load(bundle, limits=ft.Limits(bundle_bytes=size - 1))


# --- seconds --------------------------------------------------------------------------------------------------------


def test_a_call_that_takes_too_long_is_ended(slow_bundle: Path) -> None:
    with loaded(slow_bundle, call_seconds=0.1) as model:
        for call in (model, model.outputs, lambda texts: list(model.stream(texts))):
            started = time.perf_counter()
            with pytest.raises(ft.TimeLimitError, match=r"longer than 0\.1 s, the limit call_seconds"):
                call(["play"])
            assert time.perf_counter() - started < 2


def test_all_runs_of_a_call_share_its_time(slow_bundle: Path) -> None:
    with ft.load(slow_bundle, threads=2, limits=ft.Limits(call_seconds=0.1)) as model:
        started = time.perf_counter()
        with pytest.raises(ft.TimeLimitError):
            model(["play " * length for length in range(1, 15)])
        assert time.perf_counter() - started < 2


def test_one_threads_deadline_does_not_end_anothers_call(slow_bundle: Path, shared_bundle: Path) -> None:
    errors: list[BaseException] = []

    def ended() -> None:
        try:
            with loaded(slow_bundle, call_seconds=0.2) as model:
                model("play")
        except ft.TimeLimitError as error:
            errors.append(error)

    with loaded(shared_bundle, call_seconds=60) as quick:
        thread = threading.Thread(target=ended)
        thread.start()
        while thread.is_alive():
            assert quick("play").label in LABELS
        thread.join()
    assert len(errors) == 1


def test_a_call_within_its_time_answers_as_without_a_limit(
    shared_bundle: Path,
    model: ft.TextClassifier,
    make_generator: Callable[..., Path],
    writer_model: ft.TextGenerator,
) -> None:
    with loaded(shared_bundle, call_seconds=60) as timed:
        assert timed("play music").label == model("play music").label
    with loaded(make_generator(), call_seconds=60) as timed:
        assert timed("play music").token_ids == writer_model("play music").token_ids
        assert "".join(timed.stream("play music")) == "".join(writer_model.stream("play music"))
    assert not [
        one for one in threading.enumerate() if isinstance(one, threading.Timer) and not one.finished.is_set()
    ]


def test_generating_ends_when_the_time_is_over(make_generator: Callable[..., Path]) -> None:
    options = {"max_new_tokens": 80, "min_new_tokens": 80}
    for caches, source in itertools.product(("in_place", "joined"), (False, True)):
        with loaded(make_generator(caches=caches, source=source), call_seconds=0.001) as model:
            with pytest.raises(ft.TimeLimitError):
                model(["turn on", "play"] * 20, **options)
            stream = model.stream("turn on", **options)
            with pytest.raises(ft.TimeLimitError):
                [time.sleep(0.01) for _ in stream]
