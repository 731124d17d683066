"""`Background`: call a function in a thread of its own, and take its result later."""

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")


class Background(Generic[Result]):
    """A call that goes on in a thread of its own."""

    def __init__(self, function: Callable[[], Result]) -> None:
        """Start to call `function`. Raises RuntimeError if the system allows no more threads."""
        self._outcome: list[Any] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._call, args=(function,), name="ftool")
        self._thread.start()

    def result(self) -> Result:
        """Wait for the call to end, and return what it returned. Raises what it raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        found: Result = self._outcome[0]
        return found

    def _call(self, function: Callable[[], Result]) -> None:
        try:
            self._outcome.append(function())
        except BaseException as error:  # noqa: BLE001  raised again in the thread that waits
            self._error = error
