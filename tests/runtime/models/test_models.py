"""Loaded models of all tasks: a common stream, answers that contain their input, rows of tokens, loading by class."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import ftool_runtime as ft
from ftool_runtime.bundle.contracts import EmbeddingContract, EntityContract, QuestionContract
from ftool_runtime.errors import InputError
from ftool_runtime.session.onnx_session import OnnxSession
from ftool_runtime.text.encode import Tokens

VOCABULARY = 17
MINUTES = 16  # the token id of "minutes"
CLS, SEP, PLAY, MUSIC = 2, 3, 9, 10


@pytest.fixture(scope="module")
def folders(make_bundle: Callable[..., Path], onnx_writer: SimpleNamespace) -> dict[str, Path]:
    """A bundle of each class whose graph is one encoder, by the class's name."""

    def per_token(width: int, **fields: Any) -> Path:
        table = np.random.default_rng(3).normal(size=(VOCABULARY, width)).astype(np.float32)
        graph = onnx_writer.model(
            [onnx_writer.node("Gather", ["table", "input_ids"], ["logits"])],
            [onnx_writer.tensor("table", table)],
            [onnx_writer.value(name, 7, ("batch", "sequence")) for name in ("input_ids", "attention_mask")],
            [onnx_writer.value("logits", 1, ("batch", "sequence", width))],
        )
        return make_bundle(graph=graph, golden=False, **fields)

    embedding = EmbeddingContract(dimension=3, pooling="mean", normalize=False)
    entities = EntityContract(stride=5, aggregation="first")
    questions = QuestionContract(stride=5, max_answer_length=4, no_answer_threshold=0.0)
    return {
        "TextClassifier": make_bundle(),
        "Embedder": make_bundle(task="feature-extraction", labels=(), embedding=embedding),
        "TokenTagger": per_token(
            3, task="token-classification", labels=("O", "B-x", "I-x"), entities=entities
        ),
        "Reader": per_token(2, task="question-answering", labels=(), questions=questions),
    }


NAMES = ("TextClassifier", "Embedder", "TokenTagger", "Reader")


@pytest.fixture(params=NAMES)
def any_model(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Iterator[Any]:
    with ft.load(folders[request.param], threads=2) as loaded:
        assert type(loaded).__name__ == request.param
        yield loaded


def as_input(model: Any, text: str) -> Any:
    return {"question": "play", "context": text} if isinstance(model, ft.Reader) else text


def test_a_number_that_is_not_finite_names_the_row_of_the_stream(
    any_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = OnnxSession.run

    def poisoned(
        session: OnnxSession, output: str, feeds: dict[str, NDArray[np.int64]]
    ) -> NDArray[np.float32]:
        values = original(session, output, feeds)
        values[(feeds["input_ids"] == MINUTES).any(axis=1)] = np.nan
        return values

    monkeypatch.setattr(OnnxSession, "run", poisoned)
    texts = [as_input(any_model, "minutes" if row == 70 else "play music") for row in range(80)]
    with pytest.raises(ft.BundleError, match="text 70 is not a finite number"):
        list(any_model.stream(texts, batch_size=64))
    with pytest.raises(ft.BundleError, match="text 6 is not a finite number"):
        any_model(texts[64:])


def test_a_stream_takes_inputs_as_answers_are_asked_for_and_equals_a_call(any_model: Any) -> None:
    texts = [as_input(any_model, text) for text in ("play", "music for ten", "turn off", "on", "set a timer")]
    taken = []

    def asked() -> Iterator[Any]:
        for text in texts:
            taken.append(text)
            yield text

    answers = any_model.stream(asked(), batch_size=2)
    first = next(answers)
    assert len(taken) == 2
    found = [first, *answers]
    if isinstance(any_model, ft.Embedder):
        np.testing.assert_allclose([one.vector for one in found], any_model(texts), atol=1e-6)
    else:
        assert [repr(one) for one in found] == [repr(one) for one in any_model(texts)]
    assert [one.input for one in found] == texts
    with pytest.raises(ft.InputError, match="must be strings in a list"):
        any_model.stream("play")


def test_an_answer_carries_its_input(any_model: Any) -> None:
    text = as_input(any_model, "play music")
    answer = next(any_model.stream([text]))
    assert answer.input == text
    assert answer.to_json() == answer.to_json(text)


def test_token_rows_are_those_that_the_graph_gets(any_model: Any) -> None:
    [[row]] = any_model.encode([as_input(any_model, "play music")])
    asked = [PLAY, SEP] if isinstance(any_model, ft.Reader) else []
    assert row == Tokens([CLS, *asked, PLAY, MUSIC, SEP])


def test_an_embedding_tells_that_its_text_was_cut(folders: dict[str, Path]) -> None:
    with ft.Embedder.load(folders["Embedder"]) as embedder:
        whole, cut = embedder.embed(["play", "music " * 40])
        assert (whole.truncated, cut.truncated) == (False, True)
        np.testing.assert_array_equal(embedder.embed("play").vector, embedder("play"))
        assert embedder.embed([]) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_class_loads_only_bundles_of_its_own_task(name: str, folders: dict[str, Path]) -> None:
    with getattr(ft, name).load(folders[name], threads=1) as loaded:
        assert type(loaded) is getattr(ft, name)
    other = NAMES[NAMES.index(name) - 1]
    with pytest.raises(ft.BundleError, match=rf"is a bundle for [a-z-]+, which {name} does not run"):
        getattr(ft, name).load(folders[other])


@pytest.mark.parametrize("name", NAMES)
def test_load_refuses_the_bundle_of_another_task_than_it_is_asked_for(
    name: str, folders: dict[str, Path]
) -> None:
    task = getattr(ft, name).tasks[0]
    with ft.load(folders[name], task=task, threads=1) as loaded:
        assert type(loaded) is getattr(ft, name)
    other = NAMES[NAMES.index(name) - 1]
    with pytest.raises(ft.BundleError, match=rf"is a bundle for [a-z-]+, not for '{task}'.*{other}\.load"):
        ft.load(folders[other], task=task)


def test_a_task_that_no_class_runs_is_refused_with_the_nearest(folders: dict[str, Path]) -> None:
    with pytest.raises(ft.InputError, match="got 'text-clasification'; did you mean 'text-classification'"):
        ft.load(folders["TextClassifier"], task="text-clasification")


def test_regressors_load_what_classifiers_refuse(make_bundle: Callable[..., Path]) -> None:
    folder = make_bundle(golden=False, labels=(), regression=True)
    with pytest.raises(ft.BundleError, match="text-classification with numbers as answers"):
        ft.TextClassifier.load(folder)
    with pytest.raises(
        ft.BundleError, match=r"not for 'text-classification'; .* ftool_runtime\.TextRegressor\.load"
    ):
        ft.load(folder, task="text-classification")
    assert isinstance(ft.load(folder), ft.TextRegressor)
    with pytest.raises(ft.BundleError, match="graph gave an array"), ft.TextRegressor.load(folder) as model:
        model("play")  # the tiny graph gives three numbers


def test_several_numbers_have_names(make_bundle: Callable[..., Path]) -> None:
    names = ("grammar", "style", "content")
    folder = make_bundle(golden=False, labels=names, regression=True)
    with pytest.raises(ft.BundleError, match="numbers as answers, which TextRegressor does not run"):
        ft.TextRegressor.load(folder)
    with pytest.raises(ft.BundleError, match=r"ftool_runtime\.MultiRegressor\.load"):
        ft.load(folder, task="text-classification")
    with ft.MultiRegressor.load(folder) as model:
        assert (model.labels, model.info()["numbers"]) == (names, list(names))
        one, two = model(["play", "stop now"])
        assert isinstance(one, ft.Scores)
        logits = model.logits(["play", "stop now"])
        assert [list(answer.values) for answer in (one, two)] == [list(names)] * 2
        np.testing.assert_array_equal([list(answer.values.values()) for answer in (one, two)], logits)
        assert one.to_json() == {"text": "play", "scores": dict(one.values), "truncated": False}
        with pytest.raises(ft.InputError, match="this model gives numbers"):
            model("play", top_k=2)
    with pytest.raises(ft.BundleError, match="'style' appears more than once"):
        make_bundle(golden=False, labels=("style", "style", "content"), regression=True)


@pytest.mark.parametrize("kind", ["pandas", "pyarrow"])
@pytest.mark.parametrize(
    "call",
    [
        lambda model, table: model(table),
        lambda model, table: list(model.stream(table)),
        lambda model, table: model.encode(table),
        lambda model, table: model.outputs(table),
    ],
    ids=["call", "stream", "encode", "outputs"],
)
def test_a_table_is_refused_with_its_columns(any_model: Any, kind: str, call: Callable[..., Any]) -> None:
    library = pytest.importorskip(kind)
    make = library.DataFrame if kind == "pandas" else library.table
    table = make({"body": ["play", "music"], "label": ["a", "b"]})
    with pytest.raises(
        InputError, match=r"got a (DataFrame|Table), a table; give one of its columns, such as"
    ):
        call(any_model, table)


def test_a_reader_refuses_a_table_of_contexts(folders: dict[str, Path]) -> None:
    pandas = pytest.importorskip("pandas")
    with (
        ft.load(folders["Reader"]) as model,
        pytest.raises(
            InputError, match=r"contexts must be strings .* give one of its columns, such as \['body'\]"
        ),
    ):
        model("play", pandas.DataFrame({"body": ["music"]}))


@pytest.mark.parametrize("make", ["Series", "numpy"])
def test_a_column_of_a_table_is_answered_like_a_list(any_model: Any, make: str) -> None:
    pandas = pytest.importorskip("pandas")
    inputs = [as_input(any_model, text) for text in ("play", "music")]
    column = pandas.Series(inputs, index=["b", "a"]) if make == "Series" else np.array(inputs, dtype=object)
    found, expected = (list(any_model.outputs(given)) for given in (column, inputs))
    assert len(found) == len(expected) == 2
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


def test_an_array_without_axes_is_refused(any_model: Any) -> None:
    with pytest.raises(InputError, match="texts must be strings in a list or another iterable, got ndarray"):
        list(any_model.stream(np.array("play")))


@pytest.mark.parametrize(
    "batches",
    [None, 3, "play", b"play", {"text": "play"}, ["play"], [None], [3], [{"text": "play"}], [b"play"]],
    ids=str,
)
def test_batches_that_are_no_lists_of_texts_are_refused(any_model: Any, batches: Any) -> None:
    with pytest.raises(
        InputError, match=r"(batches|texts of a batch) must be .* in a list or another iterable, got"
    ):
        list(any_model.predict_batches(batches))


def test_a_batch_may_be_any_iterable(any_model: Any) -> None:
    inputs = [as_input(any_model, text) for text in ("play", "music")]
    [found] = any_model.predict_batches(iter([iter(inputs)]))
    expected = any_model(inputs)
    assert [
        np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b
        for a, b in zip(found, expected, strict=True)
    ]


CHOICES = {"TokenTagger": "aggregation", "Embedder": "kind", "TextClassifier": "none_below"}


@pytest.mark.parametrize(
    "value",
    [
        np.array(["first", "query"]),
        np.array([]),
        ["first"],
        {"first"},
        {},
        b"first",
        10**400,
        object,
        "\x1b[31m" * 10_000,
    ],
    ids=lambda value: f"{type(value).__name__}-{len(str(value)) if type(value) is not int else 400}",
)
@pytest.mark.parametrize("name", CHOICES)
def test_an_option_of_any_other_type_is_refused_in_one_short_line(
    name: str, value: Any, folders: dict[str, Path]
) -> None:
    with ft.load(folders[name]) as model, pytest.raises(InputError) as caught:
        model("play", **{CHOICES[name]: value})
    assert len(str(caught.value)) <= 4000
    assert str(caught.value).isprintable()
    for wrong in ("device", "profile", "task"):
        with pytest.raises(InputError):
            ft.load(folders[name], **{wrong: value})
