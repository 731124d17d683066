"""The desktop example, operated by real key presses in a real window on a virtual display."""

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.helpers.paths import REPOSITORY

import ftool_runtime

EXAMPLE = REPOSITORY / "examples" / "desktop"

tk = pytest.importorskip("tkinter", reason="this Python has no Tk")
for program in ("Xvfb", "xdotool"):
    if shutil.which(program) is None:
        pytest.skip(f"needs {program}", allow_module_level=True)


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    """A virtual X display; Xvfb picks a free number itself."""
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "800x600x24", "-nolisten", "tcp"],
        pass_fds=[write],
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    with os.fdopen(read) as pipe:
        name = f":{pipe.readline().strip()}"
    yield name
    server.terminate()
    server.wait()


@pytest.fixture(scope="module")
def app() -> Iterator[ModuleType]:
    """The example's app.py as a module."""
    sys.path.insert(0, str(EXAMPLE))
    spec = importlib.util.spec_from_file_location("desktop_app", EXAMPLE / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(EXAMPLE))


class SlowModel:
    """A real model that takes its time, as a large one on a weak machine would."""

    def __init__(self, model: ftool_runtime.TextClassifier, seconds: float) -> None:
        self.model, self.seconds, self.calls = model, seconds, 0

    def __call__(self, text: str, *, top_k: int) -> ftool_runtime.Classification:
        self.calls += 1
        time.sleep(self.seconds)
        answer = self.model(text, top_k=top_k)
        assert isinstance(answer, ftool_runtime.Classification)
        return answer


@pytest.fixture(scope="module")
def model(intents_bundle: Path) -> Iterator[ftool_runtime.TextClassifier]:
    with ftool_runtime.TextClassifier.load(intents_bundle, threads=1) as loaded:
        yield loaded


@pytest.fixture
def open_window(app: ModuleType, display: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable]:
    """Opens the example's window on the virtual display; closes what is left open."""
    monkeypatch.setenv("DISPLAY", display)
    roots = []

    def opened(model: object) -> object:
        root = tk.Tk()
        window = app.AssistantWindow(root, model)
        roots.append(window)
        root.update()
        root.focus_force()
        window.entry.focus_force()
        root.update()
        return window

    yield opened
    for window in roots:
        window.close()


def press(display: str, *arguments: str) -> subprocess.Popen[bytes]:
    """Start xdotool; the window must be pumped while it types."""
    return subprocess.Popen(["xdotool", *arguments], env={**os.environ, "DISPLAY": display})


def pump_until(window: Any, done: Callable[[], bool], seconds: float = 20.0) -> float:
    """Run the window's event loop until `done`; the longest time in seconds that one pass took."""
    longest, deadline = 0.0, time.monotonic() + seconds
    while not done():
        start = time.monotonic()
        assert start < deadline, "the window never got there"
        window.root.update()
        longest = max(longest, time.monotonic() - start)
        time.sleep(0.002)
    return longest


def test_typing_shows_what_the_model_answers(
    open_window: Callable, display: str, model: ftool_runtime.TextClassifier, app: ModuleType
) -> None:
    window = open_window(model)
    text = "set a timer for ten minutes"
    typist = press(display, "type", "--delay", "15", text)
    expected = model(text, top_k=3)
    assert isinstance(expected, ftool_runtime.Classification)
    guesses = [f"{app.spoken(guess.label)}  {guess.score:.0%}" for guess in expected.top]
    pump_until(window, lambda: window.text.get() == text and [n.get() for n, _ in window.rows] == guesses)
    assert typist.wait() == 0
    assert app.spoken(expected.label) in window.intent.get()


def test_a_slow_model_neither_freezes_the_window_nor_queues_up(
    open_window: Callable, display: str, model: ftool_runtime.TextClassifier
) -> None:
    slow = SlowModel(model, 0.4)
    window = open_window(slow)
    typist = press(display, "type", "--delay", "40", "lock the screen please")
    text = "lock the screen please"
    longest = pump_until(window, lambda: window.text.get() == text and window.rows[0][0].get() != "")
    assert typist.wait() == 0
    assert longest < 0.3, "one pass of the event loop waited for the model"
    assert slow.calls < len(text) / 2, "every key press was answered"


def test_emptying_the_line_forgets_the_answer(
    open_window: Callable, display: str, model: ftool_runtime.TextClassifier
) -> None:
    window = open_window(model)
    typist = press(display, "type", "--delay", "5", "mute")
    pump_until(window, lambda: window.text.get() == "mute" and window.rows[0][0].get() != "")
    assert typist.wait() == 0
    eraser = press(display, "key", "--delay", "20", "BackSpace", "BackSpace", "BackSpace", "BackSpace")
    pump_until(window, lambda: window.text.get() == "")
    assert eraser.wait() == 0
    assert window.rows[0][0].get() == ""
    assert window.intent.get() == "Type what you want"


def test_an_error_of_the_model_is_shown(
    open_window: Callable, display: str, model: ftool_runtime.TextClassifier, intents_bundle: Path
) -> None:
    closed = ftool_runtime.TextClassifier.load(intents_bundle, threads=1)
    closed.close()
    window = open_window(closed)
    typist = press(display, "type", "hello")
    pump_until(window, lambda: "closed" in window.intent.get())
    assert typist.wait() == 0


def test_a_folder_that_is_no_bundle_ends_the_app_with_a_clear_error(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, EXAMPLE / "app.py", tmp_path], capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert run.stderr.startswith("Error: ")
    assert str(tmp_path) in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere Tk needs no X display")
def test_a_machine_without_a_display_ends_the_app_with_a_clear_error(intents_bundle: Path) -> None:
    run = subprocess.run(
        [sys.executable, EXAMPLE / "app.py", intents_bundle],
        capture_output=True, text=True, check=False, env={**os.environ, "DISPLAY": "localhost:99"},
    )  # fmt: skip
    assert run.returncode == 2
    assert run.stderr.startswith("Error: no window can be opened here: ")
    assert "Traceback" not in run.stderr
