"""The model work of the desktop example, without a window: what is delivered, and what is not."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.helpers.paths import REPOSITORY

import ftool_runtime as ft

EXAMPLE = REPOSITORY / "examples" / "desktop"


class Job:
    """Answers with the text's words. The answer to a text that begins with "slow" waits for `go`."""

    about = "a job"

    def __init__(self) -> None:
        self.go, self.began, self.closed = threading.Event(), threading.Event(), False
        self.asked: list[str] = []

    def answer(self, text: str, stopped: threading.Event) -> Iterator[str]:
        self.asked.append(text)
        if text == "fail":
            raise ft.InputError("the text is wrong")
        for word in text.split():
            yield word
            if word == "slow":
                self.began.set()
                self.go.wait(10)
            if stopped.is_set():
                return

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def started(example: SimpleNamespace) -> Iterator[Callable[[Job], Any]]:
    workers = []

    def start(job: Job) -> Any:
        updates: list[Any] = []
        worker = example.worker.Worker(lambda: job, updates.append)
        workers.append((worker, job))
        return worker, updates

    yield start
    for worker, job in workers:
        job.go.set()
        worker.close()


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not done():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.002)


def test_a_newer_text_replaces_the_waiting_one_and_ends_the_answer_in_progress(
    started: Callable, example: SimpleNamespace
) -> None:
    job = Job()
    worker, updates = started(job)
    worker.ask("slow one")
    assert job.began.wait(10)
    worker.ask("two")
    newest = worker.ask("three")
    job.go.set()
    until(lambda: example.worker.Ended(newest, stopped=False) in updates)
    assert job.asked == ["slow one", "three"]
    assert [update.value for update in updates if isinstance(update, example.worker.Part)] == [
        "slow",
        "three",
    ]


def test_a_stopped_answer_is_delivered_as_far_as_it_goes(started: Callable, example: SimpleNamespace) -> None:
    job = Job()
    worker, updates = started(job)
    number = worker.ask("slow words")
    assert job.began.wait(10)
    worker.stop()
    job.go.set()
    until(lambda: example.worker.Ended(number, stopped=True) in updates)
    assert example.worker.Part(number, "words") not in updates


def test_nothing_is_delivered_after_cancel_and_after_close(started: Callable) -> None:
    job = Job()
    worker, updates = started(job)
    worker.ask("slow words")
    assert job.began.wait(10)
    worker.cancel()
    job.go.set()
    worker.close()
    assert job.closed
    assert len(updates) == 2  # opened, and "slow"
    worker.ask("more")
    assert len(updates) == 2


def test_an_error_is_one_line_and_the_next_text_is_answered(
    started: Callable, example: SimpleNamespace
) -> None:
    worker, updates = started(Job())
    first = worker.ask("fail")
    until(lambda: example.worker.Failed(first, "the text is wrong") in updates)
    second = worker.ask("well")
    until(lambda: example.worker.Ended(second, stopped=False) in updates)


def test_a_bundle_that_cannot_be_opened_is_told_of(example: SimpleNamespace, tmp_path: Path) -> None:
    updates: list[Any] = []
    worker = example.worker.Worker(lambda: example.jobs.Classifying(tmp_path), updates.append)
    until(lambda: bool(updates))
    assert updates[0].number == 0
    assert str(tmp_path) in updates[0].message
    assert "\n" not in updates[0].message
    worker.close()


def test_only_generators_write(example: SimpleNamespace, bundles: Path) -> None:
    with pytest.raises(ft.BundleError, match="does not write texts"):
        example.jobs.Writing(bundles / "classify")


def test_the_model_work_imports_no_toolkit() -> None:
    code = "import sys; sys.path.insert(0, sys.argv[1]); import worker, jobs; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, EXAMPLE], capture_output=True, text=True, check=True)
    assert not [name for name in done.stdout.split() if name.startswith(("PySide6", "torch"))]
