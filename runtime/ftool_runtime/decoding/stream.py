"""An answer that is read while it is made."""

import threading
from collections.abc import Callable, Generator, Iterator
from typing import Self

from ftool_runtime.decoding.detokenize import GrowingText
from ftool_runtime.decoding.greedy import Row
from ftool_runtime.decoding.results import GeneratedRow, Generation
from ftool_runtime.errors import InputError


class TextStream(Iterator[str]):
    """The pieces of one answer's text, made as they are asked for. Joined, they are `result.text`.

    One thread reads; any thread may cancel. Closing it early, or letting go of it, frees its buffers.
    """

    def __init__(
        self,
        steps: Generator[None, None, None],
        row: Row,
        text: GrowingText,
        finish: Callable[[GeneratedRow, str], Generation],
        ended: Callable[[Generation, bool], None] | None = None,
    ) -> None:
        """Read `row`, which grows by a token with each of `steps` and feeds `text`.

        `finish` makes the result, and `ended` is told of it, once, and whether it was read to its end.
        """
        self._steps = steps
        self._row = row
        self._text = text
        self._finish = finish
        self._ended = ended
        self._pieces: list[str] = []
        self._cancelled = threading.Event()
        self._result: Generation | None = None

    def __next__(self) -> str:
        while self._result is None:
            ended = self._cancelled.is_set() or next(self._steps, self) is self
            piece = self._text.rest() if ended else self._text.piece()
            self._pieces.append(piece)
            if ended:
                self._end(whole=True)
            if piece:
                return piece
        raise StopIteration

    def cancel(self) -> None:
        """Let the answer end where it is; callable from any thread. The reader gets what was ready, and the end."""
        self._cancelled.set()

    def close(self) -> None:
        """End the answer where it is and free its buffers. Does nothing where it has ended."""
        self._end(whole=False)

    def _end(self, *, whole: bool) -> None:
        if self._result is None:
            self._steps.close()
            self._result = self._finish(self._row.result(), "".join(self._pieces))
            if self._ended is not None:
                self._ended(self._result, whole)

    @property
    def result(self) -> Generation:
        """The whole answer. Raises InputError before its end."""
        if self._result is None:
            raise InputError("the answer has not ended; read the stream to its end first, or cancel it")
        return self._result

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()
