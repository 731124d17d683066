"""A desktop app around ftool bundles: labels while you type, answers from documents, texts as they are written.

    python app.py --classify BUNDLE --ask KB.db --write BUNDLE

Any of the three may be left out. Without all of them, the app takes what is in the folder `bundles` beside this file,
which is how it is shipped: `bundles/classify`, `bundles/ask/kb.db`, `bundles/write`.
"""

import argparse
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QStandardPaths, QTimer, QtMsgType, qInstallMessageHandler
from PySide6.QtWidgets import QApplication

from ask_view import AskView
from classify_view import ClassifyView
from jobs import Asking, Classifying, Writing
from theme import style
from view import View
from window import NO_VIEW, TITLE, Window
from write_view import WriteView

SHIPPED = Path(__file__).parent / "bundles"  # in an app frozen by PyInstaller too
VIEWS = (  # option, its path under SHIPPED, the model work, the view
    ("classify", "classify", Classifying, ClassifyView),
    ("ask", "ask/kb.db", Asking, AskView),
    ("write", "write", Writing, WriteView),
)
SELF_TEST_MS = 120_000  # loading large models from a slow disk included
THEMES = ("system", "light", "dark")


def main(arguments: list[str]) -> int:
    """Open the window and run until it is closed. Returns the exit status."""
    options = parse(arguments)
    qInstallMessageHandler(_explain_failed_start)
    app = QApplication([TITLE])
    app.setApplicationName(TITLE)
    style(app, options.theme)
    window = Window(views(options))
    if options.self_test is not None:
        _try_out(window, options.self_test)
    window.show()
    status = app.exec()
    window.wait()
    return status


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog=TITLE, description="Answers by models on this computer.")
    parser.add_argument("--classify", type=Path, metavar="BUNDLE", help="a classifier's bundle")
    parser.add_argument("--ask", type=Path, metavar="KB.db", help="a knowledge base of `ftool index`")
    parser.add_argument("--write", type=Path, metavar="BUNDLE", help="a generator's bundle")
    parser.add_argument(
        "--lessons",
        type=Path,
        metavar="FILE",
        help="where the classifier keeps what it is taught (default: in the user's folder for data of apps)",
    )
    parser.add_argument("--theme", choices=THEMES, default="system", help="default: the system's")
    parser.add_argument(
        "--self-test", metavar="TEXT", help="answer TEXT in the first view, print it, and quit"
    )
    return parser.parse_args(arguments)


def views(options: argparse.Namespace) -> list[View]:
    """The views whose bundle was given, or shipped if none was given."""
    given = {name: getattr(options, name) for name, *_ in VIEWS}
    if not any(given.values()):
        given = {name: SHIPPED / place for name, place, *_ in VIEWS if (SHIPPED / place).exists()}
    own = {"classify": {"lessons": options.lessons or _users_lessons()}}
    return [
        view(partial(job, given[name], **own.get(name, {})))
        for name, _, job, view in VIEWS
        if given.get(name)
    ]


def _users_lessons() -> Path:
    """Where the user's lessons are kept: the app's own folder may be read-only, and the next version replaces it."""
    folder = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.AppDataLocation)
    return Path(folder) / "classify.lessons"


def _try_out(window: Window, text: str) -> None:
    """Enter a text in the first view as a user would, print the first answer, and quit: status 1 for an error."""

    def enter() -> None:
        if not window.views or not text.strip():
            fail(NO_VIEW if not window.views else "--self-test needs a text to answer, and got none")
            return
        view = window.views[0]
        view.answered.connect(tell)
        view.failed.connect(fail)
        view.input.setText(text)
        view.input.returnPressed.emit()

    def tell(answer: str) -> None:
        print(answer, flush=True)
        window.close()

    def fail(message: str) -> None:
        print(f"Error: {message}", file=sys.stderr)
        window.close()
        QApplication.exit(1)

    QTimer.singleShot(0, enter)
    QTimer.singleShot(SELF_TEST_MS, lambda: fail(f"no answer after {SELF_TEST_MS // 1000} seconds"))


_said_by_qt: list[str] = []


def _explain_failed_start(kind: QtMsgType, context: Any, message: str) -> None:
    """Turn Qt's end of the program, if no window can be opened, into one line and exit status 2."""
    del context
    if kind == QtMsgType.QtFatalMsg:
        reason = " ".join((_said_by_qt or [message])[0].split())
        print(f"Error: no window can be opened here: {reason}", file=sys.stderr, flush=True)
        os._exit(2)
    _said_by_qt.append(message)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
