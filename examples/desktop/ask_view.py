"""The view that answers questions from documents."""

from collections.abc import Callable

from PySide6.QtCore import QEvent, Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QScrollArea, QVBoxLayout, QWidget

from jobs import Excerpt, Found
from prose import Prose
from theme import colours
from view import View, label
from worker import Job

NOTHING = "Nothing in the documents fits this question."


class AskView(View):
    """The answer, where it stands, and its passage with the answer marked; then other passages."""

    name = "Ask"
    found: Found | None = None  # what is shown

    def __init__(self, open_job: Callable[[], Job]) -> None:
        super().__init__(open_job, "Ask your documents a question")
        self.button = QPushButton("Ask", enabled=False)
        self.results = QVBoxLayout()
        self.results.setSpacing(12)
        self.results.setContentsMargins(0, 0, 0, 0)
        self._show_line("Answers come from documents on this computer.")
        line = QHBoxLayout()
        line.setSpacing(10)
        line.addWidget(self.input)
        line.addWidget(self.button)
        inside = QWidget()
        inside.setLayout(self.results)
        scroll = QScrollArea(
            widgetResizable=True, horizontalScrollBarPolicy=Qt.ScrollBarPolicy.ScrollBarAlwaysOff
        )
        scroll.setWidget(inside)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.body.addLayout(line)
        self.body.addWidget(scroll, 1)
        self.input.textChanged.connect(lambda text: self.button.setEnabled(bool(text.strip())))
        self.input.returnPressed.connect(self._ask)
        self.button.clicked.connect(self._ask)

    def show_part(self, value: Found) -> None:
        """Show what was found for the newest question."""
        self.found = value
        self._show(value)
        self.note.setText(f"{value.milliseconds:.0f} ms")
        self.answered.emit(value.text or (value.excerpts[0].text if value.excerpts else NOTHING))

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802  Qt's name
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and self.found is not None:
            self._show(self.found)  # marks have colours of their own

    def _ask(self) -> None:
        if self.input.text().strip():
            self.note.setText("Searching…")
            self.found = None
            self._clear()
            self.ask(self.input.text().strip())

    def _show(self, found: Found) -> None:
        self._clear()
        if not found.excerpts:
            self._show_line(NOTHING)
        for place, excerpt in enumerate(found.excerpts):
            if place == 0 and found.text is None and found.read:
                self.results.addWidget(label("", "No answer was found. The nearest passages:"))
            if place == 1:
                self.results.addWidget(label("quiet", "Other passages"))
            self.results.addWidget(_card(excerpt, found.text if place == 0 else None))
        self.results.addStretch()

    def _show_line(self, text: str) -> None:
        line = label("empty", text)
        line.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.results.addWidget(line, 1)

    def _clear(self) -> None:
        while (item := self.results.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.hide()
                widget.deleteLater()


def _card(excerpt: Excerpt, answer: str | None) -> QFrame:
    card = QFrame()
    card.setProperty("role", "card")
    inside = QVBoxLayout(card)
    inside.setContentsMargins(18, 14, 18, 16)
    inside.setSpacing(8)
    if answer is not None:
        inside.addWidget(label("headline", answer))
    inside.addWidget(label("quiet", excerpt.source))
    passage = Prose(excerpt.text)
    if excerpt.marked is not None:
        passage.mark(*excerpt.marked, colours().mark)
    inside.addWidget(passage)
    return card
