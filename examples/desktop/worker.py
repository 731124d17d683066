"""One thread that answers texts with a model, and at most one text waiting for it. No toolkit is imported here.

Users type faster than a model may answer, so there is no queue: a newer text replaces the waiting one, ends the answer
in progress, and nothing of an older answer is delivered afterwards.
"""

import logging
import threading
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Protocol

from ftool_runtime import FtoolError

logger = logging.getLogger(__name__)


class Job(Protocol):
    """What the thread needs of a model: see jobs.py."""

    about: str  # one line for the window: which model this is

    def answer(self, asked: Any, stopped: threading.Event) -> Generator[Any, None, None]:
        """Yield the parts of the answer to a text, or to what else the view asks for.

        Once `stopped` is set, the answer should end early.
        """

    def close(self) -> None:
        """Release the model."""


@dataclass(frozen=True)
class Opened:
    """The model is loaded."""

    job: Job


@dataclass(frozen=True)
class Part:
    """A part of the answer to the text with this number."""

    number: int
    value: Any


@dataclass(frozen=True)
class Ended:
    """The answer to the text with this number is complete, or was stopped."""

    number: int
    stopped: bool


@dataclass(frozen=True)
class Failed:
    """The text with this number has no answer; 0: the model could not be loaded. `message` is one line."""

    number: int
    message: str


Update = Opened | Part | Ended | Failed


class Worker:
    """Opens a job on its own thread, and answers the newest text. `deliver` is called on that thread."""

    def __init__(self, open_job: Callable[[], Job], deliver: Callable[[Update], None]) -> None:
        self._open, self._deliver = open_job, deliver
        self._changed = threading.Condition()
        self._waiting: Any = None
        self._number = 0  # of the newest text
        self._stopped = threading.Event()  # of the newest text
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self._thread.start()

    def ask(self, asked: Any) -> int:
        """Submit a text in place of all earlier ones. Returns its number, at once."""
        with self._changed:
            self._forget()
            self._waiting = asked
            self._changed.notify()
            return self._number

    def cancel(self) -> None:
        """Forget the newest text: nothing more of its answer is delivered."""
        with self._changed:
            self._forget()

    def stop(self) -> None:
        """Let the answer in progress end early; what there is of it is delivered, and then `Ended`."""
        with self._changed:
            self._stopped.set()

    def end(self) -> None:
        """Deliver nothing more, and end the thread as soon as the model lets it. Returns at once."""
        with self._changed:
            self._forget()
            self._closed = True
            self._changed.notify()

    def close(self) -> None:
        """End the thread and wait until the model is released: at most for the model's run in progress."""
        self.end()
        self._thread.join()

    def _forget(self) -> None:
        self._stopped.set()
        self._number, self._waiting, self._stopped = self._number + 1, None, threading.Event()

    def _run(self) -> None:
        try:
            job = self._open()
        except Exception as error:  # noqa: BLE001  shown in the window
            self._send(Failed(0, one_line(error)))
            return
        with closing(job):
            self._send(Opened(job))
            while (asked := self._next()) is not None:
                self._answer(job, *asked)

    def _next(self) -> tuple[Any, int, threading.Event] | None:
        """Wait for a text; None once the worker is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._waiting is not None)
            asked, self._waiting = self._waiting, None
            return None if self._closed or asked is None else (asked, self._number, self._stopped)

    def _answer(self, job: Job, asked: Any, number: int, stopped: threading.Event) -> None:
        try:
            with closing(job.answer(asked, stopped)) as parts:
                for value in parts:
                    if not self._send(Part(number, value)):
                        return
            self._send(Ended(number, stopped.is_set()))
        except Exception as error:  # noqa: BLE001  shown in the window instead of ending the thread
            self._send(Failed(number, one_line(error)))

    def _send(self, update: Update) -> bool:
        """Deliver an update unless it is outdated. Returns whether it was delivered."""
        number = getattr(update, "number", 0)
        with self._changed:
            current = not self._closed and number in (0, self._number)
        if current:
            self._deliver(update)
        return current


def one_line(error: Exception) -> str:
    """The error as one line for the window. Messages of ftool's errors say what to do; others get their type's name."""
    if isinstance(error, FtoolError):
        return str(error)
    logger.error("a model failed", exc_info=error)
    return " ".join(f"{type(error).__name__}: {error}".split())
