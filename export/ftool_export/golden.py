"""Which inputs go into `golden.json`, and whose outputs stand there, for `verify` where the bundle runs."""

import json
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from ftool_export.graph.guards import FP32_TOLERANCE
from ftool_runtime.bundle.golden import Golden, largest_difference
from ftool_runtime.session.encoder_engine import Outputs
from ftool_runtime.text.encode import text_problem

_INPUTS: Final = 16


def choose_inputs(inputs: Sequence[Any]) -> list[Any]:
    """At most 16 different inputs, from the shortest to the longest in even steps; blank ones are left out."""
    different = {json.dumps(given, ensure_ascii=False): given for given in inputs if not _blank(given)}
    some = [different[text] for text in sorted(different, key=len)]
    if len(some) <= _INPUTS:
        return some
    places = np.linspace(0, len(some) - 1, _INPUTS).round().astype(int)
    return [some[place] for place in places]


def make_golden(inputs: Sequence[Any], reference: Outputs, bundle: Outputs, *, quantized: bool) -> Golden:
    """Torch's outputs for fp32; for the quantised precisions the bundle's own.

    Another CPU may round an activation the other way, so a quantised bundle's outputs may move there, but by no more
    than quantisation moved them in the first place.

    Args:
        inputs: what both were given.
        reference: torch's, for all rows of the inputs.
        bundle: the bundle's, likewise.
        quantized: which of the two is golden.

    Raises BundleError where the two differ in shape: the bundle cuts the inputs otherwise.
    """
    moved = largest_difference(reference, bundle)
    if not quantized:
        return Golden(source="torch", tolerance=FP32_TOLERANCE, inputs=inputs, outputs=reference)
    return Golden(source="bundle", tolerance=max(moved, FP32_TOLERANCE), inputs=inputs, outputs=bundle)


def _blank(given: Any) -> bool:
    texts = [given] if isinstance(given, str) else list(given.values())
    return any(text_problem(text) for text in texts if isinstance(text, str))
