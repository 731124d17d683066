"""Bars: probabilities on one scale from 0 to 100%, with a line at the probability below which an answer is unsure."""

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QRectF, QSize, Qt, QVariantAnimation
from PySide6.QtGui import QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

MOVE_MS = 120  # bars move to a new value in this time
NAMES = 0.36  # share of the width that names may take
WEAK = 0.45  # opacity of the bars of labels that are not the answer


@dataclass(frozen=True)
class Bar:
    """A row: its name, its probability, and whether it belongs to the answer."""

    name: str
    value: float
    strong: bool

    @property
    def percent(self) -> str:
        """The probability as text. Only 0 and 1 themselves are shown as 0% and 100%."""
        if 0 < self.value < 0.005:
            return "<1%"
        return ">99%" if 0.995 <= self.value < 1 else f"{self.value:.0%}"


class Bars(QWidget):
    """A fixed number of rows, empty at first."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self._count = rows
        self._bars: Sequence[Bar] = ()
        self._before: list[float] = [0.0] * rows
        self._limit: float | None = None
        self._moving = QVariantAnimation(self, startValue=0.0, endValue=1.0, duration=MOVE_MS)
        self._moving.valueChanged.connect(self.update)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_bars(self, bars: Sequence[Bar], limit: float | None) -> None:
        """Show these rows. `limit` is the probability of the line, None for no line."""
        self._before = self._now()
        self._bars, self._limit = bars, limit
        self.setAccessibleName(", ".join(f"{bar.name} {bar.percent}" for bar in bars))
        self._moving.stop()
        self._moving.start()

    def sizeHint(self) -> QSize:  # noqa: N802  Qt's name
        return QSize(320, round(self._row() * (self._count + 0.9)))

    def paintEvent(self, _: QPaintEvent) -> None:  # noqa: N802  Qt's name
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        row, thick = self._row(), self.fontMetrics().height() * 0.62
        left = round(self.width() * NAMES) + 14
        width = self.width() - left - self.fontMetrics().horizontalAdvance(">100%") - 8
        for place, (bar, value) in enumerate(zip(self._bars, self._now(), strict=False)):
            top = place * row
            track = QRectF(left, top + (row - thick) / 2, width, thick)
            self._paint_names(painter, bar, top)
            self._paint_bar(painter, track, value, bar.strong)
        if self._bars and self._limit is not None:
            self._paint_limit(painter, left + width * self._limit, self._limit)

    def _paint_names(self, painter: QPainter, bar: Bar, top: float) -> None:
        font = self.font()
        font.setWeight(font.Weight.DemiBold if bar.strong else font.Weight.Normal)
        painter.setFont(font)
        painter.setPen(self.palette().windowText().color())
        middle = Qt.AlignmentFlag.AlignVCenter
        names = QRectF(0, top, self.width() * NAMES, self._row())
        name = painter.fontMetrics().elidedText(bar.name, Qt.TextElideMode.ElideRight, int(names.width()))
        painter.drawText(names, middle | Qt.AlignmentFlag.AlignLeft, name)
        painter.drawText(
            QRectF(0, top, self.width(), self._row()), middle | Qt.AlignmentFlag.AlignRight, bar.percent
        )

    def _paint_bar(self, painter: QPainter, track: QRectF, value: float, strong: bool) -> None:
        round_by = track.height() / 2
        whole, filled = QPainterPath(), QPainterPath()
        whole.addRoundedRect(track, round_by, round_by)
        # the filled part ends round too, and a small one is the beginning of the track, not a dot of its own
        filled.addRoundedRect(track.translated(-track.width() * (1 - value), 0), round_by, round_by)
        colour = self.palette().highlight().color()
        colour.setAlphaF(1.0 if strong else WEAK)
        painter.fillPath(whole, self.palette().alternateBase())
        if track.width() * value >= 1:
            painter.fillPath(whole.intersected(filled), colour)

    def _paint_limit(self, painter: QPainter, x: float, limit: float) -> None:
        colour = self.palette().placeholderText().color()
        bottom = self._row() * len(self._bars)
        painter.setPen(QPen(colour, 1, Qt.PenStyle.DashLine))
        painter.drawLine(round(x), 2, round(x), round(bottom))
        font = self.font()
        font.setPixelSize(round(font.pixelSize() * 0.86))
        painter.setFont(font)
        painter.setPen(colour)
        caption = QRectF(x - 200, bottom, 400, self._row() * 0.8)
        painter.drawText(caption, Qt.AlignmentFlag.AlignCenter, f"unsure below {limit:.0%}")

    def _row(self) -> float:
        return self.fontMetrics().height() * 1.9

    def _now(self) -> list[float]:
        """The values as drawn: on their way from those before."""
        done = float(self._moving.currentValue() or 0.0)
        targets = [bar.value for bar in self._bars] + [0.0] * (self._count - len(self._bars))
        return [old + (new - old) * done for old, new in zip(self._before, targets, strict=True)]
