"""Probes: inputs with torch's outputs, in all shapes that a graph must handle, to check every stage of an export."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ftool_export.checkpoints.encoder import LoadedEncoder
from ftool_export.errors import ExportError
from ftool_export.graph.session import Sessions
from ftool_runtime.text.encode import Tokens

REAL: Final = ("a single input", "inputs of a batch, padded")  # the batches of real inputs
_LONG_PROBE: Final = 512  # tokens; attention grows with the square of the length


class Probe(Protocol):
    """A batch of inputs for a model's graphs, with torch's outputs for these inputs."""

    @property
    def name(self) -> str:
        """A description of the batch and its shape, for error messages."""

    @property
    def real(self) -> bool:
        """Whether the tokens come from real inputs; otherwise they are random."""

    @property
    def outputs(self) -> NDArray[np.float32]:
        """Torch's outputs, float32 (rows, ..., width)."""

    @property
    def kept(self) -> NDArray[np.bool_]:
        """The outputs to compare: bool, in the shape of `outputs` without its last axis, False for padding."""

    def run(self, sessions: Sessions) -> NDArray[np.float32]:
        """Run all rows as one batch, and return the graphs' outputs in the shape of `outputs`."""


def difference(probe: Probe, outputs: NDArray[np.float32]) -> float:
    """Return the largest absolute difference between `outputs` and torch's outputs for the probe."""
    return float(np.abs(outputs - probe.outputs)[probe.kept].max(initial=0.0))


def check_finite(name: str, outputs: NDArray[np.float32]) -> None:
    """Raise ExportError unless all of torch's outputs for the probe `name` are finite."""
    if not np.isfinite(outputs).all():
        raise ExportError(f"the checkpoint's own logits are not finite ({name}): its weights are damaged")


def relative_error(probe: Probe, outputs: NDArray[np.float32]) -> float:
    """Return the Euclidean distance between `outputs` and torch's outputs, divided by the norm of torch's outputs."""
    size = float(np.linalg.norm(probe.outputs[probe.kept]))
    return float(np.linalg.norm((outputs - probe.outputs)[probe.kept])) / max(size, 1e-12)


@dataclass(frozen=True, slots=True)
class EncoderProbe:
    """A probe of an encoder's graph; see `Probe`. `feeds` has the graph's inputs by name, int64 (batch, sequence)."""

    name: str
    feeds: Mapping[str, NDArray[np.int64]]
    outputs: NDArray[np.float32]
    kept: NDArray[np.bool_]
    real: bool

    def run(self, sessions: Sessions) -> NDArray[np.float32]:
        """Run all rows as one batch, and return the graph's outputs."""
        outputs: NDArray[np.float32] = sessions["model"].run(None, dict(self.feeds))[0]
        return outputs


def make_probes(
    loaded: LoadedEncoder, rows: Sequence[Tokens], input_names: Sequence[str]
) -> list[EncoderProbe]:
    """Return probes for an encoder: real inputs, single and in a batch, and random inputs in several shapes.

    Args:
        loaded: the checkpoint, in evaluation mode.
        rows: tokenised inputs of the task, at least one.
        input_names: the names of the graph's inputs; torch also gets the tokenizer's other outputs.

    Raises:
        ExportError: torch's own logits are not finite.
    """
    return [
        _probe(loaded, name, loaded.batch(some), input_names, real=name in REAL)
        for name, some in probe_rows(loaded, rows).items()
    ]


def probe_rows(loaded: LoadedEncoder, rows: Sequence[Tokens]) -> dict[str, list[Tokens]]:
    """Return batches of the shapes that a graph must handle, by description: of real rows, and of random tokens.

    Args:
        loaded: the checkpoint.
        rows: at least one row of the task's own inputs.
    """
    by_length = sorted(rows, key=lambda row: len(row.ids))
    middle = by_length[len(by_length) // 2]
    single, padded = REAL
    batches = {single: [middle], padded: [by_length[0], middle, by_length[-1]]}
    for batch, length in ((1, 1), (3, 1), (1, loaded.max_length), (3, 24)):
        drawn = _drawn(loaded, batch, min(length, _LONG_PROBE, loaded.max_length))
        batches[f"batch {batch}, length {min(length, _LONG_PROBE)}"] = drawn
    return batches


def _drawn(loaded: LoadedEncoder, batch: int, length: int) -> list[Tokens]:
    """Return rows of random tokens: the first has `length` tokens, and each further row fewer than that."""
    generator = torch.Generator().manual_seed(batch * 1009 + length)
    known = loaded.known_ids
    lowest = 5 if known > 5 else 0  # past the special tokens, if there are other tokens
    ids = torch.randint(lowest, known, (batch, length), generator=generator).tolist()
    lengths = [length, *(max(1, length * row // batch) for row in range(1, batch))]
    return [
        Tokens(row[:kept], [0] * kept if "token_type_ids" in loaded.input_names else None)
        for row, kept in zip(ids, lengths, strict=True)
    ]


def _probe(
    loaded: LoadedEncoder, name: str, inputs: dict[str, Tensor], input_names: Sequence[str], *, real: bool
) -> EncoderProbe:
    with torch.inference_mode():
        outputs = loaded.model(**inputs).numpy()
    mask = inputs["attention_mask"].numpy().astype(np.bool_)
    kept = mask if loaded.model.per_token else np.ones(len(outputs), dtype=np.bool_)
    check_finite(name, outputs[kept])
    return EncoderProbe(name, {name: inputs[name].numpy() for name in input_names}, outputs, kept, real)
