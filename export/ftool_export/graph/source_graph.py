"""The fp32 graph that every precision starts from, shown to answer as torch does."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import onnx_ir as ir

from ftool_export.architectures.checks import attention_layers
from ftool_export.capture.encoder import Attention, Capture, capture
from ftool_export.capture.graph_inputs import graph_inputs
from ftool_export.checkpoints.encoder import LoadedEncoder
from ftool_export.errors import GuardError
from ftool_export.examples.sampling import spread
from ftool_export.graph.guards import Expectation, check_answers, check_structure
from ftool_export.graph.probes import Probe, make_probes
from ftool_export.passes import PassSettings
from ftool_export.quantization import tidy
from ftool_runtime.text.encode import Tokens

log = logging.getLogger(__name__)

_LOOKED_AT: Final = 8  # rows, to see whether token types matter


@dataclass(frozen=True, slots=True)
class SourceGraph:
    """A captured and tidied encoder.

    Attributes:
        loaded: the torch reference.
        model: the graph, in fp32.
        attention: "fused" or "plain".
        expected: what holds of the graph at every stage.
        probes: torch's answers, which every stage is held against.
        difference: the largest difference of an output from torch's, over all probes.
    """

    loaded: LoadedEncoder
    model: ir.Model
    attention: Attention
    expected: Expectation
    probes: tuple[Probe, ...]
    difference: float


def capture_source(loaded: LoadedEncoder, rows: Sequence[Tokens], passes: PassSettings) -> SourceGraph:
    """Capture and tidy `loaded`, each stage checked.

    Args:
        loaded: in eval mode; it is left as it was.
        rows: some rows of the task's own inputs, at least one.
        passes: what the passes go by.

    Raises:
        ExportError: it can't be captured, or a stage failed its guard.
    """
    names = graph_inputs(loaded, spread(rows, _LOOKED_AT))
    probes = make_probes(loaded, rows, names)
    captured = capture(loaded.model, names, len(loaded.tokenizer))
    expected = Expectation(names, loaded.model.width, captured.attention_nodes, loaded.model.per_token)
    _check_attention(captured, loaded)
    check_structure("capture", captured.model, expected)
    check_answers("capture", captured.model, probes, quantized=False)
    model, difference = tidy(captured.model, passes, expected, probes)
    return SourceGraph(loaded, model, captured.attention, expected, tuple(probes), difference)


def _check_attention(captured: Capture, loaded: LoadedEncoder) -> None:
    layers = attention_layers(loaded.model.config)
    if captured.attention == "plain":
        log.warning(
            "%s has an attention of its own, outside transformers' interface: exported as it is, not fused",
            loaded.model.config.model_type,
        )
    elif layers is not None and captured.attention_nodes != layers:
        raise GuardError(
            "capture", f"{captured.attention_nodes} fused attentions in a network of {layers} layers"
        )
