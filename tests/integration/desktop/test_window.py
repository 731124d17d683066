"""The desktop example, operated by real key presses in a real window on a virtual display."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.helpers.paths import REPOSITORY

import ftool_runtime as ft

pytest.importorskip("PySide6.QtWidgets", reason="this environment has no Qt")
APP = REPOSITORY / "examples" / "desktop" / "app.py"


class Slow:
    """A job whose answers begin after some seconds."""

    def __init__(self, job: Any, seconds: float) -> None:
        self.job, self.seconds, self.asked = job, seconds, []
        self.about, self.limit = "slow", getattr(job, "limit", None)

    def answer(self, text: str, stopped: Any) -> Iterator[Any]:
        self.asked.append(text)
        time.sleep(self.seconds)
        yield from self.job.answer(text, stopped)

    def close(self) -> None:
        self.job.close()


class Endless:
    """A job that writes until it is stopped."""

    about = "endless"

    def answer(self, text: str, stopped: Any) -> Iterator[str]:
        while not stopped.is_set():
            yield "word "
            time.sleep(0.005)

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def qt(display: str, example: SimpleNamespace) -> Iterator[Any]:
    """The toolkit's application on the virtual display."""
    from PySide6.QtWidgets import QApplication

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISPLAY", display)
        patch.delenv("WAYLAND_DISPLAY", raising=False)
        app = QApplication(["test"])
        example.load("theme").style(app, "light")
        yield app
        app.shutdown()  # before the display ends


@pytest.fixture
def open_window(qt: Any, example: SimpleNamespace) -> Iterator[Callable]:
    """Opens a window of views, given as (module, class, job); closes it in the end."""
    windows = []

    def opened(*views: tuple[str, str, Callable[[], Any]]) -> Any:
        made = [getattr(example.load(module), name)(job) for module, name, job in views]
        window = example.load("window").Window(made)
        windows.append(window)
        window.show()
        window.activateWindow()
        pump_until(qt, lambda: window.isActiveWindow() and made[0].input.hasFocus())
        return window

    yield opened
    for window in windows:
        window.close()
        window.wait()


def press(display: str, *arguments: str) -> subprocess.Popen[bytes]:
    """Start xdotool; the window must be pumped while it types."""
    return subprocess.Popen(["xdotool", *arguments], env={**os.environ, "DISPLAY": display})


def pump_until(qt: Any, done: Callable[[], bool], seconds: float = 20.0) -> float:
    """Run the window's event loop until `done`; the longest time in seconds that one pass took."""
    longest, deadline = 0.0, time.monotonic() + seconds
    while not done():
        start = time.monotonic()
        assert start < deadline, "the window never got there"
        qt.processEvents()
        longest = max(longest, time.monotonic() - start)
        time.sleep(0.002)
    return longest


def classify(job: Callable[[], Any]) -> tuple[str, str, Callable[[], Any]]:
    return ("classify_view", "ClassifyView", job)


def test_typing_shows_what_the_model_answers(
    open_window: Callable, qt: Any, display: str, example: SimpleNamespace, bundles: Path
) -> None:
    window = open_window(classify(lambda: example.jobs.Classifying(bundles / "classify")))
    view, text = window.views[0], "set a timer for ten minutes"
    with ft.TextClassifier.load(bundles / "classify") as model:
        expected = model(text, top_k=3)
    spoken = example.load("classify_view").spoken
    bars = ", ".join(
        f"{spoken(one.label)} {example.load('bars').Bar('', one.score, False).percent}"
        for one in expected.top
    )
    typist = press(display, "type", "--delay", "10", text)
    pump_until(qt, lambda: view.input.text() == text and view.bars.accessibleName() == bars)
    assert typist.wait() == 0
    assert view.headline.text() == (spoken(expected.label) if expected.score >= 0.35 else "Not sure")
    assert view.note.text().endswith(" ms")


def test_a_corrected_answer_is_learnt_kept_and_taken_back(
    open_window: Callable, qt: Any, display: str, example: SimpleNamespace, bundles: Path, tmp_path: Path
) -> None:
    path, text = tmp_path / "new" / "user.lessons", "minutes"

    def opened() -> Any:
        view = open_window(classify(lambda: example.jobs.Classifying(bundles / "classify", path))).views[0]
        pump_until(qt, lambda: "labels" in view.about.text())
        assert not view.teaching.isVisible()  # there is no answer to correct
        return view

    with ft.TextClassifier.load(bundles / "classify") as model:
        before = example.load("classify_view").spoken(str(model(text).label))
    view = opened()
    press(display, "type", text)
    pump_until(qt, lambda: view.input.text() == text and view.headline.text() == before)
    assert view.teaching.isVisible()
    assert not view.undo.isEnabled()
    assert not view.teach.isEnabled()
    view.label.setFocus()
    press(display, "type", "cooking_time")
    pump_until(qt, lambda: view.label.currentText() == "cooking_time")
    assert view.teach.isEnabled()
    press(display, "key", "Return")
    pump_until(qt, lambda: view.headline.text() == "Cooking time")
    assert view.note.text().startswith("Learnt: cooking_time")
    assert (view.label.currentText(), view.teach.isEnabled()) == ("", False)
    assert "cooking_time" in [view.label.itemText(place) for place in range(view.label.count())]
    view.label.setEditText("lights")
    view.teach.click()
    pump_until(qt, view.error.isVisible)
    assert "was taught as 'cooking_time' before, in lesson 1" in view.error.text()
    view.window().close()
    view = opened()
    view.input.setText(text)
    pump_until(qt, lambda: view.headline.text() == "Cooking time")
    view.label.setEditText("lights")
    view.undo.click()
    pump_until(qt, lambda: view.headline.text() == before)
    assert not view.undo.isEnabled()
    assert view.label.currentText() == ""


def test_a_label_is_about_one_text_only(
    open_window: Callable, qt: Any, example: SimpleNamespace, bundles: Path
) -> None:
    view = open_window(classify(lambda: example.jobs.Classifying(bundles / "classify"))).views[0]
    view.input.setText("minutes")
    pump_until(qt, view.teaching.isVisible)
    view.label.setEditText("lights")
    view.input.setText("ten minutes")
    assert (view.label.currentText(), view.teach.isEnabled()) == ("", False)
    view.input.clear()
    assert not view.teaching.isVisible()


def test_a_model_that_can_not_be_taught_offers_nothing(
    open_window: Callable, qt: Any, example: SimpleNamespace, bundles: Path
) -> None:
    def fixed() -> Any:
        job = example.jobs.Classifying(bundles / "classify")
        job.teachable = False
        return job

    view = open_window(classify(fixed)).views[0]
    view.input.setText("minutes")
    pump_until(qt, lambda: view.note.text().endswith(" ms"))
    assert not view.teaching.isVisible()


def test_a_slow_model_neither_freezes_the_window_nor_queues_up(
    open_window: Callable, qt: Any, display: str, example: SimpleNamespace, bundles: Path
) -> None:
    slow = Slow(example.jobs.Classifying(bundles / "classify"), 0.4)
    view = open_window(classify(lambda: slow)).views[0]
    text = "turn the lights off please"
    shown = []
    view.answered.connect(lambda _: shown.append(view.input.text()))
    typist = press(display, "type", "--delay", "40", text)
    longest = pump_until(qt, lambda: bool(shown))
    assert typist.wait() == 0
    assert shown == [text]  # no answer to an earlier text was shown
    assert len(slow.asked) < len(text) / 2
    assert longest < 0.3


def test_emptying_the_line_forgets_the_answer(
    open_window: Callable, qt: Any, display: str, example: SimpleNamespace, bundles: Path
) -> None:
    view = open_window(classify(lambda: example.jobs.Classifying(bundles / "classify"))).views[0]
    press(display, "type", "play").wait()
    pump_until(qt, lambda: view.bars.accessibleName() != "")
    press(display, "key", "ctrl+a", "BackSpace").wait()
    pump_until(qt, lambda: view.input.text() == "" and view.bars.accessibleName() == "")
    assert view.headline.text() == example.load("classify_view").EMPTY


def test_an_error_is_one_line_in_the_window(
    open_window: Callable, qt: Any, display: str, example: SimpleNamespace, bundles: Path, tmp_path: Path
) -> None:
    def closed() -> Any:
        job = example.jobs.Classifying(bundles / "classify")
        job.close()
        return job

    window = open_window(
        classify(closed), ("write_view", "WriteView", lambda: example.jobs.Writing(tmp_path))
    )
    view, broken = window.views
    press(display, "type", "hello").wait()
    pump_until(qt, lambda: view.error.isVisible())
    assert "closed" in view.error.text()
    press(display, "key", "ctrl+2").wait()
    pump_until(qt, lambda: broken.error.isVisible())
    assert str(tmp_path) in broken.error.text()
    assert not broken.input.isEnabled()


def test_a_question_is_answered_with_its_passage(
    open_window: Callable,
    qt: Any,
    display: str,
    example: SimpleNamespace,
    bundles: Path,
    finding_reader: type,
) -> None:
    base = bundles / "ask" / "kb.db"
    job = lambda: example.jobs.Asking(base, reader=finding_reader("thirty days"))  # noqa: E731
    view = open_window(("ask_view", "AskView", job)).views[0]
    press(display, "type", "are messages kept").wait()
    press(display, "key", "Return").wait()
    pump_until(qt, lambda: view.found is not None)
    assert view.found.text == "thirty days"
    excerpt = view.found.excerpts[0]
    start, end = excerpt.marked
    assert excerpt.text[start:end] == "thirty days"
    assert excerpt.source.endswith("keeping.md › Privacy › Keeping")
    press(display, "key", "ctrl+a").wait()
    press(display, "type", "zebra").wait()
    press(display, "key", "Return").wait()
    nothing = example.load("ask_view").NOTHING
    pump_until(qt, lambda: view.found is not None and not view.found.excerpts)
    assert nothing in [view.results.itemAt(0).widget().text()]


def test_a_chat_streams_and_remembers(
    open_window: Callable, qt: Any, display: str, example: SimpleNamespace, bundles: Path
) -> None:
    view = open_window(("write_view", "WriteView", lambda: example.jobs.Writing(bundles / "write"))).views[0]
    ended: list[str] = []
    view.answered.connect(ended.append)
    with ft.TextGenerator.load(bundles / "write") as model, model.session() as session:
        expected = [session.say("play music").text, session.say("stop").text]
    for text in ("play music", "stop"):
        before = len(ended)
        press(display, "type", text).wait()
        press(display, "key", "Return").wait()
        pump_until(qt, lambda: len(ended) > before)  # noqa: B023
    assert [answer.strip() for answer in ended] == expected
    assert [answer.text.strip() for answer in view.answers] == expected


def test_escape_stops_an_answer(open_window: Callable, qt: Any, display: str) -> None:
    view = open_window(("write_view", "WriteView", Endless)).views[0]
    press(display, "type", "go on").wait()
    press(display, "key", "Return").wait()
    pump_until(qt, lambda: bool(view.answers) and "word word" in view.answers[0].text)
    assert view.button.text() == "Stop"
    press(display, "key", "Escape").wait()
    pump_until(qt, lambda: view.button.text() == "Send")
    assert view.answers[0].text.endswith("(stopped)")


def test_the_window_closes_at_once_while_a_model_answers(
    open_window: Callable, qt: Any, display: str, example: SimpleNamespace, bundles: Path
) -> None:
    slow = Slow(example.jobs.Classifying(bundles / "classify"), 2.0)
    window = open_window(classify(lambda: slow))
    press(display, "type", "x").wait()
    pump_until(qt, lambda: bool(slow.asked))
    press(display, "key", "ctrl+q").wait()
    start = time.monotonic()
    pump_until(qt, lambda: not window.isVisible())
    assert time.monotonic() - start < 1


@pytest.mark.parametrize("theme", ["LIGHT", "DARK"])
def test_texts_stand_out_in_both_themes(qt: Any, example: SimpleNamespace, theme: str) -> None:
    """WCAG 2.2, success criterion 1.4.3: a contrast of at least 4.5."""
    from PySide6.QtGui import QColor

    def luminance(colour: str) -> float:
        def linear(value: float) -> float:
            return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4

        given = QColor(colour)
        red, green, blue = map(linear, (given.redF(), given.greenF(), given.blueF()))
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    def contrast(one: str, other: str) -> float:
        dark, light = sorted((luminance(one), luminance(other)))
        return (light + 0.05) / (dark + 0.05)

    c = getattr(example.load("theme"), theme)
    for text in (c.text, c.muted, c.error):
        for behind in (c.window, c.surface):
            assert contrast(text, behind) >= 4.5
    assert min(contrast(c.text, c.tint), contrast(c.text, c.mark), contrast(c.on_accent, c.accent)) >= 4.5


def test_only_the_views_whose_bundles_were_given_are_shown(
    qt: Any, example: SimpleNamespace, bundles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = example.load("app")

    def names(*arguments: str) -> list[str]:
        views = app.views(app.parse(list(arguments)))
        for view in views:
            view.worker.close()
        return [view.name for view in views]

    assert names("--write", str(bundles / "write")) == ["Write"]
    assert names() == []
    monkeypatch.setattr(app, "SHIPPED", bundles)
    assert names() == ["Classify", "Ask", "Write"]


def run(display: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, APP, *arguments],
        capture_output=True, text=True, check=False, env={**os.environ, "DISPLAY": display},
    )  # fmt: skip


def test_the_self_test_prints_the_answer_or_the_error(display: str, bundles: Path, tmp_path: Path) -> None:
    done = run(display, "--ask", bundles / "ask" / "kb.db", "--self-test", "are messages kept")
    assert (done.returncode, done.stdout) == (0, "Messages are kept for thirty days.\n"), done.stderr
    done = run(display, "--classify", tmp_path, "--self-test", "hello")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr
    done = run(display, "--ask", bundles / "ask" / "kb.db", "--self-test", " ")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Error: --self-test needs a text to answer, and got none\n"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere Qt needs no X display")
def test_a_machine_without_a_display_ends_the_app_with_a_clear_error(bundles: Path) -> None:
    done = run("localhost:99", "--classify", bundles / "classify")
    assert done.returncode == 2
    assert done.stderr.startswith("Error: no window can be opened here: ")
    assert "Traceback" not in done.stderr
