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

    def run_singly(self, sessions: Sessions) -> NDArray[np.float32]:
        """Like `run`, but with each row run singly, without padding."""


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

    def run_singly(self, sessions: Sessions) -> NDArray[np.float32]:
        """Run each row singly, without its padding, and return the graph's outputs; outputs of padding are 0."""
        outputs = np.zeros_like(self.outputs)
        for row, length in enumerate(self.feeds["attention_mask"].sum(axis=1)):
            alone = {name: values[row : row + 1, :length] for name, values in self.feeds.items()}
            values = sessions["model"].run(None, alone)[0][0]
            if outputs.ndim == 2:
                outputs[row] = values
            else:
                outputs[row, :length] = values
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
    by_length = sorted(rows, key=lambda row: len(row.ids))
    middle = by_length[len(by_length) // 2]
    shapes = {
        "a single input": loaded.batch([middle]),
        "inputs of a batch, padded": loaded.batch([by_length[0], middle, by_length[-1]]),
    }
    probes = [_probe(loaded, name, inputs, input_names, real=True) for name, inputs in shapes.items()]
    for batch, length in ((1, 1), (3, 1), (1, loaded.max_length), (3, 24)):
        name = f"batch {batch}, length {min(length, _LONG_PROBE)}"
        drawn = _drawn(loaded, batch, min(length, _LONG_PROBE, loaded.max_length))
        probes.append(_probe(loaded, name, drawn, input_names, real=False))
    return probes


def _drawn(loaded: LoadedEncoder, batch: int, length: int) -> dict[str, Tensor]:
    """Return random inputs, int64 (batch, length), by name; all rows except the first end in padding."""
    generator = torch.Generator().manual_seed(batch * 1009 + length)
    ids = torch.randint(5, len(loaded.tokenizer), (batch, length), generator=generator)
    mask = torch.ones_like(ids)
    for row in range(1, batch):
        mask[row, max(1, length * row // batch) :] = 0
    ids = torch.where(mask.bool(), ids, loaded.tokenizer.pad_token_id)
    types = torch.zeros_like(ids)
    inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
    return {name: inputs[name] for name in loaded.input_names}


def _probe(
    loaded: LoadedEncoder, name: str, inputs: dict[str, Tensor], input_names: Sequence[str], *, real: bool
) -> EncoderProbe:
    with torch.inference_mode():
        outputs = loaded.model(**inputs).numpy()
    mask = inputs["attention_mask"].numpy().astype(np.bool_)
    kept = mask if loaded.model.per_token else np.ones(len(outputs), dtype=np.bool_)
    check_finite(name, outputs[kept])
    return EncoderProbe(name, {name: inputs[name].numpy() for name in input_names}, outputs, kept, real)
