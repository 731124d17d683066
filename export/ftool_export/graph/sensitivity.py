"""Search for layers to leave out of quantisation, if a bundle with all layers quantised does not pass the gate.

The most sensitive layers are left out first, and only as many as necessary.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import onnx_ir as ir

from ftool_export.checkpoints.encoder import LoadedEncoder
from ftool_export.examples.base import spread
from ftool_export.gate import Verdict
from ftool_export.graph.session import encoder_outputs
from ftool_export.passes import PassSettings
from ftool_export.passes.smooth_activations import SmoothActivations
from ftool_export.precision_plans import PrecisionPlan
from ftool_export.quantization import quantizable_layers
from ftool_runtime.session.encoder_engine import Outputs
from ftool_runtime.text.encode import Tokens

log = logging.getLogger(__name__)

_ROWS: Final = 64  # rows on which the effects of layers are measured
_MOST: Final = 0.5  # share of the layers that may be left out; beyond it another precision is better

Trial = Callable[[Sequence[str]], Verdict]  # returns the verdict on the bundle that leaves these layers out


def rank_layers(
    model: ir.Model,
    plan: PrecisionPlan,
    settings: PassSettings,
    loaded: LoadedEncoder,
    rows: Sequence[Tokens],
) -> list[str]:
    """Return the quantisable layers, most sensitive first.

    A layer's sensitivity is the mean squared change of the outputs if only this layer is quantised.

    Args:
        model: the fp32 graph.
        plan: the plan of the precision in which layers are quantised.
        settings: the settings of the passes; layers in `settings.left_out` are not ranked.
        loaded: the checkpoint, which turns rows into inputs of the graph.
        rows: tokenised inputs, at least one; up to 64 of them, at even distances, are used.
    """
    assert plan.quantize_products is not None
    sample, one_by_one = spread(rows, _ROWS), plan.rows_share_scale
    exact = encoder_outputs(model, loaded, sample, one_by_one=one_by_one)
    names = [name for name in quantizable_layers(model, settings) if name not in settings.left_out]
    errors = {}
    for name in names:
        others = settings.left_out | frozenset(names) - {name}
        alone = replace(settings, left_out=others)
        quantized = model.clone()
        if plan.smooth:
            SmoothActivations(alone)(quantized)
        plan.quantize_products(alone)(quantized)
        outputs = encoder_outputs(quantized, loaded, sample, one_by_one=one_by_one)
        errors[name] = _mean_square(exact, outputs)
        log.debug("only %s quantised: mean squared difference %.2e", name, errors[name])
    return sorted(names, key=lambda name: -errors[name])


def _mean_square(exact: Outputs, outputs: Outputs) -> float:
    return float(np.mean([np.square(a - b).mean() for a, b in zip(exact, outputs, strict=True)]))


def fewest_left_out(ranked: Sequence[str], trial: Trial) -> tuple[str, ...] | None:
    """Search for the smallest number of layers to leave out of quantisation so that the bundle passes the gate.

    The number is doubled until a bundle passes, and then reduced by bisection.

    Args:
        ranked: the names of the layers, most sensitive first.
        trial: a function that returns the gate's verdict on a bundle in which the given layers are left out.

    Returns:
        The layers to leave out; None if leaving out half of all layers is not enough.
    """
    failed, found = 0, None
    for count in _doubling(int(len(ranked) * _MOST)):
        if trial(ranked[:count]).passed:
            found = count
            break
        failed = count
    while found is not None and found - failed > 1:
        middle = (failed + found) // 2
        if trial(ranked[:middle]).passed:
            found = middle
        else:
            failed = middle
    return None if found is None else tuple(ranked[:found])


def _doubling(most: int) -> list[int]:
    """Return the powers of two below `most`, followed by `most`; an empty list if `most` is 0."""
    counts = [1 << power for power in range(most.bit_length()) if 1 << power < most]
    return [*counts, most] if most else []
