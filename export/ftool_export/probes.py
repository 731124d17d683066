"""Inputs that every stage of an export must answer as torch does: all the shapes that a graph will meet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ftool_export.classifier import LoadedClassifier
from ftool_export.errors import ExportError

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
        logits: float32 (batch, labels), torch's.
        texts: whether the tokens are those of texts, rather than drawn at random.
    """

    name: str
    feeds: Mapping[str, NDArray[np.int64]]
    logits: NDArray[np.float32]
    texts: bool


def make_probes(loaded: LoadedClassifier, texts: Sequence[str], input_names: Sequence[str]) -> list[Probe]:
    """Real texts alone and in company, and the grid: batch 1 and n, length 1 and maximum, padded and not.

    Args:
        loaded: the reference, in eval mode.
        texts: some texts, at least one.
        input_names: what the graph takes; torch is fed all that the tokenizer makes.

    Raises:
        ExportError: torch's own answers are not numbers.
    """
    some = sorted(texts, key=len)
    shapes = {
        "a text alone": loaded.tokenize(some[len(some) // 2 :][:1]),
        "texts in company, padded": loaded.tokenize([some[0], some[len(some) // 2], some[-1]]),
    }
    probes = [_probe(loaded, name, inputs, input_names, texts=True) for name, inputs in shapes.items()]
    for batch, length in ((1, 1), (3, 1), (1, loaded.max_length), (3, 24)):
        name = f"batch {batch}, length {min(length, _LONG_PROBE)}"
        drawn = _drawn(loaded, batch, min(length, _LONG_PROBE, loaded.max_length))
        probes.append(_probe(loaded, name, drawn, input_names, texts=False))
    return probes


def _drawn(loaded: LoadedClassifier, batch: int, length: int) -> dict[str, Tensor]:
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
    loaded: LoadedClassifier, name: str, inputs: dict[str, Tensor], input_names: Sequence[str], *, texts: bool
) -> Probe:
    with torch.inference_mode():
        logits = loaded.model(**inputs).numpy()
    if not np.isfinite(logits).all():
        raise ExportError(f"the checkpoint's own logits are not finite ({name}): its weights are damaged")
    return Probe(name, {name: inputs[name].numpy() for name in input_names}, logits, texts)
