"""Time limits of calls: a timer ends the runs of onnxruntime that belong to a call, in any thread."""

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec, Protocol, Self, TypeVar

from ftool_runtime.errors import TimeLimitError
from ftool_runtime.limits import Limits

Given = ParamSpec("Given")
Result = TypeVar("Result")
Steps = Generator[None, None, None]

_UNLIMITED: Final = nullcontext()
_FATAL_ONLY: Final = (
    4  # onnxruntime's log severity: a run that was ended on purpose is not to be printed as an error
)

_here = threading.local()  # `deadline`: that of the call which this thread is working on


class Deadline:
    """The end of a call's time: then the call's runs fail, those in progress and those to come.

    A context manager, whose end stops the timer. The runs of a thread are those of a call within `carried`.
    """

    def __init__(self, seconds: float) -> None:
        """Start the timer, of `seconds`."""
        from onnxruntime import RunOptions  # the caller has loaded a graph, so it is imported already

        self._seconds = seconds
        self.options: Any = RunOptions()
        self.options.log_severity_level = _FATAL_ONLY
        self.expired = False
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True
        self._timer.start()

    def error(self) -> TimeLimitError:
        """Return the error of a call that has taken too long."""
        return TimeLimitError(
            f"the call took longer than {self._seconds:g} s, the limit call_seconds; give fewer or shorter texts, ask "
            "for fewer tokens, or load with limits=Limits(call_seconds=…)"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._timer.cancel()

    def _expire(self) -> None:
        self.expired = True
        self.options.terminate = True


class _HasSettings(Protocol):
    @property
    def settings(self) -> "_HasLimits": ...


class _HasLimits(Protocol):
    @property
    def limits(self) -> Limits: ...


Owner = TypeVar("Owner", bound=_HasSettings)


def current_deadline() -> Deadline | None:
    """Return the deadline of the call that this thread is working on, if it has one."""
    return getattr(_here, "deadline", None)


@contextmanager
def carried(deadline: Deadline | None) -> Iterator[None]:
    """Let `deadline` be that of this thread's runs in the block."""
    before = current_deadline()
    _here.deadline = deadline
    try:
        yield
    finally:
        _here.deadline = before


def time_limit(seconds: float | None) -> AbstractContextManager[None]:
    """Return a context manager that gives a block `seconds`; None for no limit.

    The runs in it raise TimeLimitError then. A block within another one has the time of the outer one.
    """
    return _UNLIMITED if seconds is None or current_deadline() is not None else _limited(seconds)


def within_time_limit(
    method: Callable[Concatenate[Owner, Given], Result],
) -> Callable[Concatenate[Owner, Given], Result]:
    """Give each call of an engine's method the time in `settings.limits`, as `time_limit` does."""

    @wraps(method)
    def limited(self: Owner, /, *args: Given.args, **kwargs: Given.kwargs) -> Result:
        with time_limit(self.settings.limits.call_seconds):
            return method(self, *args, **kwargs)

    return limited


def timed_steps(steps: Steps, seconds: float | None) -> Steps:
    """Return a generator of the same steps, of which one raises TimeLimitError `seconds` after the first was begun.

    None for no limit.
    """
    return steps if seconds is None else _timed(steps, seconds)


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    with Deadline(seconds) as deadline, carried(deadline):
        yield


def _timed(steps: Steps, seconds: float) -> Steps:
    with closing(steps), Deadline(seconds) as deadline:
        while True:
            with carried(deadline):  # only while a step runs: the reader may make other calls between steps
                try:
                    next(steps)
                except StopIteration:
                    return
            yield
