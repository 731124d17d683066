"""Encoders: turn inputs into token rows, pad rows to batches, and run the torch network over any number of rows."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ftool_export.checkpoints.base import LoadedModel, tokens_per_batch
from ftool_export.networks.encoder import EncoderNetwork
from ftool_runtime.session.batching import cut_into_runs
from ftool_runtime.session.encoder_engine import Outputs
from ftool_runtime.text.encode import Tokens, check_known


@dataclass(frozen=True, kw_only=True)
class LoadedEncoder(LoadedModel):
    """The checkpoint of an encoder. Each task has a subclass."""

    model: EncoderNetwork

    @property
    def pretrained(self) -> Any:
        """The network that transformers saves and loads: the encoder, with the head if one class holds both."""
        return self.model.encoder

    @property
    def family(self) -> str:
        """Always "encoder"."""
        return "encoder"

    @property
    def standard_output(self) -> str:
        """The name of the graph's output that the runtime reads, in a bundle with standard names."""
        return self.model.output_name

    @property
    def input_names(self) -> tuple[str, ...]:
        """The names of the network's inputs that the tokenizer produces."""
        return tuple(n for n in self.model.input_names if n in self.tokenizer.model_input_names)

    @property
    def reads_padding(self) -> bool:
        """Whether padding in a batch changes a row's outputs in PyTorch, as in a network with a convolution."""
        return self.model.reads_padding

    def rows(self, inputs: Sequence[Any]) -> list[list[Tokens]]:
        """Return the token rows of each input, from transformers' tokenizer.

        Inputs have the form that the runtime's model takes: here a text, or a dict of "text" and "text_pair". An input
        has several rows only in tasks that cut inputs into windows.
        """
        texts = [given if isinstance(given, str) else given["text"] for given in inputs]
        pairs = [None if isinstance(given, str) else given.get("text_pair") for given in inputs]
        return [[row] for row in self.tokenize(texts, pairs)]

    def tokenize(self, texts: Sequence[str], pairs: Sequence[str | None] | None = None) -> list[Tokens]:
        """Return one token row per text or pair of texts, cut to `max_length` tokens.

        The longer text of a pair is cut first.
        """
        if not texts:
            return []
        if pairs is None or all(pair is None for pair in pairs):
            return self._tokenize([self.prefix + text for text in texts])
        if any(pair is None for pair in pairs):
            raise ValueError("texts with and without a pair in one call")
        return self._tokenize([self.prefix + text for text in texts], list(pairs))

    def _tokenize(self, *texts: Sequence[Any]) -> list[Tokens]:
        encoded = self.tokenizer(*texts, padding=False, truncation=True, max_length=self.max_length)
        if self.vocabulary is not None:
            for row, encoding in enumerate(encoded.encodings):
                check_known(encoding.ids, self.vocabulary, encoding.tokens, "text", row)
        full = [row for row, ids in enumerate(encoded["input_ids"]) if len(ids) == self.max_length]
        texts_at_limit = [[column[row] for row in full] for column in texts]
        uncut = self.tokenizer(*texts_at_limit, verbose=False)["input_ids"] if full else []
        cut = {row for row, ids in zip(full, uncut, strict=True) if len(ids) > self.max_length}
        count = len(encoded["input_ids"])
        types = encoded["token_type_ids"] if "token_type_ids" in self.input_names else [None] * count
        return [
            Tokens(ids, type_ids, truncated=row in cut)
            for row, (ids, type_ids) in enumerate(zip(encoded["input_ids"], types, strict=True))
        ]

    def reference_ids(self, given: Any) -> list[list[int]]:
        """Return the token ids of each token row of the input `given`. Raises InputError for an invalid input."""
        return [row.ids for row in self.rows([given])[0]]

    def batch(self, rows: Sequence[Tokens]) -> dict[str, Tensor]:
        """Return the network's inputs for `rows`: for each name, int64 (rows, longest length), padded on the right."""
        columns = {"input_ids": [row.ids for row in rows]}
        if "token_type_ids" in self.input_names:
            columns["token_type_ids"] = [row.type_ids or [] for row in rows]
        padded = self.tokenizer.pad(columns, padding_side="right", return_tensors="pt")
        return {name: padded[name] for name in self.input_names}

    def save_tokenizer(self, folder: Path) -> None:
        """Write the tokenizer, with its length limit set to this model's `max_length`."""
        self.tokenizer.model_max_length = self.max_length
        super().save_tokenizer(folder)


def all_rows(loaded: LoadedEncoder, inputs: Sequence[Any]) -> list[Tokens]:
    """Return the token rows of all inputs in one list, in order."""
    return [row for rows in loaded.rows(inputs) for row in rows]


def compute_outputs(loaded: LoadedEncoder, rows: Sequence[Tokens]) -> Outputs:
    """Return the network's output for each row: float32 (width,), or (tokens, width) if the network is `per_token`."""
    if not loaded.model.per_token:
        return run_network(loaded, rows, loaded.model.forward, loaded.model.width)
    return run_per_token(loaded, rows, loaded.model.forward)


def run_per_token(
    loaded: LoadedEncoder, rows: Sequence[Tokens], step: Callable[..., Tensor]
) -> list[NDArray[np.float32]]:
    """Run `step`, a method of the network, on all rows. Returns the outputs of each row, float32 (tokens, width)."""
    outputs: list[NDArray[np.float32]] = [np.empty(0, dtype=np.float32)] * len(rows)
    for run, values in _batches(loaded, rows, step):
        for position, value in zip(run, values, strict=True):
            outputs[position] = value[: len(rows[position].ids)].copy()
    return outputs


def run_network(
    loaded: LoadedEncoder,
    rows: Sequence[Tokens],
    step: Callable[..., Tensor],
    width: int,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Run `step`, a method of the network, on all rows.

    Returns the outputs, float32 (rows, width), which are written into `out` if it is given.
    """
    results = np.empty((len(rows), width), dtype=np.float32) if out is None else out
    for run, values in _batches(loaded, rows, step):
        results[run] = values
    return results


def _batches(
    loaded: LoadedEncoder, rows: Sequence[Tokens], step: Callable[..., Tensor]
) -> Iterator[tuple[list[int], NDArray[np.float32]]]:
    """Run `step` on batches of rows, and yield for each batch the positions of its rows and the outputs of `step`.

    Batches of the longest rows come first, so that memory runs out in the first batch or never.
    """
    device = next(loaded.model.parameters()).device
    was_training = loaded.model.training
    loaded.model.eval()
    try:
        with torch.inference_mode():
            lengths, most = [len(row.ids) for row in rows], tokens_per_batch(device)
            ragged = len(set(lengths)) > 1
            if ragged and loaded.reads_padding:
                runs = _runs_of_one_length(lengths, most)
            else:
                runs = cut_into_runs(lengths, most)
            for run in runs:
                inputs = loaded.batch([rows[position] for position in run])
                values = step(**{name: value.to(device) for name, value in inputs.items()})
                yield run, values.float().cpu().numpy()
    finally:
        loaded.model.train(was_training)


def _runs_of_one_length(lengths: Sequence[int], most: int) -> list[list[int]]:
    """Group rows of equal length, which need no padding, into batches of at most `most` tokens.

    Returns the positions of rows, longest first; a row of more than `most` tokens is a batch of its own.
    """
    found: list[list[int]] = []
    for length in sorted(set(lengths), reverse=True):
        rows = [row for row, other in enumerate(lengths) if other == length]
        count = max(1, most // length)
        found += [rows[start : start + count] for start in range(0, len(rows), count)]
    return found
