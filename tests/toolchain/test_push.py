"""`ftool push`: the model card that it writes, what it sends to a hub on this machine, and what the hub refuses."""

import base64
import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard
from tests.helpers.cli import ftool, told
from tests.helpers.tiny_models import TinyModels

import ftool_runtime as ft

CLASSIFIER = "text-classification"


@dataclass
class Hub:
    """The files of one repository on a hub that speaks the part of the protocol that an upload needs."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    private: bool | None = None
    was_public: bool = False  # before the push
    status: int = 200  # of every answer


class Handler(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        names = [{"type": "file", "path": path, "size": 1, "oid": "0" * 40} for path in self.hub.files]
        if "/tree/" in self.path:
            return self.answer(names)
        return self.answer(
            {
                "private": not self.hub.was_public,
                "id": "me/bank",
                "sha": "0" * 40,
                "siblings": [{"rfilename": one} for one in self.hub.files],
            }
        )

    def do_PUT(self) -> None:
        content = self.body()
        self.hub.blobs[hashlib.sha256(content).hexdigest()] = content
        self.answer({})

    def do_POST(self) -> None:
        body = self.body()
        if self.path.endswith("/commit/main"):
            return self.commit([json.loads(line) for line in body.splitlines()])
        asked = json.loads(body)
        if self.path.endswith("/repos/create"):
            self.hub.private = asked.get("visibility") == "private"
            return self.answer({"url": f"{self.hub.url}/me/bank"})
        if self.path.endswith("/preupload/main"):
            kind = {True: "lfs", False: "regular"}
            return self.answer({"files": [
                {"path": one["path"], "uploadMode": kind[one["size"] > 50_000], "shouldIgnore": False}
                for one in asked["files"]
            ]})  # fmt: skip
        if self.path.endswith("/objects/batch"):
            return self.answer({"transfer": "basic", "objects": [
                {**one, "actions": {"upload": {"href": f"{self.hub.url}/blob"}}} for one in asked["objects"]
            ]})  # fmt: skip
        return self.answer({"errors": [], "warnings": []})

    def commit(self, lines: list[dict[str, Any]]) -> None:
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                self.hub.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                self.hub.files[value["path"]] = self.hub.blobs[value["oid"]]
            elif line["key"] == "deletedFile":
                del self.hub.files[value["path"]]
        self.answer({"commitUrl": f"{self.hub.url}/me/bank/commit/{'1' * 40}", "commitOid": "1" * 40})

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def answer(self, values: Any) -> None:
        content = json.dumps(values if self.hub.status == 200 else {"error": "no"}).encode()
        self.send_response(self.hub.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("HubHandler", (Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # git LFS, as for hubs without xet
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    yield hub
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_dry_run_sends_nothing_and_shows_a_valid_card(exported: TinyModels) -> None:
    report = told(
        "push",
        exported[CLASSIFIER],
        "--to",
        "me/bank",
        "--language",
        "en",
        "--dataset",
        "me/topics",
        "--dry-run",
    )

    assert report["url"] is None
    assert {"README.md", "ftool.json", "onnx/model.onnx"} <= {one["path"] for one in report["files"]}
    card = ModelCard(report["card"]).data.to_dict()
    header = yaml.safe_load(report["card"].split("---")[1])
    assert card["pipeline_tag"] == CLASSIFIER
    assert card["language"] == ["en"]
    assert card["datasets"] == ["me/topics"]
    assert header["model-index"][0]["results"][0]["dataset"]["type"] == "me/topics"
    assert 0 <= header["model-index"][0]["results"][0]["metrics"][0]["value"] <= 1
    assert 'snapshot_download("me/bank")' in report["card"]


def test_what_is_published_loads_and_replaces_what_was_there(
    exported: TinyModels, hub: Hub, tmp_path: Path
) -> None:
    hub.files["onnx/former.onnx"] = b"weights of an earlier export"

    report = told("push", exported[CLASSIFIER], "--to", "me/bank", "--private")

    assert report["url"].startswith(hub.url)
    assert hub.private is True
    assert "onnx/former.onnx" not in hub.files
    for path, content in hub.files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    with ft.load(tmp_path) as published, ft.load(exported[CLASSIFIER] / "bundle") as original:
        assert published("play some music") == original("play some music")


def test_an_altered_bundle_is_not_published(exported: TinyModels, hub: Hub, tmp_path: Path) -> None:
    bundle = shutil.copytree(exported[CLASSIFIER] / "bundle", tmp_path / "bundle")
    model = bundle / "onnx" / "model.onnx"
    content = bytearray(model.read_bytes())
    content[-1] ^= 1
    model.write_bytes(content)

    result = ftool("push", bundle, "--to", "me/bank")

    assert result.exit_code == 2
    assert "onnx/model.onnx" in result.stderr
    assert hub.files == {}


@pytest.mark.parametrize(
    ("status", "words"), [(401, "HF_TOKEN"), (403, "HF_TOKEN"), (400, "refuses me/bank")]
)
def test_what_the_hub_refuses_is_one_line_with_a_remedy(
    exported: TinyModels, hub: Hub, status: int, words: str
) -> None:
    hub.status = status

    result = ftool("push", exported[CLASSIFIER], "--to", "me/bank")

    assert result.exit_code == 2
    assert words in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("name", ["a/b/c", "..", "me/ba nk"])
def test_a_wrong_name_is_refused_before_anything_is_sent(exported: TinyModels, hub: Hub, name: str) -> None:
    result = ftool("push", exported[CLASSIFIER], "--to", name)

    assert result.exit_code == 2
    assert name in result.stderr
    assert hub.private is None


def test_a_public_repository_is_not_taken_for_a_private_one(exported: TinyModels, hub: Hub) -> None:
    hub.was_public = True

    result = ftool("push", exported[CLASSIFIER], "--to", "me/bank", "--private")

    assert result.exit_code == 2
    assert "is public" in result.stderr
    assert hub.files == {}


def test_a_hub_that_can_not_be_reached_is_one_line(
    exported: TinyModels, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")

    result = ftool("push", exported[CLASSIFIER], "--to", "me/bank")

    assert result.exit_code == 2
    assert "me/bank can't be published" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
