"""Texts to logits: tokenising, cutting into runs, running, and putting the rows back in order."""

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from ftool_runtime.batching import cut_into_runs, pad
from ftool_runtime.bundle_paths import MODEL_FILE, TOKENIZER_FILE, path_inside
from ftool_runtime.errors import BundleError
from ftool_runtime.manifest import Manifest
from ftool_runtime.one_process import OneProcess
from ftool_runtime.onnx_session import OnnxSession, SessionSettings
from ftool_runtime.token_encoder import TokenEncoder, Tokens

# Tokens in one run, padding included. cpu: measured, least CPU time between 512 and 2048 (runtime/README.md).
# cuda: not measured, enough work to fill a GPU and about 100 MB of activations in a small encoder.
TOKEN_BUDGET: Mapping[str, int] = {"cpu": 1024, "cuda": 16384}


class Logits(NamedTuple):
    """What the graph says of some texts.

    Attributes:
        values: float32 (batch, labels), rows in the order of the texts.
        truncated: for every text, whether it was longer than the model takes.
    """

    values: NDArray[np.float32]
    truncated: list[bool]


class Engine:
    """A bundle's tokenizer and graph, ready to run. Safe to call from several threads at once.

    A text's logits do not depend on the other texts of a call. Where the texts of one run would share a
    quantisation scale, every text runs alone, and several such runs go at once over the cores.
    """

    def __init__(self, folder: Path, manifest: Manifest, settings: SessionSettings) -> None:
        """Load the bundle in `folder`. Raises as `OnnxSession` and `TokenEncoder` do."""
        self.manifest = manifest
        self._model_path = path_inside(folder, MODEL_FILE)
        self._encoder = TokenEncoder(path_inside(folder, TOKENIZER_FILE), manifest.input)
        session = self._open(settings)
        self._held = OneProcess(session)
        self._one_thread_session: OnnxSession | None = session if settings.threads == 1 else None
        self._lock = threading.Lock()
        self.settings = settings
        self.device = session.device

    def logits(self, texts: Sequence[str], first_row: int = 0) -> Logits:
        """Run the model on `texts`.

        Args:
            texts: any number of strings.
            first_row: the position of the first of them in the caller's numbering, for errors.

        Raises:
            InputError: a text that can't be read; its row is named.
            BundleError: the graph fails.
            ClosedError: after `close`.
            OtherProcessError: in a child of the process that loaded the model.
        """
        session = self._held.get()
        if len(texts) == 1:
            tokens = self._encoder.encode(texts[0], first_row)
            return Logits(self._run(session, [tokens]), [tokens.truncated])
        if not texts:
            return Logits(np.empty((0, len(self.manifest.labels)), dtype=np.float32), [])
        if self.manifest.precision.rows_share_scale:
            return self._each_alone(texts, first_row)
        return self._in_batches(session, texts, first_row)

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

    def _run(self, session: OnnxSession, tokens: Sequence[Tokens]) -> NDArray[np.float32]:  # (batch, labels)
        values = session.run(self.manifest.output, pad(tokens, self.manifest.input))
        if values.shape != (len(tokens), len(self.manifest.labels)):
            raise BundleError(
                f"the graph gave an array {values.shape} for {len(tokens)} texts and "
                f"{len(self.manifest.labels)} labels; export the bundle again"
            )
        return values

    def _in_batches(self, session: OnnxSession, texts: Sequence[str], first_row: int) -> Logits:
        tokens = [self._encoder.encode(text, row) for row, text in enumerate(texts, first_row)]
        values = np.empty((len(texts), len(self.manifest.labels)), dtype=np.float32)
        for run in cut_into_runs([len(text.ids) for text in tokens], TOKEN_BUDGET[self.device]):
            values[run] = self._run(session, [tokens[position] for position in run])
        return Logits(values, [text.truncated for text in tokens])

    def _each_alone(self, texts: Sequence[str], first_row: int) -> Logits:
        session = self._session_of_one_thread()
        values = np.empty((len(texts), len(self.manifest.labels)), dtype=np.float32)
        truncated = [False] * len(texts)
        waiting = deque(enumerate(texts))

        def work() -> None:
            while True:
                try:
                    position, text = waiting.popleft()
                except IndexError:
                    return
                try:
                    tokens = self._encoder.encode(text, first_row + position)
                    values[position] = self._run(session, [tokens])[0]
                except BaseException:
                    waiting.clear()  # the call fails: the other workers need not go on
                    raise
                truncated[position] = tokens.truncated

        from concurrent.futures import ThreadPoolExecutor  # kept from `import ftool_runtime`

        workers = min(self.settings.threads, len(texts))
        if workers == 1:
            work()
        else:
            with ThreadPoolExecutor(workers, thread_name_prefix="ftool") as pool:
                for done in [pool.submit(work) for _ in range(workers)]:
                    done.result()
        return Logits(values, truncated)

    def _session_of_one_thread(self) -> OnnxSession:
        """A second session on the same graph: n runs of one thread each beat n runs that share n threads."""
        with self._lock:
            if self._one_thread_session is None:
                self._held.get()
                self._one_thread_session = self._open(replace(self.settings, threads=1))
            return self._one_thread_session
