"""`Background`: call a function in a thread of its own, and take its result later."""

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")


class Background(Generic[Result]):
    """A call that goes on in a thread of its own."""

    def __init__(self, function: Callable[[], Result]) -> None:
        """Start to call `function`. If the system allows no more threads, the call is over when this returns."""
        self._outcome: list[Any] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._call, args=(function,), name="ftool")
        try:
            self._thread.start()
        except RuntimeError:  # a limit on threads
            self._call(function)

    def result(self) -> Result:
        """Wait for the call to end, and return what it returned. Raises what it raised."""
        if self._thread.ident is not None:  # it was started
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
