"""The embedder of a bundle: vectors equal the graph's output, prompts depend on the kind, wrong calls are refused."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import ftool_runtime as ft
from ftool_runtime.bundle.contracts import EmbeddingContract
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.errors import BundleError, InputError

TEXTS = ["turn the lights off", "play music", "set a timer for ten"]


@pytest.fixture(scope="session")
def embedder_bundle(make_bundle: Callable[..., Path]) -> Callable[..., Path]:
    """Makes a bundle whose vectors equal the tiny classifier's logits."""

    def make(*, quantised: bool = False, **contract: Any) -> Path:
        embedding = EmbeddingContract(**{"dimension": 3, "pooling": "mean", "normalize": False} | contract)
        return make_bundle(quantised=quantised, task="feature-extraction", labels=(), embedding=embedding)

    return make


@pytest.fixture(scope="session")
def embedder(embedder_bundle: Callable[..., Path]) -> Iterator[ft.Embedder]:
    folder = embedder_bundle(prompts={"query": "turn ", "passage": "play music "})
    with ft.Embedder.load(folder, threads=2) as loaded:
        yield loaded


def test_a_text_gives_a_vector_and_texts_give_rows(
    embedder: ft.Embedder, reference: Callable[[str], NDArray[np.float64]]
) -> None:
    one, many = embedder(TEXTS[0]), embedder(TEXTS)
    assert (one.shape, one.dtype, many.shape, many.dtype) == ((3,), np.float32, (3, 3), np.float32)
    np.testing.assert_allclose(many, [reference(text) for text in TEXTS], atol=1e-4)
    np.testing.assert_allclose(many[0], one, atol=1e-6)
    assert embedder([]).shape == (0, 3)
    assert (embedder.dimension, embedder.normalized) == (3, False)


def test_kinds_put_their_prompt_before_the_text(embedder: ft.Embedder) -> None:
    np.testing.assert_array_equal(embedder("the lights", kind="query"), embedder("turn the lights"))
    np.testing.assert_array_equal(embedder(["ten"], kind="passage"), embedder(["play music ten"]))
    np.testing.assert_array_equal(
        embedder.outputs([{"text": "the lights", "kind": "query"}, "play music"]),
        embedder(["turn the lights", "play music"]),
    )


def test_a_kind_without_a_prompt_changes_nothing(embedder_bundle: Callable[..., Path]) -> None:
    with ft.Embedder.load(embedder_bundle(), threads=1) as model:
        np.testing.assert_array_equal(model("play music", kind="query"), model("play music"))


def test_int8_vectors_are_independent_of_the_batch(embedder_bundle: Callable[..., Path]) -> None:
    with ft.Embedder.load(embedder_bundle(quantised=True), threads=2) as model:
        alone = np.stack([model(text) for text in [*TEXTS, "minutes"]])
        np.testing.assert_array_equal(model([*TEXTS, "minutes"]), alone)


def test_similarity_is_the_cosine_or_the_dot_product(embedder_bundle: Callable[..., Path]) -> None:
    first, second = np.array([3, 4, 0]), np.array([[6, 8, 0], [-4, 3, 0], [0, 0, 2]])
    with ft.Embedder.load(embedder_bundle(), threads=1) as model:
        np.testing.assert_allclose(model.similarity(first, second), [1, 0, 0], atol=1e-6)
        assert model.similarity(first, second[0]).shape == ()
        assert model.similarity(second, second).shape == (3, 3)
        with pytest.raises(InputError, match=r"\(n, 3\) or \(3,\), got \(2,\)"):
            model.similarity([1, 2], second)
        with pytest.raises(InputError, match="compares vectors, as a call of the embedder returns them"):
            model.similarity("a", "b")
        with pytest.raises(InputError, match="compares vectors, as a call of the embedder returns them"):
            model.similarity([[1, 2, 3], [1]], second)
    with ft.Embedder.load(embedder_bundle(similarity="dot"), threads=1) as model:
        np.testing.assert_allclose(model.similarity(first, second), [50, 0, 0], atol=1e-6)


def test_streams_keep_the_order_and_say_what_was_cut(embedder: ft.Embedder) -> None:
    texts = [*TEXTS, "music " * 40]
    found = list(embedder.predict_iter(iter(texts), batch_size=3))
    np.testing.assert_allclose([one.vector for one in found], embedder(texts), atol=1e-6)
    assert [one.truncated for one in found] == [False, False, False, True]
    assert json.loads(json.dumps(found[0].to_json(TEXTS[0])))["text"] == TEXTS[0]
    np.testing.assert_array_equal(
        np.array(found[0].to_json("x")["embedding"], dtype=np.float32), found[0].vector
    )


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda model: model("  "), "text 0 is empty"),
        (lambda model: model(["ten", ""]), "text 1 is empty"),
        (lambda model: model(["ten", None]), "text 1 must be a string, got NoneType"),
        (lambda model: model(b"ten"), "must be strings in a list"),
        (lambda model: model("ten", kind="document"), "kind is query or passage, got 'document'"),
        (lambda model: model.predict_batches([], kind="x"), "kind is query or passage"),
        (lambda model: model.outputs([{"text": "ten", "sort": "query"}]), 'a "text" with its "kind"'),
        (lambda model: list(model.predict_iter(["ten", " "], batch_size=1)), "text 1 is empty"),
    ],
)
def test_what_cannot_be_embedded_is_refused(
    call: Callable[[ft.Embedder], object], words: str, embedder: ft.Embedder
) -> None:
    with pytest.raises(InputError, match=words):
        call(embedder)


def test_a_manifest_that_does_not_fit_the_graph_is_refused(
    embedder_bundle: Callable[..., Path], make_bundle: Callable[..., Path]
) -> None:
    folder = embedder_bundle()
    text = (folder / "ftool.json").read_text()
    manifest = Manifest.read(folder)
    assert manifest.embedding is not None
    replace(manifest, embedding=replace(manifest.embedding, dimension=4)).write(folder)
    with (
        ft.Embedder.load(folder, threads=1) as model,
        pytest.raises(BundleError, match="export the bundle again"),
    ):
        model("ten")
    (folder / "ftool.json").write_text(text.replace('"pooling": "mean"', '"pooling": "max"'))
    with pytest.raises(BundleError, match="knows mean, cls, last, got 'max'"):
        Manifest.read(folder)
    with pytest.raises(BundleError, match='no "embedding", which feature-extraction needs'):
        ft.load(make_bundle(task="feature-extraction", golden=False))


def test_verify_replays_the_golden_vectors(embedder_bundle: Callable[..., Path]) -> None:
    report = ft.verify(embedder_bundle())
    assert report.passed
    assert report.replay is not None
    assert report.replay.examples == 3


def test_predict_writes_a_vector_a_line(embedder_bundle: Callable[..., Path]) -> None:
    folder = embedder_bundle(prompts={"query": "turn "})
    command = [sys.executable, "-m", "ftool_runtime", "predict", str(folder)]
    plain = subprocess.run([*command, *TEXTS], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in plain.stdout.splitlines()]
    assert [line["text"] for line in lines] == TEXTS
    with ft.Embedder.load(folder, threads=1) as model:
        np.testing.assert_allclose([line["embedding"] for line in lines], model(TEXTS), atol=1e-6)
        asked = subprocess.run(
            [*command, "--kind", "query", "ten"], capture_output=True, text=True, check=True
        )
        np.testing.assert_allclose(json.loads(asked.stdout)["embedding"], model("turn ten"), atol=1e-6)


def test_kind_is_refused_for_other_models(shared_bundle: Path) -> None:
    command = [sys.executable, "-m", "ftool_runtime", "predict", str(shared_bundle), "--kind", "query", "ten"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--kind is not for text-classification" in done.stderr
