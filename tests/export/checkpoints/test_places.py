"""What is no checkpoint is told at once: nothing there, a file, a bundle, another format, folders of checkpoints."""

import re
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from ftool_export.checkpoints.classifier import load_classifier
from ftool_export.checkpoints.embedder import load_embedder
from ftool_export.checkpoints.places import require_place
from ftool_export.checkpoints.pretrained import task_of
from ftool_export.errors import CheckpointError

MODEL = '{"model_type": "bert"}'
EACH_LOADER = pytest.mark.parametrize("load", [task_of, load_classifier, load_embedder])


@pytest.fixture(autouse=True)
def unreachable_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A hub on this machine that refuses connections, in another working directory with an empty cache."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path)


@EACH_LOADER
@pytest.mark.parametrize("source", ["missing", "owner/missing", "models/missing"])
def test_a_model_that_is_neither_here_nor_in_the_hub_is_told_without_retries(
    load: object, source: str
) -> None:
    begun = time.perf_counter()
    words = f"{source}: no such folder, not in the hub's cache, and the hub can't be reached. To work offline, run `hf "
    with pytest.raises(CheckpointError, match=re.escape(words)):
        load(source)  # type: ignore[operator]
    assert time.perf_counter() - begun < 5  # transformers tries again for 25 s


@EACH_LOADER
@pytest.mark.parametrize(
    "source", ["", "./missing", "../missing", "~/missing", "/a/b", "a/b/c", "two words", "a\\b"]
)
def test_a_path_that_is_no_folder_is_told(load: object, source: str) -> None:
    with pytest.raises(CheckpointError, match=r": no such folder; give a checkpoint folder or a hub id"):
        load(source)  # type: ignore[operator]


@EACH_LOADER
@pytest.mark.parametrize(
    ("files", "source", "words"),
    [
        (["model.onnx"], "model.onnx", "model.onnx: a model in ONNX format, but an export starts from"),
        (["model.GGUF"], "model.GGUF", "model.GGUF: a model in GGUF format"),
        (["a/model.safetensors"], "a/model.safetensors", "model.safetensors: a file; give the folder"),
        (["a/config.json", "a/onnx/model.onnx"], "a", "a: holds a model in ONNX format (onnx/model.onnx) and no"),
        (["a/model.onnx"], "a", "a: holds a model in ONNX format (model.onnx)"),
        (["a/config.json", "a/ftool.json", "a/onnx/model.onnx"], "a", "a: an ftool bundle, which was exported already"),
        (["a/README.md"], "a", "no config.json in the folder, which holds README.md"),
        (["a/b/c"], "a/b/..", "no config.json in the folder, which holds b"),
        (
            ["a/checkpoint-500/config.json", "a/checkpoint-1500/config.json"],
            "a",
            "no checkpoint in the folder itself, but in checkpoint-1500, checkpoint-500; give one of these, such as "
            "a/checkpoint-1500",
        ),
        (
            ["a/checkpoint-5/adapter_config.json"],
            "a",
            "no checkpoint in the folder itself, but in checkpoint-5; give one of these, such as a/checkpoint-5",
        ),
        (["a/adapter_config.json"], "a", "a: an adapter that does not name the model it was trained on; write"),
        (["a/run/config.json", "a/zip/config.json", "a/zip/ftool.json"], "a", "but in run; give one of these, such as"),
    ],
)  # fmt: skip
def test_what_is_no_checkpoint_is_told_what_it_is(
    load: object, files: list[str], source: str, words: str
) -> None:
    for name in files:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(MODEL)
    with pytest.raises(CheckpointError, match=re.escape(words)):
        load(source)  # type: ignore[operator]


class _Empty(BaseHTTPRequestHandler):
    """A hub that has no models."""

    def do_GET(self) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("X-Error-Message", "Repository not found")
        self.end_headers()

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("load", [require_place, task_of, load_classifier])
def test_a_model_that_the_hub_does_not_have_is_told(
    load: Callable[[str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    with HTTPServer(("127.0.0.1", 0), _Empty) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(
            CheckpointError, match="nobody/nothing: no such folder, and the hub has no such model"
        ):
            load("nobody/nothing")
        server.shutdown()


@EACH_LOADER
@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "1_Dense/model.safetensors", "."])
def test_a_file_that_this_user_may_not_read_is_named(
    load: object, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in ("config.json", "model.safetensors", "1_Dense/model.safetensors"):
        Path("a", path).parent.mkdir(parents=True, exist_ok=True)
        Path("a", path).write_text(MODEL)
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != Path("a", name))  # root may read all
    words = f"{Path('a', name)}: this user may not read it (permission denied); its owner can allow that: chmod a+rX"
    with pytest.raises(CheckpointError, match=re.escape(words)):
        load("a")  # type: ignore[operator]


def test_a_link_to_nothing_is_named() -> None:
    Path("a").mkdir()
    Path("a/config.json").write_text(MODEL)
    Path("a/model.safetensors").symlink_to("../blobs/abc")
    with pytest.raises(CheckpointError, match=r"model\.safetensors: a link to a file that is missing"):
        load_classifier("a")
