"""Take a graph that another tool exported as an encoder's fp32 graph, from which every precision starts."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx_ir as ir

from ftool_export.capture.encoder import graph_inputs
from ftool_export.checkpoints.base import LoadedModel
from ftool_export.checkpoints.encoder import LoadedEncoder, all_rows
from ftool_export.errors import ExportError
from ftool_export.examples.base import spread
from ftool_export.foreign.adapter import adapt, read_graph
from ftool_export.foreign.facts import facts_of
from ftool_export.graph.graphs import TRIED_ROWS, Graphs
from ftool_export.graph.probes import make_probes
from ftool_export.passes import PassSettings
from ftool_export.passes.drop_mask import MASK
from ftool_export.quantization import tidy


def foreign_source(file: Path, loaded: LoadedModel, inputs: Sequence[Any], passes: PassSettings) -> Graphs:
    """Return the tidied fp32 graph in an ONNX file, in place of `ftool_export.pipeline.capture_source`.

    The graph is adapted to a bundle's inputs and output, and compared with torch before and after each pass.

    Args:
        file: the ONNX file, with float32 weights. They may be in a file beside it.
        loaded: the checkpoint that it was exported from.
        inputs: at least one input of the task.
        passes: settings of the passes.

    Raises:
        ExportError: the file can't be read, is quantised or in float16, or is not this checkpoint's graph; the
            checkpoint is a generator; or the bundle needs outputs that the graph does not have.
        GuardError: the graph's outputs differ from torch's.
    """
    if not isinstance(loaded, LoadedEncoder):
        raise ExportError(
            "--graph is for encoders, and this checkpoint writes texts: leave --graph out, and ftool makes its graphs"
        )
    if passes.teachable or passes.layout == "standard":
        need = "--teachable" if passes.teachable else "--layout standard"
        raise ExportError(
            f"{need} needs outputs that {file} does not have: leave --graph out, and ftool makes the graph"
        )
    model = read_graph(file)
    facts = facts_of(model, loaded.model.state_dict())
    if facts.precision != "fp32":
        raise ExportError(
            f"{file} is in {facts.precision} already: name the float32 file that it was made from, which ftool "
            "quantises by its own rules"
        )
    try:
        graphs = replace(foreign_graphs(model, loaded, inputs), producer=facts.producer)
    except ExportError as error:
        raise ExportError(f"{file}: {error}") from error
    if missing := missing_inputs(graphs, loaded, inputs):
        raise ExportError(f"{file}: {missing[0]}; export it with that input")
    return tidy(graphs.checked("reading the file", quantized=False), passes)


def foreign_graphs(model: ir.Model, loaded: LoadedEncoder, inputs: Sequence[Any]) -> Graphs:
    """Return a graph that another tool exported as `Graphs`, with probes; `model` is adapted in place.

    Raises ExportError if the graph can't be adapted: see `adapt`.
    """
    contract = adapt(model, loaded)
    names = tuple(contract.inputs)
    return Graphs(
        loaded=loaded,
        models={"model": model},
        contracts={"model": contract},
        probes=make_probes(loaded, all_rows(loaded, inputs), names),
        attention="plain",
        caches=None,
    )


def missing_inputs(graphs: Graphs, loaded: LoadedEncoder, inputs: Sequence[Any]) -> tuple[str, ...]:
    """Return a sentence for each input that the checkpoint's answers depend on, and the graph does not take."""
    wanted = graph_inputs(loaded, spread(all_rows(loaded, inputs), TRIED_ROWS))
    why = {
        MASK: "padding changes its answers, and texts can't run in batches",
        "token_type_ids": "it can't tell the first text of a pair from the second, or another type from 0",
    }
    missing = [name for name in wanted if name not in graphs.input_names]
    return tuple(f"the graph takes no {name}: {why[name]}" for name in missing)
