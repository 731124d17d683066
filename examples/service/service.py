"""Calls of one loaded model from many requests: a fixed number at a time, a short queue, a time limit, metrics."""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

import ftool_runtime as ft

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a service takes on.

    Attributes:
        workers: the calls that run at a time; further calls wait.
        threads_per_call: the model's threads in a call. One gives the most answers a second under load.
        waiting: the calls that may wait; further ones are refused at once, so that the caller can go elsewhere.
        timeout_s: the longest time from a call's arrival to its answer.
        largest_body: the largest body of a request, in bytes.
    """

    workers: int = 8
    threads_per_call: int = 1
    waiting: int = 64
    timeout_s: float = 10.0
    largest_body: int = 1_000_000


class OverloadedError(Exception):
    """Raised if as many calls wait as may wait."""


class Service:
    """Answers calls from an event loop with a model in worker threads."""

    def __init__(self, model: Any, limits: Limits) -> None:
        self._model, self._limits = model, limits
        self._pool = ThreadPoolExecutor(limits.workers, thread_name_prefix="answers")
        self._inside = 0  # calls that run or wait; read and written by the event loop alone
        self.info: dict[str, Any] = model.info()
        self.registry = CollectorRegistry()
        self._calls = Counter("calls", "Calls by result.", ["result"], registry=self.registry)
        self._inputs = Counter("inputs", "Inputs that were answered.", registry=self.registry)
        self._seconds = Histogram(
            "call_seconds", "From arrival to answer.", buckets=_BUCKETS, registry=self.registry
        )
        gauge = Gauge("calls_inside", "Calls that run or wait.", registry=self.registry)
        gauge.set_function(lambda: self._inside)

    async def answer(self, inputs: Sequence[Any], options: dict[str, Any]) -> list[Any]:
        """Return the answers to the inputs of one call, as JSON values.

        Raises:
            OverloadedError: as many calls wait as may wait.
            TimeoutError: there was no answer in time. The call still occupies its thread until it ends.
            FtoolError: the model refuses an input or an option, or fails.
        """
        if self._inside >= self._limits.workers + self._limits.waiting:
            self._calls.labels("overloaded").inc()
            raise OverloadedError(f"{self._inside} calls run or wait; try again later")
        start, result = time.perf_counter(), "failed"
        work = self._pool.submit(self._run, inputs, options)
        self._inside += 1
        loop = asyncio.get_running_loop()
        work.add_done_callback(lambda _: loop.call_soon_threadsafe(self._leave))
        try:
            answers = await asyncio.wait_for(asyncio.wrap_future(work), self._limits.timeout_s)
            result = "answered"
            self._inputs.inc(len(answers))
            return answers
        except TimeoutError:
            result = "late"
            raise
        except ft.InputError:
            result = "refused"
            raise
        finally:
            self._calls.labels(result).inc()
            self._seconds.observe(time.perf_counter() - start)

    def close(self) -> None:
        """Wait for the calls that run, and forget those that wait."""
        self._pool.shutdown(cancel_futures=True)

    def _leave(self) -> None:
        self._inside -= 1

    def _run(self, inputs: Sequence[Any], options: dict[str, Any]) -> list[Any]:
        unknown = sorted(options.keys() - set(self._model.call_options))
        if unknown:
            known = ", ".join(self._model.call_options) or "no options"
            raise ft.InputError(f"unknown option {unknown[0]!r}; this model takes {known}")
        (answers,) = self._model.predict_batches([inputs], **options)
        return [answer.to_json() for answer in answers]
