"""The view that labels a text while it is typed."""

from collections.abc import Callable

from PySide6.QtCore import QTimer

from bars import Bar, Bars
from jobs import GUESSES, Classifying, Guess
from view import View, label
from worker import Job

EMPTY = "Type a text to see its label"
LATE_MS = 250  # after this time without an answer, the answer to the earlier text is taken away


class ClassifyView(View):
    """The label in large letters, and the best labels with bars."""

    name = "Classify"

    def __init__(self, open_job: Callable[[], Job]) -> None:
        super().__init__(open_job, "For example: set a timer for ten minutes")
        self.headline = label("headline", EMPTY)
        self.bars = Bars(GUESSES)
        self._limit: float | None = None
        self._late = QTimer(self, singleShot=True, interval=LATE_MS)
        self._late.timeout.connect(lambda: self._clear("…"))
        self.body.addWidget(self.input)
        self.body.addSpacing(6)
        self.body.addWidget(self.headline)
        self.body.addWidget(self.bars)
        self.body.addStretch()
        self.input.textChanged.connect(self._typed)

    def opened(self, job: Classifying) -> None:
        """Keep the probability below which the model counts as unsure."""
        self._limit = job.limit

    def show_part(self, value: Guess) -> None:
        """Show the labels of the newest text."""
        self._late.stop()
        applying = [spoken(one) for one in value.applying]
        self.headline.setText(", ".join(applying) or "Not sure")
        self.bars.show_bars(
            [Bar(spoken(one.label), one.score, one.label in value.applying) for one in value.top], self._limit
        )
        cut = "only its beginning was read · " if value.truncated else ""
        self.note.setText(f"{cut}{value.milliseconds:.1f} ms")
        self.answered.emit(self.headline.text())

    def no_answer(self) -> None:
        """Take an earlier answer away."""
        self._late.stop()
        self._clear("")

    def _typed(self, text: str) -> None:
        if text.strip():
            self.ask(text.strip())
            self._late.start()
        else:
            self.forget()
            self._late.stop()
            self._clear(EMPTY)

    def _clear(self, message: str) -> None:
        self.headline.setText(message)
        self.bars.show_bars((), None)
        self.note.clear()


def spoken(name: str) -> str:
    """A label in readable form: set_timer becomes "Set timer"."""
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:]
