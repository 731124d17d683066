"""Which layers to leave out where quantising all of them costs too much: the worst first, as few as do."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import onnx_ir as ir

from ftool_export.candidate import Candidate
from ftool_export.checkpoints.encoder import LoadedEncoder
from ftool_export.examples.sampling import spread
from ftool_export.graph.session import GraphSession
from ftool_export.passes import PassSettings
from ftool_export.passes.smooth_activations import SmoothActivations
from ftool_export.quantization import PrecisionPlan, quantizable_layers
from ftool_runtime.session.encoder_engine import Outputs
from ftool_runtime.text.encode import Tokens

log = logging.getLogger(__name__)

_ROWS: Final = 64  # that layers are compared on
_MOST: Final = 0.5  # share of the layers; past it another precision is the better choice

Trial = Callable[[Sequence[str]], Candidate]  # makes and judges the graph that leaves these layers out


def rank_layers(
    model: ir.Model,
    plan: PrecisionPlan,
    settings: PassSettings,
    loaded: LoadedEncoder,
    rows: Sequence[Tokens],
) -> list[str]:
    """The quantisable layers, the one first whose quantisation alone moves the outputs most.

    Args:
        model: the fp32 graph.
        plan: the precision.
        settings: of the passes; layers left out there are not ranked.
        loaded: what the graph is of.
        rows: at least one; up to 64 of them, evenly spread, are used.
    """
    assert plan.quantize_products is not None
    sample, one_by_one = spread(rows, _ROWS), plan.rows_share_scale
    exact = GraphSession(model).outputs(loaded, sample, one_by_one=one_by_one)
    names = [name for name in quantizable_layers(model, settings) if name not in settings.left_out]
    errors = {}
    for name in names:
        others = settings.left_out | frozenset(names) - {name}
        alone = replace(settings, left_out=others)
        quantized = model.clone()
        if plan.smooth:
            SmoothActivations(alone)(quantized)
        plan.quantize_products(alone)(quantized)
        outputs = GraphSession(quantized).outputs(loaded, sample, one_by_one=one_by_one)
        errors[name] = _mean_square(exact, outputs)
        log.debug("%s alone: mean squared difference %.2e", name, errors[name])
    return sorted(names, key=lambda name: -errors[name])


def _mean_square(exact: Outputs, outputs: Outputs) -> float:
    return float(np.mean([np.square(a - b).mean() for a, b in zip(exact, outputs, strict=True)]))


def fewest_left_out(ranked: Sequence[str], trial: Trial) -> Candidate | None:
    """Leave out ever more layers, worst first, until the gate passes; then as few as still pass.

    Args:
        ranked: layers, worst first.
        trial: makes and judges the graph that leaves the given layers out.

    Returns:
        The candidate, or None where even half of the layers left out is not enough.
    """
    failed, found = 0, None
    for count in _doubling(int(len(ranked) * _MOST)):
        candidate = trial(ranked[:count])
        if candidate.verdict.passed:
            found = candidate
            break
        failed = count
    while found is not None and len(found.left_out) - failed > 1:
        middle = (failed + len(found.left_out)) // 2
        candidate = trial(ranked[:middle])
        if candidate.verdict.passed:
            found = candidate
        else:
            failed = middle
    return found


def _doubling(most: int) -> list[int]:
    """1, 2, 4, … and `most` itself, if that is at least 1."""
    counts = [1 << power for power in range(most.bit_length()) if 1 << power < most]
    return [*counts, most] if most else []
