"""Prose: a text of any length at its full height, which can be selected and copied, with the mouse or the keyboard."""

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import (
    QColor,
    QFont,
    QResizeEvent,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextOption,
    QWheelEvent,
)
from PySide6.QtWidgets import QFrame, QSizePolicy, QTextEdit

LINE_HEIGHT = 130  # percent


class Prose(QTextEdit):
    """Unlike a QLabel, it breaks words that are longer than a line, such as addresses of web pages."""

    def __init__(self, text: str = "") -> None:
        super().__init__(readOnly=True, tabChangesFocus=True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setProperty("role", "prose")
        self.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.document().setDocumentMargin(0)
        self.textChanged.connect(self._fit)
        self.show_text(text)

    def show_text(self, text: str) -> None:
        """Show another text, without marks."""
        self.setPlainText(text)
        form = QTextBlockFormat()
        form.setLineHeight(LINE_HEIGHT, QTextBlockFormat.LineHeightTypes.ProportionalHeight.value)
        cursor = QTextCursor(self.document())
        cursor.select(QTextCursor.SelectionType.Document)
        cursor.mergeBlockFormat(form)

    def mark(self, start: int, end: int, colour: str) -> None:
        """Mark the characters from `start` to before `end` of the text."""
        form = QTextCharFormat()
        form.setBackground(QColor(colour))
        form.setFontWeight(QFont.Weight.DemiBold)
        before, inside = (
            len(part.encode("utf-16-le")) // 2 for part in (self.text[:start], self.text[start:end])
        )
        cursor = QTextCursor(self.document())  # counts as Qt does, in units of UTF-16
        cursor.setPosition(before)
        cursor.setPosition(before + inside, QTextCursor.MoveMode.KeepAnchor)
        cursor.setCharFormat(form)

    @property
    def text(self) -> str:
        """The text as shown."""
        return self.toPlainText()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802  Qt's name
        super().resizeEvent(event)
        self._fit()

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802  Qt's name
        event.ignore()  # the area around it scrolls

    def sizeHint(self) -> QSize:  # noqa: N802  Qt's name
        return QSize(200, self.fontMetrics().height())

    def _fit(self) -> None:
        self.setFixedHeight(max(round(self.document().size().height()), self.fontMetrics().height()))
