"""A background call gives its result or its error to the thread that waits for it."""

import threading

import pytest

from ftool_runtime.session.background import Background


def test_the_result_comes_from_another_thread() -> None:
    assert Background(threading.get_ident).result() != threading.get_ident()


def test_the_call_goes_on_while_nobody_waits() -> None:
    released, called = threading.Event(), threading.Event()
    call = Background(lambda: (called.set(), released.wait(10)))
    assert called.wait(10)
    released.set()
    assert call.result() == (None, True)


def test_an_error_is_raised_where_the_result_is_taken() -> None:
    def fail() -> None:
        raise ValueError("no graph")

    call = Background(fail)
    with pytest.raises(ValueError, match="no graph"):
        call.result()


def test_without_more_threads_the_function_is_called_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert Background(threading.get_ident).result() == threading.get_ident()
