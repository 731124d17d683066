"""Run an encoder's graph on rows of tokens: cut them into runs, run these, and put the outputs back in order."""

import os
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from ftool_runtime.bundle.integrity import file_record
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.bundle.paths import MODEL_FILE, path_inside
from ftool_runtime.errors import BundleError
from ftool_runtime.session.batching import cut_into_runs, pad
from ftool_runtime.session.fork_guard import ForkGuard
from ftool_runtime.session.onnx_session import OnnxSession, SessionSettings
from ftool_runtime.text.encode import Tokens

# Tokens in one run, padding included. cpu: measured, least CPU time between 512 and 2048 (runtime/README.md).
# cuda: not measured, enough work to fill a GPU and about 100 MB of activations in a small encoder.
TOKEN_BUDGET: Mapping[str, int] = {"cpu": 1024, "cuda": 16384}


# The graph's numbers for some rows, in their order: float32 (width,) each, or (tokens, width) for graphs with numbers
# for every token. Padding is left out.
Outputs = Sequence[NDArray[np.float32]] | NDArray[np.float32]


class EncoderEngine:
    """A bundle's graph, ready to run. Safe to call from several threads at once.

    A row's output does not depend on the other rows of a call. If the rows of one run would share a quantisation scale,
    every row is a run of its own, and several runs go at once over the cores.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        settings: SessionSettings,
        *,
        width: int,
        per_token: bool = False,
    ) -> None:
        """Load the bundle in `folder`.

        Args:
            folder: the bundle.
            manifest: its manifest.
            settings: where and how it runs.
            width: how many numbers the graph gives a row, or a token.
            per_token: which of the two.

        Raises as `OnnxSession` does.
        """
        self.manifest = manifest
        self._width, self._per_token = width, per_token
        self._model_path = path_inside(folder.absolute(), MODEL_FILE)
        session = self._open(settings)
        self._held = ForkGuard(session)
        self._one_thread_session: OnnxSession | None = session if settings.threads == 1 else None
        self._lock = threading.Lock()
        self.settings = settings
        self.device = session.device

    def outputs(self, rows: Sequence[Tokens]) -> Outputs:
        """Run the model on rows of tokens.

        Returns:
            float32 (width,) a row, or (tokens, width), in the order of `rows`; without per_token it is one array.

        Raises:
            BundleError: the graph fails.
            ClosedError: after `close`.
            OtherProcessError: in a child of the process that loaded the model.
        """
        session = self._held.get()
        if len(rows) == 1:
            return self._run(session, rows)
        if self.manifest.precision.rows_share_scale:
            return self._gathered(rows, self._each_alone(rows))
        return self._gathered(rows, self._in_batches(session, rows))

    def close(self) -> None:
        """Let go of the graph and its threads. Calls under way finish; later ones raise ClosedError."""
        with self._lock:
            self._held.close()
            self._one_thread_session = None

    def __reduce__(self) -> NoReturn:
        self._held.__reduce__()

    def _open(self, settings: SessionSettings) -> OnnxSession:
        session = OnnxSession(self._model_path, settings, self.manifest.precision.devices)
        contract, output = self.manifest.input, self.manifest.output
        if set(session.input_names) != set(contract.names) or output not in session.output_names:
            raise BundleError(
                f"{self._model_path} takes {list(session.input_names)} and gives "
                f"{list(session.output_names)}; the manifest says {list(contract.names)} and {output!r}"
            )
        return session

    def _run(self, session: OnnxSession, rows: Sequence[Tokens]) -> Outputs:
        feeds = pad(rows, self.manifest.input)
        values = session.run(self.manifest.output, feeds)
        leading = feeds["input_ids"].shape if self._per_token else (len(rows),)
        if values.shape != (*leading, self._width):
            raise BundleError(
                f"the graph gave an array {values.shape} instead of {(*leading, self._width)}; export the bundle again"
            )
        if not self._per_token:
            return values
        return [values[row, : len(tokens.ids)] for row, tokens in enumerate(rows)]

    def _gathered(self, rows: Sequence[Tokens], found: Iterator[tuple[int, NDArray[np.float32]]]) -> Outputs:
        """The outputs by position, in order."""
        if self._per_token:
            by_position = dict(found)
            return [by_position[position] for position in range(len(rows))]
        values = np.empty((len(rows), self._width), dtype=np.float32)
        for position, value in found:
            values[position] = value
        return values

    def _in_batches(
        self, session: OnnxSession, rows: Sequence[Tokens]
    ) -> Iterator[tuple[int, NDArray[np.float32]]]:
        for run in cut_into_runs([len(row.ids) for row in rows], TOKEN_BUDGET[self.device]):
            yield from zip(run, self._run(session, [rows[position] for position in run]), strict=True)

    def _each_alone(self, rows: Sequence[Tokens]) -> Iterator[tuple[int, NDArray[np.float32]]]:
        session = self._session_of_one_thread()
        waiting = deque(enumerate(rows))

        def work() -> list[tuple[int, NDArray[np.float32]]]:
            done: list[tuple[int, NDArray[np.float32]]] = []
            while True:
                try:
                    position, row = waiting.popleft()
                except IndexError:
                    return done
                try:
                    done.append((position, self._run(session, [row])[0]))
                except BaseException:
                    waiting.clear()  # the call fails: the other workers need not go on
                    raise

        from concurrent.futures import ThreadPoolExecutor  # kept from `import ftool_runtime`

        workers = min(self.settings.threads, len(rows))
        if workers <= 1:
            yield from work()
            return
        with ThreadPoolExecutor(workers, thread_name_prefix="ftool") as pool:
            for done in [pool.submit(work) for _ in range(workers)]:
                yield from done.result()

    def _session_of_one_thread(self) -> OnnxSession:
        """A second session on the same graph: n runs of one thread each beat n runs that share n threads.

        It is opened for the first list, as it takes as much memory as the first one. If the file is no longer the one
        that was loaded, or keeps its weights beside it, the runs share the first session: with the same answers, for
        about a fifth more CPU time.
        """
        with self._lock:
            if self._one_thread_session is None:
                self._one_thread_session = self._second_session() or self._held.get()
            return self._one_thread_session

    def _second_session(self) -> OnnxSession | None:
        """A session on the graph's file if that is the whole graph, and still has the hash of the loaded manifest."""
        files = self.manifest.files
        self._held.get()
        try:
            found = self._model_path.stat()
            if (
                any(name.startswith(f"{MODEL_FILE}_") for name in files)  # weights beside the graph
                or file_record(self._model_path) != files[MODEL_FILE]
            ):
                return None
            session = self._open(replace(self.settings, threads=1))
            unaltered = _version(found) == _version(self._model_path.stat())
        except (OSError, BundleError):  # removed, or replaced in this moment
            return None
        return session if unaltered else None


def _version(found: os.stat_result) -> tuple[int, ...]:
    """What changes when a file is replaced or written to."""
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
