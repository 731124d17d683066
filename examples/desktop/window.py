"""The window: one view, or several as tabs."""

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QCloseEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import QMainWindow, QTabWidget

from view import MARGIN, View, label

TITLE = "Assistant"
NO_VIEW = (
    "This app was started without a model: give --classify, --ask or --write, or fill its folder bundles."
)


class Window(QMainWindow):
    """Shows the views; a single one without tabs. Ctrl+1 to Ctrl+3 choose a view, Ctrl+Q closes the window."""

    def __init__(self, views: Sequence[View]) -> None:
        super().__init__()
        self.views = views
        self.setWindowTitle(TITLE)
        self.setMinimumSize(420, 380)
        self.resize(760, 560)
        if not views:
            explained = label("error", NO_VIEW)
            explained.setAlignment(Qt.AlignmentFlag.AlignCenter)
            explained.setMargin(MARGIN)
            self.setCentralWidget(explained)
        elif len(views) == 1:
            self.setCentralWidget(views[0])
            views[0].setFocus()
        else:
            self._add_tabs(views)
        QShortcut(QKeySequence("Ctrl+Q"), self, self.close)

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802  Qt's name
        """Close at once. The workers are only told to end here: `wait` waits, after the window is gone."""
        for view in self.views:
            view.worker.end()
        super().closeEvent(event)

    def wait(self) -> None:
        """Wait until all models are released."""
        for view in self.views:
            view.worker.close()

    def _add_tabs(self, views: Sequence[View]) -> None:
        tabs = QTabWidget(documentMode=True)
        tabs.tabBar().setDrawBase(False)
        for place, view in enumerate(views):
            tabs.addTab(view, view.name)
            tabs.setTabToolTip(place, f"Ctrl+{place + 1}")
            QShortcut(QKeySequence(f"Ctrl+{place + 1}"), self, lambda view=view: tabs.setCurrentWidget(view))
        tabs.currentChanged.connect(lambda place: views[place].setFocus())
        self.setCentralWidget(tabs)
        views[0].setFocus()
