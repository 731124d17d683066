"""Inputs that every stage of an export must answer as torch does: all the shapes that a graph will meet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ftool_export.checkpoints.encoder import LoadedEncoder
from ftool_export.errors import ExportError
from ftool_runtime.text.encode import Tokens

# Of no domain, and of all lengths: what is tried where no texts were handed in.
SAMPLE_TEXTS: Final = (
    "yes",
    "turn it off",
    "I can't find my card anywhere!",
    "What time does the shop open tomorrow morning?",
    "My parcel should have come on Friday, but nobody knows where it is.",
    "The room was clean and quiet, the staff were kind, and breakfast was worth getting up for.",
    "ok so i tried restarting it twice and its still showing the same error, what now??",
    "According to the report, sales rose by 4.5% in the third quarter, while costs stayed as they were; the board "
    "will decide in November whether the plan for next year has to change.",
)
_LONG_PROBE: Final = 512  # tokens; attention grows with the square of the length


@dataclass(frozen=True, slots=True)
class Probe:
    """One call of the graph and torch's answer to it.

    Attributes:
        name: what the shape is, for a person.
        feeds: int64 (batch, sequence) by input name.
        outputs: float32 (batch, width) or (batch, sequence, width), torch's.
        kept: where the outputs count: bool of their shape without the width; False for padding where per token.
        real: whether the tokens are those of real inputs, rather than drawn at random.
    """

    name: str
    feeds: Mapping[str, NDArray[np.int64]]
    outputs: NDArray[np.float32]
    kept: NDArray[np.bool_]
    real: bool

    def difference(self, outputs: NDArray[np.float32]) -> float:
        """The largest absolute difference of `outputs`, of the same shape, from torch's."""
        return float(np.abs(outputs - self.outputs)[self.kept].max(initial=0.0))

    def relative_error(self, outputs: NDArray[np.float32]) -> float:
        """The Euclidean distance of `outputs` from torch's, over the latter's length."""
        size = float(np.linalg.norm(self.outputs[self.kept]))
        return float(np.linalg.norm((outputs - self.outputs)[self.kept])) / max(size, 1e-12)


def make_probes(loaded: LoadedEncoder, rows: Sequence[Tokens], input_names: Sequence[str]) -> list[Probe]:
    """Real rows alone and in company, and the grid: batch 1 and n, length 1 and maximum, padded and not.

    Args:
        loaded: the reference, in eval mode.
        rows: some rows of the task's own inputs, at least one.
        input_names: what the graph takes; torch is fed all that the tokenizer makes.

    Raises:
        ExportError: torch's own answers are not numbers.
    """
    some = sorted(rows, key=lambda row: len(row.ids))
    middle = some[len(some) // 2]
    shapes = {
        "an input alone": loaded.batch([middle]),
        "inputs in company, padded": loaded.batch([some[0], middle, some[-1]]),
    }
    probes = [_probe(loaded, name, inputs, input_names, real=True) for name, inputs in shapes.items()]
    for batch, length in ((1, 1), (3, 1), (1, loaded.max_length), (3, 24)):
        name = f"batch {batch}, length {min(length, _LONG_PROBE)}"
        drawn = _drawn(loaded, batch, min(length, _LONG_PROBE, loaded.max_length))
        probes.append(_probe(loaded, name, drawn, input_names, real=False))
    return probes


def _drawn(loaded: LoadedEncoder, batch: int, length: int) -> dict[str, Tensor]:
    """Random tokens; in a batch every row but the first ends in padding."""
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
) -> Probe:
    with torch.inference_mode():
        outputs = loaded.model(**inputs).numpy()
    mask = inputs["attention_mask"].numpy().astype(np.bool_)
    kept = mask if loaded.model.per_token else np.ones(len(outputs), dtype=np.bool_)
    if not np.isfinite(outputs[kept]).all():
        raise ExportError(f"the checkpoint's own logits are not finite ({name}): its weights are damaged")
    return Probe(name, {name: inputs[name].numpy() for name in input_names}, outputs, kept, real)
