"""`EncoderEngine`: run an encoder's graph on rows of tokens, in batches."""

import os
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Final, NoReturn

import numpy as np
from numpy.typing import NDArray

from ftool_runtime.bundle.integrity import file_record
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.bundle.paths import MODEL_FILE, path_inside
from ftool_runtime.errors import BundleError
from ftool_runtime.session.batching import cut_into_runs, pad
from ftool_runtime.session.cpu_cache import l2_bytes, tokens_in_cache
from ftool_runtime.session.deadline import carried, current_deadline, within_time_limit
from ftool_runtime.session.fork_guard import ForkGuard
from ftool_runtime.session.onnx_session import OnnxSession, SessionSettings
from ftool_runtime.text.encode import Tokens

# The largest number of tokens in one run on a GPU, including padding. It was not measured: it is enough work to fill a
# GPU, with about 100 MB of activations in a small encoder.
_CUDA_TOKENS: Final = 16384
# The smallest number of runs for which a second session is opened: fewer are over before it has paid for itself.
_WORTH_A_SESSION: Final = 8
_LARGEST_TWICE: Final = (
    100_000_000  # bytes of a graph with its weights, up to which a second session is opened
)

# The graph's outputs for some rows, in order, without padding: float32 (width,) for each row, or (tokens, width) for
# graphs with outputs for every token.
Outputs = Sequence[NDArray[np.float32]] | NDArray[np.float32]


class EncoderEngine:
    """Runs a bundle's encoder graph on rows of tokens. Thread-safe.

    A row's output is independent of the other rows of a call. If rows in the same run would change each other's
    outputs, every row gets a run of its own. On the CPU, several runs go in parallel, with one thread each.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        settings: SessionSettings,
        *,
        width: int,
        per_token: bool = False,
        also: tuple[str, ...] = (),
    ) -> None:
        """Load the bundle in `folder`.

        Args:
            folder: the bundle.
            manifest: the bundle's manifest.
            settings: device, threads and profile.
            width: the number of the graph's outputs for each row, or for each token.
            per_token: whether the graph has outputs for each token rather than for each row.
            also: outputs whose numbers follow those of the manifest's output; `width` counts them too.

        Raises the errors of OnnxSession, and BundleError if the graph's inputs or outputs differ from the manifest's.
        """
        self.manifest = manifest
        self._width, self._per_token = width, per_token
        self._names = (manifest.output, *also)
        self._model_path = path_inside(folder.absolute(), MODEL_FILE)
        session = self._open(settings)
        self._guard = ForkGuard(session)
        self._one_thread_session: OnnxSession | None = session if settings.threads == 1 else None
        self._lock = threading.Lock()
        self.settings = settings
        self.device = session.device

    @within_time_limit
    def outputs(self, rows: Sequence[Tokens]) -> Outputs:
        """Run the graph on rows of tokens.

        Returns:
            One float32 array (rows, width), or with `per_token` a list of float32 arrays (tokens, width), in the order
            of `rows`.

        Raises:
            BundleError: the graph fails.
            TimeLimitError: the time of the call is over.
            ClosedError: after `close`.
            OtherProcessError: in a child of the process that loaded the model.
        """
        session = self._guard.get()
        if len(rows) == 1:
            return self._run(session, rows)
        return self._in_order(rows, self._in_runs(session, rows))

    def close(self) -> None:
        """Release the graph and its threads. Calls in progress finish; later calls raise ClosedError."""
        with self._lock:
            self._guard.close()
            self._one_thread_session = None

    def __reduce__(self) -> NoReturn:
        self._guard.__reduce__()

    def _open(self, settings: SessionSettings) -> OnnxSession:
        session = OnnxSession(self._model_path, settings, self.manifest.precision.devices)
        contract = self.manifest.input
        if set(session.input_names) != set(contract.names) or not {*self._names}.issubset(
            session.output_names
        ):
            raise BundleError(
                f"{self._model_path} has the inputs {list(session.input_names)} and the outputs "
                f"{list(session.output_names)}; the manifest says {list(contract.names)} and {list(self._names)}"
            )
        session.check_types(self._model_path, contract.names, self._names)
        if "attention_mask" not in contract.names and not self.manifest.precision.rows_share_scale:
            raise BundleError(
                f"{self._model_path} takes no attention mask, so its rows must run singly; export it again"
            )
        return session

    def _run(self, session: OnnxSession, rows: Sequence[Tokens]) -> Outputs:
        feeds = pad(rows, self.manifest.input)
        values = self._values(session, feeds)
        leading = feeds["input_ids"].shape if self._per_token else (len(rows),)
        if values.shape != (*leading, self._width):
            raise BundleError(
                f"the graph gave an array {values.shape} instead of {(*leading, self._width)}; export the bundle again"
            )
        if not self._per_token:
            return values
        return [values[row, : len(tokens.ids)] for row, tokens in enumerate(rows)]

    def _values(self, session: OnnxSession, feeds: Mapping[str, NDArray[np.int64]]) -> NDArray[np.float32]:
        """Run the graph, and return its outputs as one array."""
        if len(self._names) == 1:
            return session.run(self.manifest.output, feeds)
        found = session.run_all(self._names, feeds)
        if len({values.shape[:-1] for values in found}) > 1:
            raise BundleError(
                f"the graph gave arrays {[values.shape for values in found]} for the same rows; export the bundle again"
            )
        return np.concatenate(found, axis=-1)

    def _in_order(self, rows: Sequence[Tokens], found: Iterator[tuple[int, NDArray[np.float32]]]) -> Outputs:
        """Return the outputs in the order of `rows`; `found` yields pairs of a row's index and its output."""
        if self._per_token:
            by_position = dict(found)
            return [by_position[position] for position in range(len(rows))]
        values = np.empty((len(rows), self._width), dtype=np.float32)
        for position, value in found:
            values[position] = value
        return values

    def _in_runs(
        self, session: OnnxSession, rows: Sequence[Tokens]
    ) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield pairs of a row's index and its output; runs go in parallel on the CPU, the longest rows first."""
        runs = cut_into_runs([len(row.ids) for row in rows], self._token_budget())
        workers = min(self.settings.threads, len(runs)) if self.device == "cpu" else 1
        if workers > 1:
            session = self._session_of_one_thread(open_it=len(runs) >= _WORTH_A_SESSION)
        waiting = deque(runs)

        deadline = current_deadline()

        def work() -> list[tuple[int, NDArray[np.float32]]]:
            done: list[tuple[int, NDArray[np.float32]]] = []
            while True:
                try:
                    run = waiting.popleft()
                except IndexError:
                    return done
                try:
                    with carried(deadline):
                        outputs = self._run(session, [rows[position] for position in run])
                except BaseException:
                    waiting.clear()  # the call fails, so the other workers can stop
                    raise
                done += zip(run, outputs, strict=True)

        if workers <= 1:
            yield from work()
            return
        from concurrent.futures import ThreadPoolExecutor  # not needed by `import ftool_runtime`

        with ThreadPoolExecutor(workers, thread_name_prefix="ftool") as pool:
            for done in [pool.submit(work) for _ in range(workers)]:
                yield from done.result()

    def _token_budget(self) -> int:
        """Return the largest number of tokens in one run, including padding; 0 gives every row a run of its own."""
        if self.manifest.precision.rows_share_scale:
            return 0
        if self.device == "cuda":
            return _CUDA_TOKENS
        return tokens_in_cache(l2_bytes(), self.manifest.widest_activation)

    def _session_of_one_thread(self, *, open_it: bool) -> OnnxSession:
        """Return a second session on the graph, with one thread, for running several rows in parallel.

        n parallel runs of one thread each are faster than n runs in turn that share n threads. The session is opened
        when it is first needed, because it takes as much memory as the first session. The first session is returned if
        the second is not open and `open_it` is False, if a file of the graph has changed since it was loaded, or if the
        graph is larger than 100 MB. It gives the same outputs, but takes about a fifth more CPU time.
        """
        with self._lock:
            if self._one_thread_session is None and open_it:
                self._one_thread_session = self._second_session() or self._guard.get()
            return self._one_thread_session or self._guard.get()

    def _second_session(self) -> OnnxSession | None:
        """Return a session with one thread on the graph's files, which are the graph itself and external weights.

        Returns None if they are larger than 100 MB, or no longer have the hashes in the loaded manifest.
        """
        records = {name: one for name, one in self.manifest.files.items() if name.startswith(MODEL_FILE)}
        places = {name: self._model_path.with_name(PurePosixPath(name).name) for name in records}
        self._guard.get()
        if sum(one.bytes for one in records.values()) > _LARGEST_TWICE:
            return None
        try:
            found = [_version(place.stat()) for place in places.values()]
            if any(file_record(places[name]) != one for name, one in records.items()):
                return None
            session = self._open(replace(self.settings, threads=1))
            unaltered = found == [_version(place.stat()) for place in places.values()]
        except (OSError, BundleError):  # removed or replaced meanwhile
            return None
        return session if unaltered else None


def _version(found: os.stat_result) -> tuple[int, ...]:
    """Return properties of a file that change when the file is replaced or written to."""
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
