"""Golden answers of a bundle that generates text, for `verify` on the machine where it runs."""

from typing import Any, Final

import numpy as np

from ftool_export.checkpoints.generator import LoadedGenerator
from ftool_export.checkpoints.generator_inference import TokenRows, generate_tokens, score_tokens
from ftool_export.examples.sampling import spread
from ftool_export.graph.guards import FP32_TOLERANCE
from ftool_runtime.bundle.generation_golden import GenerationGolden

_ROWS: Final = 8
_MOST_TOKENS: Final = 48  # of an answer


def make_golden(loaded: LoadedGenerator, model: Any, rows: TokenRows, *, quantized: bool) -> GenerationGolden:
    """Torch's answers for fp32; for the quantised precisions the bundle's own.

    Another CPU may round an activation the other way, so a quantised bundle's logits may move there, but by no more
    than quantisation moved them in the first place.

    Args:
        loaded: the torch reference.
        model: the bundle, loaded by the runtime.
        rows: sources or prompts; at most 8 of them, from the shortest to the longest, are used.
        quantized: whose answers are golden.
    """
    some = spread(sorted(map(tuple, rows), key=len), _ROWS)
    options = {"num_beams": 1, "do_sample": False, "max_new_tokens": _MOST_TOKENS}
    reference = generate_tokens(loaded, some, **options)
    answers = [list(row.ids) for row in model.generate(some, **options)] if quantized else reference
    ours = [logits[0] for logits in model.score_tokens(some, [answer[:1] for answer in answers])]
    torchs = [logits[0] for logits in score_tokens(loaded, some, [answer[:1] for answer in answers])]
    moved = max(float(np.abs(one - other).max()) for one, other in zip(ours, torchs, strict=True))
    return GenerationGolden.of(
        source="bundle" if quantized else "torch",
        tolerance=max(moved, FP32_TOLERANCE) if quantized else FP32_TOLERANCE,
        rows=some,
        max_new_tokens=_MOST_TOKENS,
        answers=answers,
        first_logits=ours if quantized else torchs,
    )
