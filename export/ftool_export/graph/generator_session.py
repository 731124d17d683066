"""Run prompts and decoding steps through a generator's graphs during an export.

The runtime has a faster implementation. The one here is for the export's checks, and needs only graphs, not a bundle.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ftool_export.capture.torch_export import OUTPUT
from ftool_export.graph.session import Sessions, run_graph

Rows = Sequence[Sequence[int]]  # token ids, rows of any length from 1 on

_UNREAD: Final = (
    3.0  # fills buffers past a row's end, so that an operator that reads there gives wrong logits
)


class Conversation:
    """The state of a batch of rows between two steps of the decoder: the rows' caches and lengths."""

    def __init__(self, fixed: Mapping[str, NDArray[Any]], caches: Mapping[str, Any], rows: int) -> None:
        self.fixed = dict(fixed)  # cross caches and the source's mask
        self.caches = dict(caches)  # by input name
        self.lengths = np.zeros(rows, dtype=np.int64)
        self.seen = np.zeros((rows, 0), dtype=np.int64)  # concatenated caches: 1 if a column holds a token


# Reads the outputs of one run, by name, of the graph with this name.
Watch = Callable[[str, Mapping[str, NDArray[Any]]], None]


class GraphRunner:
    """Runs a generator's decoder and encoder (if any) in ONNX Runtime sessions.

    If there is a `watch`, it reads all outputs but the caches of each run of a graph, also outputs that were added to
    the graph.
    """

    def __init__(self, sessions: Sessions, watch: Watch | None = None) -> None:
        self._encoder = sessions.get("encoder")
        self._decoder = sessions["decoder"]
        self._watch = watch
        self._watched = [OUTPUT]
        if watch is not None:
            names = [output.name for output in self._decoder.get_outputs()]
            self._watched = [OUTPUT, *(n for n in names if n != OUTPUT and not n.startswith("present."))]
        self._inputs = {entry.name: entry for entry in self._decoder.get_inputs()}
        self._static = "seqlens_k" in self._inputs

    def start(self, sources: Rows | None, rows: int, capacity: int) -> Conversation:
        """Return a conversation with empty caches for `rows` rows.

        Args:
            sources: the token ids of each row's source; None for decoders without an encoder.
            rows: the number of rows.
            capacity: the largest number of tokens in a row for which the caches have room.
        """
        fixed = {} if sources is None else self._encode(sources)
        caches = {}
        for name, entry in self._inputs.items():
            if name.startswith("past."):
                _, heads, _, head_dim = entry.shape
                shape = (rows, heads, capacity if self._static else 0, head_dim)
                caches[name] = self._cache(np.full(shape, _UNREAD, dtype=np.float32))
        return Conversation(fixed, caches, rows)

    def step(self, conversation: Conversation, new: Rows, kept: NDArray[np.int64]) -> NDArray[np.float32]:
        """Run the decoder on new tokens for every row.

        Args:
            conversation: the state that `start` returned; it is updated in place.
            new: the new token ids of each row, at least one; the number may differ between rows only in the first step.
            kept: int64 (batch, kept), for each row the indices of the new tokens whose logits are returned.

        Returns:
            Logits float32 (batch, kept, vocabulary).
        """
        tokens, mask = _padded(new)
        positions = conversation.lengths[:, None] + np.arange(mask.shape[1])
        conversation.lengths = conversation.lengths + mask.sum(axis=1)
        conversation.seen = np.concatenate([conversation.seen, mask.astype(np.int64)], axis=1)
        total = int(conversation.lengths.max())
        feeds = {
            "input_ids": tokens,
            "position_ids": np.where(mask, positions, 0),
            "positions": np.arange(total),
            "attention_mask": conversation.seen,
            "seqlens_k": (conversation.lengths - 1).astype(np.int32),
            "total_length": np.array(total, dtype=np.int32),
            "logits_at": kept,
            **conversation.fixed,
        }
        if self._static:
            return self._run_static(conversation, feeds)
        return self._run_concatenated(conversation, feeds)

    def _encode(self, sources: Rows) -> dict[str, NDArray[Any]]:
        assert self._encoder is not None
        tokens, mask = _padded(sources)
        results = run_graph(self._encoder, {"input_ids": tokens, "attention_mask": mask.astype(np.int64)})
        if self._watch is not None:
            self._watch("encoder", results)
        cross = {name: array for name, array in results.items() if name in self._inputs}
        return {**cross, "source_mask": mask.astype(np.int32 if self._static else np.int64)}

    def _cache(self, array: NDArray[np.float32]) -> Any:
        import onnxruntime as ort

        return ort.OrtValue.ortvalue_from_numpy(array) if self._static else array

    def _run_static(
        self, conversation: Conversation, feeds: Mapping[str, NDArray[Any]]
    ) -> NDArray[np.float32]:
        binding = self._decoder.io_binding()
        for name, array in feeds.items():
            if name in self._inputs:
                binding.bind_cpu_input(name, np.ascontiguousarray(array))
        for name in self._watched:
            binding.bind_output(name)
        for name, cache in conversation.caches.items():
            binding.bind_ortvalue_input(name, cache)
            binding.bind_ortvalue_output(_present(name), cache)
        self._decoder.run_with_iobinding(binding)
        results = dict(zip(self._watched, (value.numpy() for value in binding.get_outputs()), strict=False))
        if self._watch is not None:
            self._watch("decoder", results)
        logits: NDArray[np.float32] = results[OUTPUT]
        return logits

    def _run_concatenated(
        self, conversation: Conversation, feeds: Mapping[str, NDArray[Any]]
    ) -> NDArray[np.float32]:
        results = run_graph(self._decoder, {**feeds, **conversation.caches})
        if self._watch is not None:
            self._watch("decoder", results)
        conversation.caches = {name: results[_present(name)] for name in conversation.caches}
        logits: NDArray[np.float32] = results[OUTPUT]
        return logits


def _padded(rows: Rows) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return `rows` as int64 (batch, longest), padded on the right with 0, and a mask that is False on padding."""
    lengths = np.array([len(row) for row in rows])
    mask = np.arange(lengths.max()) < lengths[:, None]
    tokens = np.zeros(mask.shape, dtype=np.int64)
    tokens[mask] = np.concatenate([np.asarray(row, dtype=np.int64) for row in rows])
    return tokens, mask


def _present(past: str) -> str:
    return past.replace("past.", "present.", 1)
