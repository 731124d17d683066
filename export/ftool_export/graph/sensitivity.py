"""Search for layers to leave out of quantisation, if a bundle with all layers quantised does not pass the gate.

The most sensitive layers are left out first, and only as many as necessary.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ftool_export.checkpoints.base import LoadedModel
from ftool_export.checkpoints.encoder import LoadedEncoder, all_rows
from ftool_export.checkpoints.generator import LoadedGenerator
from ftool_export.examples.base import spread
from ftool_export.graph.generator_samples import answered, sample_logits
from ftool_export.graph.session import encoder_outputs
from ftool_export.passes import PassSettings
from ftool_export.passes.matching import layers, output_layer
from ftool_export.passes.share_table import ShareTable
from ftool_export.passes.smooth_activations import SmoothActivations
from ftool_export.passes.tie_head import tied_products
from ftool_export.precision_plans import PrecisionPlan
from ftool_export.quantization import quantizable_layers

log = logging.getLogger(__name__)

_ROWS: Final = 64  # rows on which the effects of layers are measured
_GENERATED: Final = 16  # inputs of a generator on which they are measured
_TOKENS: Final = (
    16  # of each of these, the last tokens, whose logits are compared: logits of all would need much memory
)
_MOST: Final = 0.5  # share of the layers that may be left out; beyond it another precision is better

Models = Mapping[str, ir.Model]
Arrays = Sequence[NDArray[np.float32]]
Trial = Callable[
    [Sequence[str]], bool
]  # returns whether the bundle that leaves these layers out passes the gate


def outputs_on(loaded: LoadedModel, inputs: Sequence[Any], plan: PrecisionPlan) -> Callable[[Models], Arrays]:
    """Return a function that computes the outputs of graphs for a sample of `inputs`: the numbers to compare.

    Encoders run up to 64 rows. Generators read up to 16 inputs with torch's answers, and give the logits of the last 16
    tokens of each.

    Args:
        loaded: the checkpoint.
        inputs: inputs of the checkpoint's task, at least one.
        plan: the plan of the precision, which says whether rows must run singly.
    """
    if isinstance(loaded, LoadedGenerator):
        return partial(sample_logits, samples=answered(loaded, spread(inputs, _GENERATED)), kept=_TOKENS)
    assert isinstance(loaded, LoadedEncoder)
    rows = spread(all_rows(loaded, inputs), _ROWS)

    def run(models: Models) -> Arrays:
        return list(encoder_outputs(models["model"], loaded, rows, one_by_one=plan.rows_share_scale))

    return run


def rank_layers(
    models: Models, plan: PrecisionPlan, settings: PassSettings, outputs: Callable[[Models], Arrays]
) -> list[str]:
    """Return the layers that the plan quantises, most sensitive first.

    A layer's sensitivity is the mean squared change of the outputs if only this layer is quantised.

    Args:
        models: the fp32 graphs by name.
        plan: the plan of the precision in which layers are quantised.
        settings: the settings of the passes; layers in `settings.left_out` are not ranked.
        outputs: a function that computes the outputs of graphs, as `outputs_on` returns it.
    """
    names = [
        name
        for model in models.values()
        for name in _quantized_layers(model, plan, settings)
        if name not in settings.left_out
    ]
    exact, errors = outputs(models), {}
    for name in names:
        alone = replace(settings, left_out=settings.left_out | frozenset(names) - {name})
        quantized = {graph: model.clone() for graph, model in models.items()}
        for model in quantized.values():
            _quantize_only(model, plan, alone)
        errors[name] = _mean_square(exact, outputs(quantized))
        log.debug("only %s quantised: mean squared difference %.2e", name, errors[name])
    return sorted(names, key=lambda name: -errors[name])


def _quantized_layers(model: ir.Model, plan: PrecisionPlan, settings: PassSettings) -> list[str]:
    """Return the layers that the plan quantises, with that of a tied head."""
    finer = output_layer(model, settings.smallest) if plan.keep_output else frozenset[str]()
    names = [*quantizable_layers(model, settings), *layers(tied_products(model))]
    return [name for name in dict.fromkeys(names) if name not in finer]


def _quantize_only(model: ir.Model, plan: PrecisionPlan, alone: PassSettings) -> None:
    """Quantise, in place, the only layer that is not in `alone.left_out`."""
    assert plan.quantize_products is not None
    if plan.smooth:
        SmoothActivations(alone)(model)
    plan.quantize_products(alone)(model)
    ShareTable(alone)(model)


def _mean_square(exact: Arrays, outputs: Arrays) -> float:
    return float(np.mean([np.square(a - b).mean() for a, b in zip(exact, outputs, strict=True)]))


def fewest_left_out(ranked: Sequence[str], trial: Trial) -> tuple[str, ...] | None:
    """Search for the smallest number of layers to leave out of quantisation so that the bundle passes the gate.

    The number is doubled until a bundle passes, and then reduced by bisection.

    Args:
        ranked: the names of the layers, most sensitive first.
        trial: a function that returns whether a bundle in which the given layers are left out passes the gate.

    Returns:
        The layers to leave out; None if leaving out half of all layers is not enough.
    """
    failed, found = 0, None
    for count in _doubling(int(len(ranked) * _MOST)):
        if trial(ranked[:count]):
            found = count
            break
        failed = count
    while found is not None and found - failed > 1:
        middle = (failed + found) // 2
        if trial(ranked[:middle]):
            found = middle
        else:
            failed = middle
    return None if found is None else tuple(ranked[:found])


def _doubling(most: int) -> list[int]:
    """Return the powers of two below `most`, followed by `most`; an empty list if `most` is 0."""
    counts = [1 << power for power in range(most.bit_length()) if 1 << power < most]
    return [*counts, most] if most else []
