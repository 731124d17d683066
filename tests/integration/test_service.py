"""The HTTP service of examples/service, as a process: answers, refusals, metrics, many callers, and a stop."""

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.paths import REPOSITORY

import ftool_runtime as ft

EXAMPLE = REPOSITORY / "examples" / "service"
TEXTS = ["wake me at seven", "louder please", "what is the weather in Nairobi", "turn off the lights"]


@dataclass
class Server:
    process: subprocess.Popen[str]
    port: int

    def ask(self, method: str, path: str, body: Any = None, *, raw: bytes | None = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            content = raw if raw is not None else None if body is None else json.dumps(body).encode()
            connection.request(method, path, content, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read().decode()
            return answer.status, json.loads(text) if text.startswith(("{", "[")) else text
        finally:
            connection.close()

    def answers(self, inputs: list[Any], **options: Any) -> tuple[int, Any]:
        return self.ask("POST", "/answers", {"inputs": inputs, "options": options})


def start(bundle: Path, *flags: str, folder: Path = EXAMPLE) -> Server:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, str(folder / "app.py"), str(bundle), "--port", str(port), *flags],
        stderr=subprocess.PIPE,
        text=True,
    )
    server = Server(process, port)
    for _ in range(600):
        try:
            server.ask("GET", "/health")
            return server
        except OSError:
            if process.poll() is not None:
                raise AssertionError(process.stderr.read() if process.stderr else "") from None
            time.sleep(0.05)
    process.kill()
    raise AssertionError("the service did not start")


def stop(server: Server) -> int:
    server.process.send_signal(signal.SIGTERM)
    status = server.process.wait(timeout=30)
    if server.process.stderr:
        server.process.stderr.close()
    return status


@pytest.fixture(scope="module")
def server(intents_bundle: Path) -> Iterator[Server]:
    server = start(intents_bundle)
    yield server
    assert stop(server) in (0, -signal.SIGTERM)


@pytest.fixture(scope="module")
def model(intents_bundle: Path) -> Iterator[ft.TextClassifier]:
    with ft.TextClassifier.load(intents_bundle, threads=1) as loaded:
        yield loaded


def test_answers_are_those_of_the_model(server: Server, model: ft.TextClassifier) -> None:
    status, found = server.answers(TEXTS, top_k=2)

    assert status == 200
    assert found["answers"] == [answer.to_json() for answer in model(TEXTS, top_k=2)]


def test_health_says_what_is_served(server: Server) -> None:
    status, found = server.ask("GET", "/health")

    assert (status, found["status"], found["task"]) == (200, "ok", "text-classification")


@pytest.mark.parametrize(
    ("body", "words", "row"),
    [
        ({"inputs": ["louder", " "]}, "", 1),
        ({"inputs": ["louder"], "options": {"top_q": 2}}, "top_q", None),
        ({"inputs": ["louder"], "options": {"top_k": 0}}, "top_k", None),
    ],
)
def test_what_the_model_refuses_is_422(server: Server, body: Any, words: str, row: int | None) -> None:
    status, found = server.ask("POST", "/answers", body)

    assert (status, found["row"]) == (422, row)
    assert words in found["error"]


@pytest.mark.parametrize(
    "raw",
    [b"{", b'{"inputs": []}', b'{"inputs": "louder"}', b"[]", b'{"inputs": ["louder"], "top_k": 2}'],
)
def test_a_body_that_is_no_call_is_422(server: Server, raw: bytes) -> None:
    status, found = server.ask("POST", "/answers", raw=raw)

    assert status == 422
    assert found["error"].startswith("body")
    assert found["row"] is None


def test_a_body_that_is_too_large_is_413(server: Server) -> None:
    status, found = server.ask("POST", "/answers", {"inputs": ["louder please " * 100_000]})

    assert status == 413
    assert "1000000 bytes" in found["error"]


def test_many_callers_get_their_own_answers(server: Server, model: ft.TextClassifier) -> None:
    expected = {text: model(text).to_json() for text in TEXTS}

    def call(number: int) -> bool:
        text = TEXTS[number % len(TEXTS)]
        return server.answers([text]) == (200, {"answers": [expected[text]]})

    with ThreadPoolExecutor(8) as callers:
        assert all(callers.map(call, range(200)))
    counted = re.search(r'calls_total\{result="answered"\} (\d+)', server.ask("GET", "/metrics")[1])
    assert counted is not None
    assert int(counted[1]) >= 200


def test_calls_beyond_the_queue_and_beyond_their_time_are_refused(
    intents_bundle: Path, tmp_path: Path
) -> None:
    # The example with a model that takes its time, and room for one call and one more that waits.
    (tmp_path / "app.py").write_text(
        f"""import sys, time
sys.path.insert(0, {str(EXAMPLE)!r})
import app, service
import uvicorn
from pathlib import Path
run = service.Service._run
service.Service._run = lambda self, *given: (time.sleep(1), run(self, *given))[1]
limits = service.Limits(workers=1, waiting=1, timeout_s=1.5)
uvicorn.run(app.make_app(Path(sys.argv[1]), limits), port=int(sys.argv[3]))
"""
    )
    server = start(intents_bundle, folder=tmp_path)
    try:
        with ThreadPoolExecutor(3) as callers:
            calls = []
            for _ in range(3):
                calls.append(callers.submit(server.answers, ["louder"]))
                time.sleep(0.2)
            statuses = [call.result()[0] for call in calls]
        assert statuses == [200, 504, 503]
    finally:
        stop(server)


def test_a_stop_lets_calls_in_progress_finish(intents_bundle: Path) -> None:
    server = start(intents_bundle, "--workers", "1")
    many = [f"wake me at {number}" for number in range(2000)]
    found: list[tuple[int, Any]] = []
    caller = threading.Thread(target=lambda: found.append(server.answers(many)))
    caller.start()
    for _ in range(200):
        if "calls_inside 1.0" in server.ask("GET", "/metrics")[1]:
            break
        time.sleep(0.01)

    status = stop(server)
    caller.join()

    assert status in (0, -signal.SIGTERM)
    assert [(code, len(body["answers"])) for code, body in found] == [(200, 2000)]


def test_a_wrong_bundle_is_one_line(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, EXAMPLE / "app.py", tmp_path], capture_output=True, text=True, check=False
    )

    assert result.returncode == 2
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.splitlines()) == 1


def test_the_container_copies_what_is_there() -> None:
    lines = (REPOSITORY / "examples" / "container" / "Dockerfile").read_text().splitlines()
    copied = [line.split()[1] for line in lines if line.startswith("COPY examples")]

    assert copied
    assert all(list(REPOSITORY.glob(pattern)) for pattern in copied)
