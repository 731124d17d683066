"""Real inputs of a generator with the answers that it gives, and the logits of its graphs for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ftool_export.checkpoints.generator import LoadedGenerator
from ftool_export.checkpoints.generator_inference import generate_tokens
from ftool_export.graph.generator_session import GraphRunner, Rows
from ftool_export.graph.session import open_sessions

_ANSWER: Final = 64  # the most tokens of an answer


@dataclass(frozen=True, slots=True)
class Sample:
    """The tokens that a generator reads to give one answer.

    Attributes:
        source: the token ids of the source; None for decoders without an encoder.
        read: the token ids that the decoder reads: prompt or start token, and the answer without its last token.
    """

    source: Sequence[int] | None
    read: Sequence[int]


def answered(loaded: LoadedGenerator, rows: Rows) -> list[Sample]:
    """Return a sample for each source or prompt in `rows`, with torch's answer of at most 64 tokens."""
    answers = generate_tokens(loaded, rows, do_sample=False, num_beams=1, max_new_tokens=_ANSWER)
    sourced = loaded.family == "encoder-decoder"
    return [
        Sample(row if sourced else None, [*([loaded.start_token] if sourced else row), *answer[:-1]])
        for row, answer in zip(rows, answers, strict=True)
    ]


def run_sample(runner: GraphRunner, sample: Sample, kept: int = 1) -> NDArray[np.float32]:
    """Run a sample, and return the logits after its last `kept` tokens, or fewer if it is shorter.

    The result is float32 (kept, vocabulary).
    """
    length = len(sample.read)
    conversation = runner.start(None if sample.source is None else [sample.source], 1, length)
    places = np.arange(max(0, length - kept), length)[None]
    logits: NDArray[np.float32] = runner.step(conversation, [sample.read], places)[0]
    return logits


def sample_logits(
    models: Mapping[str, ir.Model], samples: Sequence[Sample], kept: int
) -> list[NDArray[np.float32]]:
    """Return the logits after the last `kept` tokens of each sample, float32 (kept, vocabulary)."""
    runner = GraphRunner(open_sessions(models))
    return [run_sample(runner, sample, kept) for sample in samples]
