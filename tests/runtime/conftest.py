"""Fixtures: tiny bundles of classifiers and generators, made only with onnxruntime, numpy and tokenizers."""

import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.helpers import tiny_bundles
from tests.helpers.onnx_writer import ONNX_WRITER
from tests.helpers.tiny_bundles import tiny_graph, write_bundle
from tests.helpers.tiny_generators import Floats, greedy_of, logits_of, write_generator

import ftool_runtime as ft

BundleMaker = Callable[..., Path]
GeneratorMaker = Callable[..., Path]


@pytest.fixture(scope="session")
def make_bundle(tmp_path_factory: pytest.TempPathFactory) -> BundleMaker:
    """Makes a tiny bundle in a new folder; keyword arguments change fields of its manifest."""

    def make(**given: Any) -> Path:
        folder = tmp_path_factory.mktemp("bundle")
        write_bundle(folder, **given)
        return folder

    return make


@pytest.fixture(scope="session")
def shared_bundle(make_bundle: BundleMaker) -> Path:
    """A tiny fp32 bundle that no test changes."""
    return make_bundle()


@pytest.fixture
def bundle(shared_bundle: Path, tmp_path: Path) -> Path:
    """A tiny fp32 bundle of the test's own, to damage."""
    return shutil.copytree(shared_bundle, tmp_path / "bundle")


@pytest.fixture(scope="session")
def model(shared_bundle: Path) -> Iterable[ft.TextClassifier]:
    """The tiny fp32 bundle, loaded with two threads."""
    with ft.TextClassifier.load(shared_bundle, threads=2) as loaded:
        yield loaded


@pytest.fixture(scope="session")
def reference() -> Callable[[str], NDArray[np.float64]]:
    """The logits that the fp32 graph must give for a text, computed from the weights."""
    return tiny_bundles.reference_logits


@pytest.fixture(scope="session")
def onnx_writer() -> SimpleNamespace:
    """Writes nodes, tensors, values and models."""
    return ONNX_WRITER


@pytest.fixture(scope="session")
def graph_of() -> Callable[..., bytes]:
    """Makes the tiny graph with other inputs."""
    return tiny_graph


@pytest.fixture(scope="session")
def make_generator(tmp_path_factory: pytest.TempPathFactory, onnx_writer: SimpleNamespace) -> GeneratorMaker:
    """Makes a tiny generator's bundle: source=True is an encoder-decoder; caches "in_place" or "joined"."""

    def make(*, source: bool = False, caches: str = "in_place", **changes: Any) -> Path:
        folder = tmp_path_factory.mktemp("generator") / "bundle"
        write_generator(folder, onnx_writer, source=source, caches=caches, **changes)
        return folder

    return make


@pytest.fixture(scope="session")
def writer_model(make_generator: GeneratorMaker) -> Iterator[ft.TextGenerator]:
    """A tiny decoder, loaded with two threads."""
    with ft.TextGenerator.load(make_generator(), threads=2) as model:
        yield model


@pytest.fixture(scope="session")
def summariser(make_generator: GeneratorMaker) -> Iterator[ft.Seq2SeqGenerator]:
    """A tiny encoder-decoder, loaded with two threads."""
    with ft.Seq2SeqGenerator.load(make_generator(source=True), threads=2) as model:
        yield model


@pytest.fixture(scope="session")
def greedy() -> Callable[..., list[int]]:
    """The greedy answer of the weights: (prompt, count, source) to token ids."""
    return greedy_of


@pytest.fixture(scope="session")
def reference_logits() -> Callable[..., Floats]:
    """The logits of the weights after each token, for (ids, source)."""
    return logits_of
