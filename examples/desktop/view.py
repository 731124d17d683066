"""The base class of the views: an input line, a line for errors, a line at the foot, and a worker that answers."""

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QVBoxLayout, QWidget

from worker import Ended, Failed, Job, Opened, Part, Update, Worker

MARGIN = 24
TEXT_WIDTH = 820  # pixels; wider windows get wider margins, because long lines are hard to read


class View(QWidget):
    """One view of the window. Updates are made on the worker's thread and shown on the window's own."""

    name = ""  # the title of its tab
    answered = Signal(str)  # an answer is complete; the answer as text
    failed = Signal(str)  # the message of an error is shown
    _arrived = Signal(object)

    def __init__(self, open_job: Callable[[], Job], hint: str) -> None:
        super().__init__()
        self.input = QLineEdit(placeholderText=hint, accessibleName=hint)
        self.error = label("error", hidden=True)
        self.about = label("quiet", "Loading the model…", wrap=False)
        self.about.setMinimumWidth(1)  # a narrow window cuts it off
        self.note = label("quiet", wrap=False)
        self.body = QVBoxLayout()
        self.body.setSpacing(14)
        self._asked = 0
        self._lay_out()
        self._arrived.connect(self._receive, Qt.ConnectionType.QueuedConnection)
        self.worker = Worker(open_job, self._arrived.emit)

    def ask(self, asked: Any) -> None:
        """Submit a text, or what else the job answers. Parts of its answer reach `show_part`, and its end `end`."""
        self.error.hide()
        self._asked = self.worker.ask(asked)

    def forget(self) -> None:
        """Show nothing more of the newest text's answer."""
        self.error.hide()
        self.worker.cancel()
        self._asked = 0

    def opened(self, job: Any) -> None:
        """Called once the model is loaded."""

    def show_part(self, value: Any) -> None:
        """Show a part of the answer to the newest text."""
        raise NotImplementedError

    def end(self, stopped: bool) -> None:
        """Called when the answer to the newest text is complete or was stopped."""

    def no_answer(self) -> None:
        """Called when there is an error instead of an answer to the newest text."""

    def _lay_out(self) -> None:
        foot = QHBoxLayout()
        foot.addWidget(self.about)
        foot.addStretch()
        foot.addWidget(self.note)
        column = QWidget(maximumWidth=TEXT_WIDTH)
        inside = QVBoxLayout(column)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.setSpacing(14)
        inside.addLayout(self.body, 1)
        inside.addWidget(self.error)
        inside.addLayout(foot)
        outside = QHBoxLayout(self)
        outside.setContentsMargins(MARGIN, MARGIN, MARGIN, 14)
        outside.addStretch(1)
        outside.addWidget(column, 1000)
        outside.addStretch(1)
        self.setFocusProxy(self.input)

    def _receive(self, update: Update) -> None:
        match update:
            case Opened(job):
                self.about.setText(job.about)
                self.opened(job)
            case Failed(0, message):
                self.about.clear()
                self.input.setEnabled(False)
                self._fail(message)
            case Failed(number, message) if number == self._asked:
                self._fail(message)
                self.no_answer()
            case Part(number, value) if number == self._asked:
                self.show_part(value)
            case Ended(number, stopped) if number == self._asked:
                self.end(stopped)
            case _:
                pass  # about an older text

    def _fail(self, message: str) -> None:
        self.note.clear()
        self.error.setText(message)
        self.error.show()
        self.failed.emit(message)


def label(role: str = "", text: str = "", *, wrap: bool = True, hidden: bool = False) -> QLabel:
    """A label in one of the styles of theme.py. Texts are shown as they are, not as HTML."""
    made = QLabel(text, textFormat=Qt.TextFormat.PlainText, wordWrap=wrap)
    made.setProperty("role", role)
    made.setHidden(hidden)
    return made
