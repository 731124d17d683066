"""Light and dark: the colours, and the style sheet made from them. The app follows the system by default."""

from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QFont, QFontInfo, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication

SMALLEST_FONT = 14  # pixels; the system's font is used if it is larger


@dataclass(frozen=True)
class Colours:
    """The colours of a theme. `text` and `muted` have a contrast of at least 4.5 on `window` and `surface`."""

    window: str
    surface: str  # inputs and cards
    text: str
    muted: str
    line: str  # borders, and the tracks of bars
    accent: str
    on_accent: str
    tint: str  # the user's own texts
    mark: str  # behind an answer in its passage
    error: str


LIGHT = Colours(
    window="#f5f6f8", surface="#ffffff", text="#1a1d23", muted="#5c6470", line="#dde1e7", accent="#2b5fd9",
    on_accent="#ffffff", tint="#e4ecfd", mark="#ffe48a", error="#b3261e",
)  # fmt: skip
DARK = Colours(
    window="#15171c", surface="#1f2229", text="#e8eaee", muted="#9ea6b3", line="#343943", accent="#85aaff",
    on_accent="#0c1526", tint="#253352", mark="#66530f", error="#ff9a92",
)  # fmt: skip


def colours() -> Colours:
    """The colours in use."""
    return DARK if QGuiApplication.palette().window().color() == QColor(DARK.window) else LIGHT


def style(app: QApplication, theme: str) -> None:
    """Style the app as "light", "dark", or "system": as the system, also whenever that changes."""
    app.setStyle("Fusion")
    font = QFont(app.font())
    font.setPixelSize(max(QFontInfo(font).pixelSize(), SMALLEST_FONT))
    app.setFont(font)
    if theme == "system":
        _apply(app, _of_system(app.styleHints().colorScheme()))
        app.styleHints().colorSchemeChanged.connect(lambda scheme: _apply(app, _of_system(scheme)))
    else:
        _apply(app, DARK if theme == "dark" else LIGHT)


def _of_system(scheme: Qt.ColorScheme) -> Colours:
    return DARK if scheme == Qt.ColorScheme.Dark else LIGHT


def _apply(app: QApplication, chosen: Colours) -> None:
    app.setPalette(_palette(chosen))
    app.setStyleSheet(_style_sheet(chosen, app.font().pixelSize()))


def _palette(chosen: Colours) -> QPalette:
    roles = QPalette.ColorRole
    palette = QPalette()
    for role, colour in (
        (roles.Window, chosen.window), (roles.WindowText, chosen.text), (roles.Base, chosen.surface),
        (roles.AlternateBase, chosen.line), (roles.Text, chosen.text), (roles.PlaceholderText, chosen.muted),
        (roles.Button, chosen.surface), (roles.ButtonText, chosen.text), (roles.Highlight, chosen.accent),
        (roles.HighlightedText, chosen.on_accent),
    ):  # fmt: skip
        palette.setColor(role, QColor(colour))
    return palette


def _style_sheet(c: Colours, pixels: int) -> str:
    return f"""
    QLabel {{ color: {c.text}; background: transparent; }}
    QLabel[role="headline"] {{ font-size: {round(pixels * 1.7)}px; font-weight: 600; }}
    QLabel[role="quiet"] {{ color: {c.muted}; font-size: {round(pixels * 0.93)}px; }}
    QLabel[role="error"] {{ color: {c.error}; }}
    QLabel[role="empty"] {{ color: {c.muted}; }}
    QTextEdit[role="prose"] {{ background: transparent; color: {c.text}; }}
    QLabel[role="own"] {{ background: {c.tint}; border-radius: 12px; padding: 9px 13px; }}
    QFrame[role="card"] {{ background: {c.surface}; border: 1px solid {c.line}; border-radius: 12px; }}
    QLineEdit {{
        background: {c.surface}; color: {c.text}; border: 1px solid {c.line}; border-radius: 10px; padding: 11px 13px;
        font-size: {round(pixels * 1.15)}px;
        selection-background-color: {c.accent}; selection-color: {c.on_accent};
    }}
    QLineEdit:focus {{ border: 2px solid {c.accent}; padding: 10px 12px; }}
    QLineEdit:disabled {{ color: {c.muted}; background: {c.window}; }}
    QComboBox {{
        background: {c.surface}; border: 1px solid {c.line}; border-radius: 10px; padding: 8px 10px;
    }}
    QComboBox::drop-down {{ border: none; width: 26px; }}
    QComboBox:focus {{ border-color: {c.accent}; }}
    QComboBox QLineEdit, QComboBox QLineEdit:focus {{
        background: transparent; border: none; padding: 0; font-size: {pixels}px;
    }}
    QComboBox QAbstractItemView {{
        background: {c.surface}; color: {c.text}; border: 1px solid {c.line}; padding: 4px; outline: none;
    }}
    QComboBox QAbstractItemView::item {{ min-height: {round(pixels * 1.9)}px; padding: 0 8px; border-radius: 6px; }}
    QComboBox QAbstractItemView::item:selected {{ background: {c.tint}; color: {c.text}; }}
    QPushButton {{
        background: {c.accent}; color: {c.on_accent}; border: 2px solid {c.accent}; border-radius: 10px;
        padding: 11px 20px; font-weight: 600; min-width: 48px; font-size: {round(pixels * 1.08)}px;
    }}
    QPushButton:hover, QPushButton:focus {{ border-color: {c.text}; }}
    QPushButton:disabled {{ background: {c.line}; color: {c.muted}; border-color: {c.line}; }}
    QTabWidget::pane {{ border: none; border-top: 1px solid {c.line}; }}
    QTabBar {{ background: transparent; }}
    QTabBar::tab {{
        color: {c.muted}; background: transparent; border: none; border-bottom: 2px solid transparent;
        padding: 11px 6px 9px 6px; margin-left: 18px; font-weight: 600;
    }}
    QTabBar::tab:selected {{ color: {c.text}; border-bottom-color: {c.accent}; }}
    QTabBar::tab:hover {{ color: {c.text}; }}
    QTabBar::tab:selected:focus {{ background: {c.tint}; }}
    QScrollArea, QScrollArea > QWidget > QWidget {{ background: transparent; border: none; }}
    QScrollBar:vertical {{ background: transparent; width: 14px; margin: 0 0 0 6px; }}
    QScrollBar::handle:vertical {{ background: {c.line}; border-radius: 4px; min-height: 32px; }}
    QScrollBar::handle:vertical:hover {{ background: {c.muted}; }}
    QScrollBar::add-line, QScrollBar::sub-line, QScrollBar::add-page, QScrollBar::sub-page {{
        background: none; height: 0;
    }}
    """
