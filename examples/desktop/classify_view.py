"""The view that labels a text while it is typed."""

from collections.abc import Callable

from PySide6.QtCore import QPointF, QTimer
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QListView, QPushButton, QWidget

from bars import Bar, Bars
from jobs import GUESSES, Classifying, Correction, Guess, Undo
from view import View, label
from worker import Job

EMPTY = "Type a text to see its label"
LATE = "…"
LATE_MS = 250  # after this time without an answer, the answer to the earlier text is taken away


class ClassifyView(View):
    """The label in large letters, the best labels with bars, and a line to teach the model another label."""

    name = "Classify"

    def __init__(self, open_job: Callable[[], Job]) -> None:
        super().__init__(open_job, "For example: set a timer for ten minutes")
        self.headline = label("headline", EMPTY)
        self.bars = Bars(GUESSES)
        self._limit: float | None = None
        self._late = QTimer(self, singleShot=True, interval=LATE_MS)
        self._late.timeout.connect(lambda: self._clear(LATE))
        self.body.addWidget(self.input)
        self.body.addSpacing(6)
        self.body.addWidget(self.headline)
        self.body.addWidget(self.bars)
        self.body.addWidget(self._teaching())
        self.body.addStretch()
        self.input.textChanged.connect(self._typed)

    def opened(self, job: Classifying) -> None:
        """Keep the probability below which the model counts as unsure, and offer to teach a model that can learn."""
        self._limit = job.limit
        self._job = job if getattr(job, "teachable", False) else None
        self._list_labels()

    def no_answer(self) -> None:
        """Take an earlier answer away."""
        self._late.stop()
        self._clear("")

    def show_part(self, value: Guess) -> None:
        """Show the labels of the newest text."""
        self._late.stop()
        applying = [spoken(one) for one in value.applying]
        self.headline.setText(", ".join(applying) or "Not sure")
        self.bars.show_bars(
            [Bar(spoken(one.label), one.score, one.label in value.applying) for one in value.top], self._limit
        )
        remarks = [value.change, "only its beginning was read" if value.truncated else ""]
        self.note.setText(" · ".join([*filter(None, remarks), f"{value.milliseconds:.1f} ms"]))
        self._list_labels()
        self.teaching.setVisible(self._job is not None)
        if value.change:  # a second click must not teach the same label again, of whatever text stands there
            self.label.clearEditText()
        self.answered.emit(self.headline.text())

    def _teaching(self) -> QWidget:
        self._job: Classifying | None = None
        self.label = Choice(editable=True, accessibleName="The right label")
        self.label.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)  # labels are listed once they are learnt
        self.label.setView(QListView())  # the list of the style sheet, not the style's own
        self.label.lineEdit().setPlaceholderText("the right label, or a new one")
        self.teach = QPushButton("Teach", enabled=False)
        self.undo = QPushButton("Undo", enabled=False)
        self.teaching = QWidget(hidden=True)
        line = QHBoxLayout(self.teaching)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(label("quiet", "Not right? It is", wrap=False))
        line.addWidget(self.label, 1)
        line.addWidget(self.teach)
        line.addWidget(self.undo)
        self.label.editTextChanged.connect(lambda right: self.teach.setEnabled(bool(right.strip())))
        self.teach.clicked.connect(self._teach)
        self.label.lineEdit().returnPressed.connect(self._teach)
        self.undo.clicked.connect(lambda: self.ask(Undo(self.input.text().strip())))
        return self.teaching

    def _teach(self) -> None:
        text, right = self.input.text().strip(), self.label.currentText().strip()
        if text and right:
            self.ask(Correction(text, right))

    def _list_labels(self) -> None:
        """List the labels that the model knows now; what the user has entered stays."""
        if self._job is None:
            return
        self.undo.setEnabled(self._job.taught > 0)
        known = [self.label.itemText(place) for place in range(self.label.count())]
        if known != [*self._job.labels]:
            entered = self.label.currentText() if known else ""
            self.label.clear()
            self.label.addItems(self._job.labels)
            self.label.setEditText(entered)

    def _typed(self, text: str) -> None:
        self.label.clearEditText()  # it was about the earlier text
        if text.strip():
            self.ask(text.strip())
            self._late.start()
        else:
            self.forget()
            self._late.stop()
            self._clear(EMPTY)

    def _clear(self, message: str) -> None:
        self.headline.setText(message)
        self.teaching.setVisible(message == LATE and self.teaching.isVisibleTo(self))
        self.bars.show_bars((), None)
        self.note.clear()


class Choice(QComboBox):
    """A list to choose from, with an arrow of the theme's colour: a style sheet can only show one from a file."""

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802  Qt's name
        """Paint the box, and the arrow at its right."""
        super().paintEvent(event)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(self.palette().placeholderText().color(), 1.6))
        x, y = self.width() - 18.0, self.height() / 2
        painter.drawPolyline([QPointF(x - 4.5, y - 2), QPointF(x, y + 2.5), QPointF(x + 4.5, y - 2)])


def spoken(name: str) -> str:
    """A label in readable form: set_timer becomes "Set timer"."""
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:]
