"""Golden answers of a bundle: inputs with outputs and answers that `verify` must reproduce on the target machine."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from ftool_export.checkpoints.base import LoadedModel
from ftool_export.checkpoints.encoder import LoadedEncoder, all_rows, compute_outputs
from ftool_export.checkpoints.generator import LoadedGenerator
from ftool_export.checkpoints.generator_inference import generate_tokens, score_tokens
from ftool_export.examples.base import choose_inputs, spread
from ftool_export.graph.guards import FP32_TOLERANCE
from ftool_export.tokenizers.texts import probe_inputs
from ftool_runtime.bundle.golden import (
    GREEDY,
    Golden,
    Texts,
    encoder_golden,
    generator_golden,
    largest_difference,
)
from ftool_runtime.text.encode import Tokens

_HALF_MARGIN: Final = (
    2.0  # a GPU rounds to float16 at other places than the imitation, and sums in another order
)
_GENERATED: Final = 8  # inputs of generators, whose answers take longer
_MOST_TOKENS: Final = 48  # tokens of a generated answer


def make_golden(
    loaded: LoadedModel,
    model: Any,
    data: Sequence[Any],
    *,
    quantized: bool,
    half: bool = False,
    texts: Texts = "probes",
) -> Golden:
    """Return a bundle's golden answers, with the bundle's own outputs if it is quantised, and torch's otherwise.

    A quantised bundle's outputs may change on another CPU, because it may round an activation the other way. They may
    change by as much as they differ from torch's outputs on this CPU. Outputs in float16 may differ from torch's by
    twice as much as those of `model` do.

    Args:
        loaded: the checkpoint.
        model: the bundle, loaded by the runtime; for float16 as `judged_model` opens it.
        data: inputs from the user's data; token ids for generators.
        quantized: whether the bundle is quantised.
        half: whether the bundle, an encoder's, is in float16.
        texts: "probes" uses ftool's own texts, so that the bundle contains no user data; "data" uses some of `data`.

    Raises:
        BundleError: the bundle turns an input into another number of rows or tokens than the checkpoint does.
    """
    fields, special = model.input_fields, loaded.known_special_tokens
    inputs = choose_inputs(data) if texts == "data" else probe_inputs(fields, special, loaded.reads)
    if isinstance(loaded, LoadedGenerator):
        return _of_generator(loaded, model, inputs, quantized=quantized, texts=texts)
    assert isinstance(loaded, LoadedEncoder)
    reference, outputs = compute_outputs(loaded, all_rows(loaded, inputs)), model.outputs(inputs)
    moved = largest_difference(reference, outputs)
    tolerance = FP32_TOLERANCE
    if quantized or half:
        tolerance = max(moved * (_HALF_MARGIN if half else 1), FP32_TOLERANCE)
    return encoder_golden(
        model,
        inputs,
        outputs if quantized else reference,
        source="bundle" if quantized else "torch",
        tolerance=tolerance,
        texts=texts,
    )


def golden_evidence(golden: Golden) -> dict[str, Any]:
    """Return what the manifest's evidence records about golden answers: the source and number of their inputs."""
    return {"inputs": golden.texts, "examples": len(golden.inputs)}


def _of_generator(
    loaded: LoadedGenerator, model: Any, inputs: Sequence[Any], *, quantized: bool, texts: Texts
) -> Golden:
    by_length = sorted(_rows_that_fit(loaded, model, inputs), key=lambda pair: len(pair[1]))
    chosen, rows = zip(*spread(by_length, _GENERATED), strict=True)
    options = {**GREEDY, "max_new_tokens": _MOST_TOKENS}
    if quantized:
        answers = [list(row.ids) for row in model.generate(rows, **options)]
    else:
        answers = generate_tokens(loaded, rows, num_beams=1, do_sample=False, max_new_tokens=_MOST_TOKENS)
    first = [answer[:1] for answer in answers]
    bundle_logits = [logits[0] for logits in model.score_tokens(rows, first)]
    torch_logits = [logits[0] for logits in score_tokens(loaded, rows, first)]
    moved = max(
        float(np.abs(one - other).max()) for one, other in zip(bundle_logits, torch_logits, strict=True)
    )
    return generator_golden(
        model,
        chosen,
        answers,
        bundle_logits if quantized else torch_logits,
        options=options,
        source="bundle" if quantized else "torch",
        tolerance=max(moved, FP32_TOLERANCE) if quantized else FP32_TOLERANCE,
        texts=texts,
    )


def _rows_that_fit(
    loaded: LoadedGenerator, model: Any, inputs: Sequence[Any]
) -> list[tuple[Any, tuple[int, ...]]]:
    """Return the inputs that fit the model, each with its token ids; prompts of decoders may fill half of the context.

    If no input fits, return the token ids of the shortest, cut to fit.
    """
    decoder = loaded.family == "decoder"
    longest = loaded.max_length // 2 if decoder else loaded.max_length
    rows = [
        model.encode([given], overflow="cut")[0][0] if isinstance(given, str) else Tokens(list(given))
        for given in inputs
    ]
    fitting = [
        (given, tuple(row.ids))
        for given, row in zip(inputs, rows, strict=True)
        if len(row.ids) <= longest and not (decoder and row.truncated)
    ]
    shortest = tuple(min((row.ids for row in rows), key=len)[:longest])
    return fitting or [(shortest, shortest)]
