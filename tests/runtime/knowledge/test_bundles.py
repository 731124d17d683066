"""Knowledge bases with a bundled embedder: how the bundle is found, and which bundles are refused."""

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.approximate import write_approximate

from ftool_runtime.bundle.contracts import EmbeddingContract, InputContract
from ftool_runtime.bundle.manifest import FileRecord, Manifest, Precision
from ftool_runtime.errors import BundleError
from ftool_runtime.knowledge import BundledEmbedder, KnowledgeBase, KnowledgeBaseError
from ftool_runtime.knowledge.models import fingerprint, found_path, recorded_path

DOCUMENTS = {
    "lights.md": ["turn the lights on", "turn the lights off"],
    "music.md": ["play music", "set a timer"],
}

Writer = Callable[..., Path]


@pytest.fixture(scope="session")
def make_embedder(make_bundle: Callable[..., Path]) -> Callable[..., Path]:
    """Makes an embedder bundle of the tiny classifier's graph: a vector is its three logits, not normalised."""

    def make(**contract: Any) -> Path:
        embedding = EmbeddingContract(dimension=3, pooling="mean", normalize=False, **contract)
        return make_bundle(task="feature-extraction", labels=(), embedding=embedding)

    return make


@pytest.fixture
def shipped(tmp_path: Path, make_embedder: Callable[..., Path], write_base: Writer, meta: Any) -> Path:
    """A knowledge base in a folder together with its embedder's bundle."""
    bundle = shutil.copytree(make_embedder(), tmp_path / "embedder")
    embedder = BundledEmbedder(bundle, threads=1)
    path = write_base(
        DOCUMENTS, embedder, meta=replace(meta, embedder=recorded_path(bundle, tmp_path / "kb.db"))
    )
    embedder.close()
    return path


def test_the_recorded_embedder_is_loaded(shipped: Path) -> None:
    with KnowledgeBase.open(shipped, threads=1) as base:
        assert base.mode == "fused"
        assert base.search("play music", mode="embeddings")[0].text == "play music"
        assert base.search("play music", mode="embeddings")[0].score == pytest.approx(1, abs=2e-3)  # float16


def test_a_folder_is_moved_as_one(shipped: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = shutil.move(shipped.parent, tmp_path_factory.mktemp("elsewhere") / "app")
    with KnowledgeBase.open(Path(elsewhere) / "kb.db", threads=1) as base:
        assert base.mode == "fused"


def test_a_missing_embedder_is_named_with_the_remedy(shipped: Path, make_embedder: Any) -> None:
    shutil.rmtree(shipped.parent / "embedder")
    with pytest.raises(KnowledgeBaseError, match="which no longer exists; give the folder of its bundle"):
        KnowledgeBase.open(shipped)
    with KnowledgeBase.open(shipped, embedder=make_embedder(), threads=1) as base:
        assert base.mode == "fused"


def test_another_bundle_is_refused_by_its_fingerprint(shipped: Path, make_embedder: Any) -> None:
    with pytest.raises(KnowledgeBaseError, match="embedded by another model"):
        KnowledgeBase.open(shipped, embedder=make_embedder(prompts={"query": "turn "}), threads=1)


def test_a_classifiers_bundle_is_refused_as_embedder_or_reader(shipped: Path, shared_bundle: Path) -> None:
    with pytest.raises(
        BundleError, match="is a bundle for text-classification; give one for feature-extraction"
    ):
        KnowledgeBase.open(shipped, embedder=shared_bundle)
    with pytest.raises(BundleError, match="; give one for question-answering"):
        KnowledgeBase.open(shipped, reader=shared_bundle)


def test_fingerprints_of_older_knowledge_bases_still_match() -> None:
    manifest = Manifest(
        ftool="0.1.0",
        created="2026-01-01T00:00:00Z",
        task="feature-extraction",
        name="e",
        architecture="bert",
        base="b",
        labels=(),
        input=InputContract(names=("input_ids", "attention_mask"), max_length=16),
        precision=Precision(),
        attention="plain",
        embedding=EmbeddingContract(dimension=3, pooling="mean", normalize=True),
        files={
            "onnx/model.onnx": FileRecord(bytes=1, sha256="a" * 64),
            "tokenizer.json": FileRecord(bytes=2, sha256="b" * 64),
        },
    )
    # computed by the code from before `truncation_side` and `split_special_tokens` were added
    assert fingerprint(manifest) == "6da892f71f5d22694bee94580501580bd82da60a56960069d514def568a648e4"
    left = replace(manifest, input=replace(manifest.input, truncation_side="left"))
    assert fingerprint(left) != fingerprint(manifest)


def test_fingerprints_depend_on_all_that_determines_vectors(make_embedder: Any) -> None:
    manifest = Manifest.read(make_embedder())
    same = replace(
        manifest,
        name="other",
        created="2030",
        files={name: record for name, record in manifest.files.items() if name != "golden.json"},
    )
    assert fingerprint(manifest) == fingerprint(same)
    shorter = replace(manifest, input=InputContract(names=manifest.input.names, max_length=9))
    assert fingerprint(manifest) != fingerprint(shorter)
    graph = manifest.files["onnx/model.onnx"]
    other = {**manifest.files, "onnx/model.onnx": replace(graph, sha256="0" * 64)}
    assert fingerprint(manifest) != fingerprint(replace(manifest, files=other))


def test_paths_are_recorded_so_that_a_folder_can_be_moved(tmp_path: Path) -> None:
    beside, base = tmp_path / "app" / "models" / "e", tmp_path / "app" / "kb.db"
    assert recorded_path(beside, base) == "models/e"
    assert found_path("models/e", base) == beside
    assert found_path(recorded_path(tmp_path / "cache" / "e", base), base) == tmp_path / "cache" / "e"


def ask(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ftool_runtime", "ask", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_question_on_the_command_line(shipped: Path) -> None:
    done = ask(shipped, "play music", "-k", "1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "1.00  music.md, characters 0 to 10\n  play music\n"
    answer = json.loads(ask(shipped, "lights off", "--json", "--mode", "bm25").stdout)
    assert answer["passages"][0]["text"] == "turn the lights off"
    assert (answer["text"], answer["read"]) == (None, False)


def test_a_question_on_the_command_line_without_the_approximate_index(shipped: Path) -> None:
    pytest.importorskip("usearch", reason="an approximate index needs usearch")
    with KnowledgeBase.open(shipped) as base:
        dimension = base.info()["dimension"]
    write_approximate(shipped, dimension)
    right = ask(shipped, "play music", "-k", "1")
    with closing(sqlite3.connect(shipped)) as connection:
        connection.execute("DELETE FROM approximate_parts")
        connection.commit()
    refused = ask(shipped, "play music")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "its approximate index is damaged" in refused.stderr
    exact = ask(shipped, "play music", "-k", "1", "--exact")
    assert (exact.returncode, exact.stdout) == (0, right.stdout)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.db", "a"], "there is no knowledge base nowhere.db"),
        (["KB", " "], "the question is empty"),
        (["KB", "a", "-k", "0"], "k must be at least 1, got 0"),
        (["KB", "a", "--mode", "best"], "invalid choice: 'best'"),
        (["KB", "a", "--embedder", "none", "--mode", "fused"], 'mode "fused" needs an embedder'),
        (["KB"], "the following arguments are required: QUESTION"),
    ],
)
def test_a_wrong_call_is_refused_in_one_line(shipped: Path, arguments: list[str], said: str) -> None:
    done = ask(*(shipped if argument == "KB" else argument for argument in arguments))
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
