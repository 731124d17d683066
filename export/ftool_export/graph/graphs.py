"""A model as ONNX graphs, with contracts and probes for checking the graphs at every stage of an export."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import onnx_ir as ir

from ftool_export.architectures.checks import attention_layers, check_exportable
from ftool_export.capture.encoder import capture_encoder, graph_inputs
from ftool_export.capture.generator import capture_generator
from ftool_export.capture.torch_export import Attention, Caches, Captured, GraphContract
from ftool_export.checkpoints.base import LoadedModel
from ftool_export.checkpoints.encoder import LoadedEncoder, all_rows
from ftool_export.checkpoints.generator import LoadedGenerator
from ftool_export.errors import ExportError, GuardError
from ftool_export.examples.base import spread
from ftool_export.graph.generator_probes import make_generation_probes
from ftool_export.graph.guards import check_answers, check_structure
from ftool_export.graph.probes import EncoderProbe, Probe, make_probes
from ftool_runtime.bundle.contracts import FEATURES_OUTPUT

log = logging.getLogger(__name__)

TRIED_ROWS: Final = 8  # rows on which token types are tried


@dataclass(frozen=True, slots=True, kw_only=True)
class Graphs:
    """The graphs of a model, and the checkpoint that is the reference for the graphs' outputs.

    Attributes:
        loaded: the checkpoint.
        models: the graphs by name: "model" for an encoder; "decoder", and "encoder" if there is one, for a generator.
        contracts: the structure that each graph must keep at every stage.
        probes: inputs with torch's outputs, which the graphs must reproduce at every stage.
        attention: "fused" (each attention is one operator) or "plain" (the architecture's own operators).
        caches: "in_place" (operators append to the decoder's caches) or "joined" (concatenated); None for encoders.
        difference: the largest difference between a number in the graphs' outputs and in torch's, over all probes.
        producer: the tool that exported the graphs, with its version; None if ftool captured them.
    """

    loaded: Any  # a LoadedModel
    models: Mapping[str, ir.Model]
    contracts: Mapping[str, GraphContract]
    probes: Sequence[Probe]
    attention: Attention
    caches: Caches | None
    difference: float = 0.0
    producer: str | None = None

    @property
    def input_names(self) -> tuple[str, ...]:
        """The names of the graph inputs that hold a tokenised text."""
        model = self.contracts.get("model") or self.contracts.get("encoder")
        return ("input_ids",) if model is None else tuple(model.inputs)

    def clone(self) -> "Graphs":
        """Return a copy whose graphs can be changed without affecting the original graphs."""
        return replace(self, models={name: model.clone() for name, model in self.models.items()})

    def without_input(self, name: str) -> "Graphs":
        """Return these graphs with contracts and probes for an encoder's graph that does not take the mask `name`.

        Probes with padding are left out, because such a graph can't tell padding from text.
        """
        contracts = {
            graph: replace(one, inputs={key: axes for key, axes in one.inputs.items() if key != name})
            for graph, one in self.contracts.items()
        }
        probes = [
            replace(probe, feeds={key: value for key, value in probe.feeds.items() if key != name})
            for probe in self.probes
            if isinstance(probe, EncoderProbe) and probe.feeds[name].all()
        ]
        return replace(self, contracts=contracts, probes=probes)

    def with_outputs(self, stage: str) -> "Graphs":
        """Return these graphs, of an encoder, with a contract for the outputs that the graph has now.

        The other parts of the structure are checked. Raises GuardError, which names `stage`, if the graph is damaged.
        """
        graph, contract = self.models["model"].graph, self.contracts["model"]
        outputs = tuple(str(value.name) for value in graph.outputs)
        found = replace(contract, outputs=outputs, dynamic=(0,), width=None)
        check_structure(stage, self.models["model"], found)
        return replace(self, contracts={"model": found})

    def checked(self, stage: str, *, quantized: bool, run: bool = True) -> "Graphs":
        """Check the structure of the graphs and, if `run` is true, also their outputs.

        Returns these graphs, with `difference` updated if the outputs were checked. Raises GuardError, which names
        `stage`, if a graph is damaged or its outputs differ too much from torch's.
        """
        for name, model in self.models.items():
            check_structure(
                stage if len(self.models) == 1 else f"{stage} ({name})", model, self.contracts[name]
            )
        if not run:
            return self
        return replace(self, difference=check_answers(stage, self.models, self.probes, quantized=quantized))


def capture(
    loaded: LoadedModel, inputs: Sequence[Any] = (), *, with_parts: bool = False, with_features: bool = False
) -> Graphs:
    """Capture a checkpoint's network as fp32 graphs that give torch's answers; the checkpoint is not changed.

    Args:
        loaded: in evaluation mode and float32, on the CPU.
        inputs: for encoders, at least one input of the task.
        with_parts: whether an encoder's graph also gives the parts of its outputs: see
            `EncoderNetwork.part_names`. That of an encoder-decoder gives its last hidden state.
        with_features: whether a classifier's graph also gives the input of its head.

    Raises:
        ExportError: the network can't be captured, or the graphs' outputs differ from torch's.
    """
    probes: Sequence[Probe]
    if isinstance(loaded, LoadedGenerator):
        probes = make_generation_probes(loaded)
        captured = capture_generator(loaded.model, with_parts)
    else:
        assert isinstance(loaded, LoadedEncoder)
        check_exportable(loaded.config)
        rows = all_rows(loaded, inputs)
        try:
            names = graph_inputs(loaded, spread(rows, TRIED_ROWS))
            probes = make_probes(loaded, rows, names)
        except (IndexError, KeyError, RuntimeError, TypeError) as error:  # raised by transformers' modules
            raise ExportError(
                f"{loaded.config.model_type}: its network in transformers can't run inputs of all lengths up to "
                f"{loaded.max_length} tokens ({error}), so ftool can't export it; choose another architecture"
            ) from error
        parts = (FEATURES_OUTPUT,) if with_features else loaded.model.part_names if with_parts else ()
        captured = capture_encoder(loaded.model, names, loaded.known_ids, parts)
        _check_attention(captured, loaded)
    graphs = Graphs(
        loaded=loaded,
        models=captured.models,
        contracts=captured.contracts,
        probes=probes,
        attention=captured.attention,
        caches=captured.caches,
    )
    return graphs.checked("capture", quantized=False)


def _check_attention(captured: Captured, loaded: LoadedEncoder) -> None:
    layers = attention_layers(loaded.config)
    found = captured.contracts["model"].operators["MultiHeadAttention"]
    if captured.attention == "plain":
        if getattr(loaded.config, "num_hidden_layers", None) == 0:
            return  # nothing to fuse
        log.warning(
            "%s implements attention outside transformers' interface: exported unchanged, not fused",
            loaded.config.model_type,
        )
    elif layers is not None and found != layers:
        raise GuardError("capture", f"{found} fused attentions in a network of {layers} layers")
