"""The view of a model that writes: a chat, or an answer to each text, shown while it is written."""

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence, QResizeEvent, QShortcut
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QScrollArea, QVBoxLayout, QWidget

from jobs import Written
from prose import Prose
from view import View, label
from worker import Job

CURSOR = " ▍"
WIDEST = 0.8  # share of the width that a text of the user may take


class WriteView(View):
    """The texts so far, the newest at the foot, and a line for the next one. Escape or the button stops an answer."""

    name = "Write"

    def __init__(self, open_job: Callable[[], Job]) -> None:
        super().__init__(open_job, "Write a text")
        self.button = QPushButton("Send", enabled=False)
        self.answers: list[Prose] = []
        self._text = ""
        self._writing = False
        self._turns = _Turns()
        line = QHBoxLayout()
        line.setSpacing(10)
        line.addWidget(self.input)
        line.addWidget(self.button)
        self.body.addWidget(self._turns, 1)
        self.body.addLayout(line)
        self.input.textChanged.connect(self._fit_button)
        self.input.returnPressed.connect(self._send)
        self.button.clicked.connect(lambda: self._stop() if self._writing else self._send())
        QShortcut(
            QKeySequence(Qt.Key.Key_Escape), self, self._stop,
            context=Qt.ShortcutContext.WidgetWithChildrenShortcut,
        )  # fmt: skip

    def show_part(self, value: str | Written) -> None:
        """Show the next words, or what is known at the end."""
        if isinstance(value, Written):
            cut = " · cut off at the model's limit" if value.cut_off else ""
            speed = f"{value.tokens / value.seconds:,.0f} tokens/s"
            self.note.setText(f"{value.tokens} tokens · {speed}{cut}")
            return
        self._text += value
        self.answers[-1].show_text(self._text + CURSOR)

    def end(self, stopped: bool) -> None:
        """Take the cursor away and let the user write again."""
        self.answers[-1].show_text(self._text + (" (stopped)" if stopped else ""))
        self._writing = False
        self._fit_button()
        self.answered.emit(self._text)

    def no_answer(self) -> None:
        """Keep what was written before the error."""
        self.end(stopped=False)

    def _send(self) -> None:
        text = self.input.text().strip()
        if self._writing or not text:
            return
        self._text, self._writing = "", True
        self.answers.append(self._turns.add(text))
        self.answers[-1].show_text(CURSOR)
        self.input.clear()
        self.note.clear()
        self._fit_button()
        self.ask(text)

    def _stop(self) -> None:
        if self._writing:
            self.worker.stop()

    def _fit_button(self) -> None:
        self.button.setText("Stop" if self._writing else "Send")
        self.button.setEnabled(self._writing or bool(self.input.text().strip()))


class _Turns(QScrollArea):
    """Texts of the user on the right and answers on the left; stays at the foot unless the user scrolls up."""

    def __init__(self) -> None:
        super().__init__(
            widgetResizable=True, horizontalScrollBarPolicy=Qt.ScrollBarPolicy.ScrollBarAlwaysOff
        )
        inside = QWidget()
        self._layout = QVBoxLayout(inside)
        self._layout.setSpacing(12)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._empty = label("empty", "What you write stays on this computer.")
        self._empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._layout.addWidget(self._empty, 1)
        self._layout.addStretch()
        self._own: list[QLabel] = []
        self._at_foot = True
        self.setWidget(inside)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        bar = self.verticalScrollBar()
        bar.valueChanged.connect(self._scrolled)
        bar.rangeChanged.connect(lambda _, highest: bar.setValue(highest) if self._at_foot else None)

    def add(self, text: str) -> Prose:
        """Add a text of the user. Returns where its answer is to be shown."""
        self._empty.hide()
        own, answer = label("own", text), Prose()
        self._own.append(own)
        self._layout.addWidget(own, 0, Qt.AlignmentFlag.AlignRight)
        self._layout.addWidget(answer)
        self._at_foot = True
        self._fit(own)
        return answer

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802  Qt's name
        super().resizeEvent(event)
        for own in self._own:
            self._fit(own)

    def _fit(self, own: QLabel) -> None:
        """Make a text as wide as it needs: a label that wraps would choose a width of its own."""
        own.ensurePolished()  # its font and padding are the style sheet's
        own.setWordWrap(False)
        needed = own.sizeHint().width() + 1
        own.setWordWrap(True)
        width = min(needed, round(self.viewport().width() * WIDEST))
        own.setFixedSize(width, own.heightForWidth(width))

    def _scrolled(self, value: int) -> None:
        self._at_foot = value >= self.verticalScrollBar().maximum() - 4
