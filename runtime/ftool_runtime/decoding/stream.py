"""`TextStream`: an answer that is read while it is generated."""

import threading
from collections.abc import Callable, Generator, Iterator
from typing import Self

from ftool_runtime.decoding.detokenize import IncrementalText
from ftool_runtime.decoding.greedy import Row
from ftool_runtime.decoding.results import GeneratedRow, Generation
from ftool_runtime.errors import InputError


class TextStream(Iterator[str]):
    """An iterator over the text of one answer, which is generated while it is read. The chunks make up `result.text`.

    Only one thread may read; any thread may cancel. Closing the stream, or dropping the last reference to it, frees
    its buffers.
    """

    def __init__(
        self,
        steps: Generator[None, None, None],
        row: Row,
        text: IncrementalText,
        finish: Callable[[GeneratedRow, str], Generation],
        ended: Callable[[Generation, bool], None] | None = None,
    ) -> None:
        """Prepare to read an answer.

        Args:
            steps: a generator that adds one token to `row` in each step.
            row: the answer's tokens.
            text: the decoder of the answer's text, to which each new token of `row` is added.
            finish: a function that makes the result from the finished row and its text.
            ended: a function that is called once, with the result and whether the answer was read to its end.
        """
        self._steps = steps
        self._row = row
        self._text = text
        self._finish = finish
        self._ended = ended
        self._chunks: list[str] = []
        self._cancelled = threading.Event()
        self._result: Generation | None = None

    def __next__(self) -> str:
        while self._result is None:
            ended = self._cancelled.is_set() or next(self._steps, self) is self
            chunk = self._text.rest() if ended else self._text.chunk()
            self._chunks.append(chunk)
            if ended:
                self._end(complete=True)
            if chunk:
                return chunk
        raise StopIteration

    def cancel(self) -> None:
        """End the answer after the token in progress. The reader gets the text so far. Any thread may call this."""
        self._cancelled.set()

    def close(self) -> None:
        """Generate no more tokens, and free the stream's buffers. Does nothing if the answer has already ended."""
        self._end(complete=False)

    def _end(self, *, complete: bool) -> None:
        if self._result is None:
            self._steps.close()
            self._result = self._finish(self._row.result(), "".join(self._chunks))
            if self._ended is not None:
                self._ended(self._result, complete)

    @property
    def result(self) -> Generation:
        """The complete answer. Raises InputError if the answer has not ended yet."""
        if self._result is None:
            raise InputError("the answer has not ended; read the stream to its end, or close it")
        return self._result

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()
