"""Prove that graphs with other libraries' names give the answers of the bundle that ftool-runtime loads.

A generator gets further graphs, so these are run as other libraries run them. An encoder has one graph for all, of
whose outputs the runtime reads only one: the others must lead to the same.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ftool_export.checkpoints.encoder import LoadedEncoder, all_rows
from ftool_export.errors import GuardError
from ftool_export.examples.base import spread
from ftool_export.graph.guards import FP32_TOLERANCE, QUANTIZED_BATCH_TOLERANCE
from ftool_export.graph.session import open_session, run_graph

_STAGE: Final = "layout standard"
_ROWS: Final = 4  # inputs on which the graphs are compared
_NEW: Final = 16  # tokens of an answer, which an end token does not end
_COMBINED: Final = (
    1e-5  # relative to the largest output; torch makes the same of the same numbers in another order
)
_HALF: Final = 2e-3  # the same for outputs in float16
_KEPT: Final = 0.9  # the share of tokens of quantised graphs whose logits must stay the same, as in a batch

Rows = Sequence[Sequence[int]]


class Scorer(Protocol):
    """Anything that computes the logits of given answers: a loaded bundle, or graphs that are run by themselves."""

    def score_tokens(self, rows: Rows, answers: Rows) -> Sequence[NDArray[np.float32]]:
        """Return the logits that predict each token of the answers, float32 (tokens, vocabulary) for each row."""


def prove_generator(graphs: Scorer, model: Any, inputs: Rows, *, exact: bool) -> dict[str, Any]:
    """Compare graphs with standard names with the bundle that the runtime has loaded as `model`.

    Both read up to four inputs with greedy answers of `model`: the graphs all in one batch, and the first singly.

    Args:
        graphs: the graphs.
        model: the bundle.
        inputs: prompts or sources, as token ids.
        exact: whether all logits must be the same up to rounding. Otherwise those of nine in ten tokens must: sums in
            another order round some quantised activations the other way, by a whole step.

    Returns:
        The evidence for the manifest.

    Raises:
        GuardError: the two differ, or all answers are empty.
    """
    options: dict[str, Any] = {"do_sample": False, "num_beams": 1, "prompt_lookup_num_tokens": 0}
    some = spread(inputs, _ROWS)
    generated = model.generate(some, min_new_tokens=_NEW, max_new_tokens=_NEW, **options)
    pairs = [(row, list(one.ids)) for row, one in zip(some, generated, strict=True) if one.ids]
    if not pairs:
        raise GuardError(_STAGE, "the model's answers are empty, so nothing can be compared")
    rows, answers = [row for row, _ in pairs], [answer for _, answer in pairs]
    expected = model.score_tokens(rows, answers)
    found = [
        *zip(expected, graphs.score_tokens(rows, answers), strict=True),
        (expected[0], graphs.score_tokens(rows[:1], answers[:1])[0]),
    ]
    same = np.concatenate([one.argmax(-1) == other.argmax(-1) for one, other in found])
    moved = np.concatenate([np.abs(one - other).max(axis=-1) for one, other in found])
    size = max(1.0, *(float(np.abs(one).max()) for one, _ in found))
    limit = (FP32_TOLERANCE if exact else QUANTIZED_BATCH_TOLERANCE) * size
    near = float((moved <= limit).mean())
    if near < (1.0 if exact else _KEPT):
        raise GuardError(
            _STAGE,
            f"{1 - near:.0%} of {len(moved)} tokens have other logits than in ftool-runtime, by up to "
            f"{moved.max():.1e} where {limit:.1e} is allowed",
        )
    return {"tokens": len(same), "same_tokens": int(same.sum()), "largest_difference": float(moved.max())}


def prove_parts(graph: Path, loaded: LoadedEncoder, inputs: Sequence[Any]) -> dict[str, Any]:
    """Check that the parts in the outputs of an encoder's graph lead to the output that the runtime reads.

    Args:
        graph: the graph's file.
        loaded: the checkpoint, whose network says how parts are combined.
        inputs: inputs of the task, which run in one padded batch.

    Returns:
        The evidence for the manifest; empty if the output has no parts.

    Raises:
        GuardError: what the parts lead to differs from the output.
    """
    network = loaded.model
    if not network.part_names:
        return {}
    batch = loaded.batch(all_rows(loaded, spread(inputs, _ROWS)))
    outputs = run_graph(open_session(graph), {name: value.numpy() for name, value in batch.items()})
    output, mask = outputs[network.output_name], batch["attention_mask"]
    with torch.inference_mode():
        parts = [torch.from_numpy(outputs[name]).float() for name in network.part_names]
        difference = np.abs(network.combine(parts, mask).numpy() - output)
    kept = difference[mask.bool().numpy()] if network.per_token else difference
    half = output.dtype == np.float16 or any(outputs[name].dtype == np.float16 for name in network.part_names)
    largest, limit = float(kept.max()), (_HALF if half else _COMBINED) * max(1.0, float(np.abs(output).max()))
    if not largest <= limit:
        raise GuardError(
            _STAGE,
            f"{' and '.join(network.part_names)} lead to other numbers than {network.output_name}, by {largest:.1e} "
            f"where {limit:.1e} is allowed",
        )
    return {"largest_difference": largest}
