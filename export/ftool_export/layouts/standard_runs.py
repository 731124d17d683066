"""Run generators' graphs with standard names in ONNX Runtime, as optimum and transformers.js do.

Caches grow from step to step, and prompts of different lengths are padded on the left, sources on the right.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ftool_export.capture.torch_export import HIDDEN, OUTPUT
from ftool_export.graph.session import open_session, run_graph

Rows = Sequence[Sequence[int]]
Arrays = dict[str, NDArray[Any]]

_PAST: Final = "past_key_values."


class StandardDecoderRun:
    """Runs the graph of a decoder without an encoder."""

    def __init__(self, graph: Path) -> None:
        """Open the file `graph`. Raises ExportError if ONNX Runtime refuses it."""
        self.session = open_session(graph)

    def score_tokens(self, rows: Rows, answers: Rows) -> list[NDArray[np.float32]]:
        """Return the logits that predict each token of answers to prompts, float32 (tokens, vocabulary) for each row.

        All rows run together.
        """
        tokens, mask = _padded(rows, left=True)
        caches, found = empty_caches(self.session, len(rows)), []
        for step in range(max(map(len, answers))):
            positions = np.maximum(mask.cumsum(axis=1) - 1, 0)[:, -tokens.shape[1] :]
            feeds = {"input_ids": tokens, "attention_mask": mask, "position_ids": positions}
            outputs = run_graph(self.session, {**feeds, **caches})
            found.append(outputs[OUTPUT][:, -1])
            caches = {name: outputs[_present(name)] for name in caches}
            tokens = _step_tokens(answers, step)
            mask = np.concatenate([mask, np.ones_like(tokens)], axis=1)
        return _by_row(found, answers)


class MergedDecoderRun:
    """Runs the graphs of an encoder-decoder."""

    def __init__(self, encoder: Path, decoder: Path, start_token: int) -> None:
        """Open the files `encoder` and `decoder`; `start_token` is what the decoder reads first.

        Raises ExportError if ONNX Runtime refuses a graph.
        """
        self.encoder, self.decoder = open_session(encoder), open_session(decoder)
        self.start_token = start_token

    def score_tokens(self, rows: Rows, answers: Rows) -> list[NDArray[np.float32]]:
        """Return the logits that predict each token of answers to sources, float32 (tokens, vocabulary) for each row.

        All rows run together.
        """
        source, mask = _padded(rows, left=False)
        hidden = run_graph(self.encoder, {"input_ids": source, "attention_mask": mask})[HIDDEN]
        fixed = {"encoder_attention_mask": mask, "encoder_hidden_states": hidden}
        tokens = np.full((len(rows), 1), self.start_token, dtype=np.int64)
        caches, found = empty_caches(self.decoder, len(rows)), []
        for step in range(max(map(len, answers))):
            feeds = {**fixed, **caches, "input_ids": tokens, "use_cache_branch": np.array([step > 0])}
            outputs = run_graph(self.decoder, feeds)
            found.append(outputs[OUTPUT][:, -1])
            caches = {name: outputs[_present(name)] for name in caches}
            tokens = _step_tokens(answers, step)
        return _by_row(found, answers)


def empty_caches(session: Any, rows: int) -> Arrays:
    """Return caches without tokens, by the name of the graph's input: float32 (rows, heads, 0, head_dim)."""
    shapes = {entry.name: entry.shape for entry in session.get_inputs() if entry.name.startswith(_PAST)}
    return {name: np.zeros((rows, shape[1], 0, shape[3]), dtype=np.float32) for name, shape in shapes.items()}


def _padded(rows: Rows, *, left: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the tokens and their mask, int64 (rows, longest)."""
    longest = max(map(len, rows))
    tokens, mask = np.zeros((2, len(rows), longest), dtype=np.int64)
    for place, row in enumerate(rows):
        where = slice(longest - len(row), None) if left else slice(len(row))
        tokens[place, where], mask[place, where] = row, 1
    return tokens, mask


def _step_tokens(answers: Rows, step: int) -> NDArray[np.int64]:
    """Return the next token of each answer, int64 (rows, 1), and 0 for answers that are over."""
    return np.array([[answer[step] if step < len(answer) else 0] for answer in answers], dtype=np.int64)


def _by_row(steps: Sequence[NDArray[np.float32]], answers: Rows) -> list[NDArray[np.float32]]:
    logits = np.stack(steps, axis=1)  # (rows, steps, vocabulary)
    return [logits[place, : len(answer)] for place, answer in enumerate(answers)]


def _present(past: str) -> str:
    return past.replace(_PAST, "present.", 1)
