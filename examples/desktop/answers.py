"""Run a model off the UI thread: one worker thread, and at most one text waiting for it.

Users type faster than a model may answer, so there is no queue: a newer text replaces the waiting one, and an answer
is not delivered if a newer text has arrived meanwhile.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from ftool_runtime import Classification, TextClassifier


@dataclass(frozen=True)
class Answer:
    """The model's result for a text, or the error that it raised."""

    text: str
    result: Classification | None
    error: Exception | None = None


class Answers:
    """Runs a model on the newest text. `deliver` is called on the worker thread, never on the caller's thread."""

    def __init__(self, model: TextClassifier, deliver: Callable[[Answer], None], top_k: int = 3) -> None:
        self._model, self._deliver, self._top_k = model, deliver, top_k
        self._changed = threading.Condition()
        self._wanted: str | None = None
        self._newest = 0
        self._closed = False
        self._worker = threading.Thread(target=self._run, name="answers", daemon=True)
        self._worker.start()

    def ask(self, text: str) -> None:
        """Submit a text; it replaces the waiting text, if there is one. Returns immediately."""
        with self._changed:
            self._wanted = text
            self._newest += 1
            self._changed.notify()

    def cancel(self) -> None:
        """Discard the waiting text and the answer being computed; neither is delivered."""
        with self._changed:
            self._wanted = None
            self._newest += 1

    def close(self) -> None:
        """Wait for the answer being computed, deliver nothing more, and end the worker thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._worker.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._wanted is not None)
                if self._closed:
                    return
                text, number = self._wanted, self._newest
                self._wanted = None
            assert text is not None
            answer = self._answer(text)
            with self._changed:
                current = number == self._newest and not self._closed
            if current:
                self._deliver(answer)

    def _answer(self, text: str) -> Answer:
        try:
            return Answer(text, self._model(text, top_k=self._top_k))
        except Exception as error:  # noqa: BLE001  shown in the window instead of ending the thread
            return Answer(text, None, error)
