"""Open ONNX Runtime sessions on the CPU for graphs in memory or in files, and run graphs during an export."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ftool_export.capture.torch_export import OUTPUT
from ftool_export.checkpoints.encoder import LoadedEncoder
from ftool_export.errors import ExportError
from ftool_export.temporary import temporary_folder
from ftool_runtime.session.batching import cut_into_runs
from ftool_runtime.session.encoder_engine import Outputs
from ftool_runtime.session.threads import usable_threads
from ftool_runtime.text.encode import Tokens

_TOKENS_PER_RUN: Final = 2048  # padding included
_IN_ONE_FILE: Final = 1_500_000_000  # bytes; a protobuf file can't exceed two gigabytes

Sessions = Mapping[str, Any]  # onnxruntime.InferenceSession by the graph's name, such as "model" or "decoder"


def open_sessions(models: Mapping[str, ir.Model] | Mapping[str, Path]) -> Sessions:
    """Return a session for each graph, by the graph's name.

    Raises ExportError, with ONNX Runtime's reason, if ONNX Runtime refuses a graph.
    """
    return {name: open_session(model) for name, model in models.items()}


def run_graph(session: Any, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Run a graph, and return its outputs by name. `feeds` has the inputs by name; superfluous entries are ignored."""
    names = [output.name for output in session.get_outputs()]
    inputs = {entry.name: feeds[entry.name] for entry in session.get_inputs()}
    return dict(zip(names, session.run(names, inputs), strict=True))


def encoder_outputs(
    model: ir.Model, loaded: LoadedEncoder, rows: Sequence[Tokens], *, one_by_one: bool
) -> Outputs:
    """Return the output for each row: float32 (width,), or (tokens, width) for networks with outputs per token.

    Args:
        model: an encoder's graph.
        loaded: the checkpoint, which combines rows into padded batches.
        rows: any number of tokenised inputs.
        one_by_one: whether to run every row singly; necessary if the rows of a batch would share a quantisation scale.

    Raises:
        ExportError: ONNX Runtime refuses the graph; the message has its reason.
    """
    session, lengths = open_session(model), [len(row.ids) for row in rows]
    runs = [[row] for row in range(len(rows))] if one_by_one else cut_into_runs(lengths, _TOKENS_PER_RUN)
    outputs: list[NDArray[np.float32]] = [np.empty(0, dtype=np.float32)] * len(rows)
    for run in runs:
        inputs = loaded.batch([rows[position] for position in run])
        values = run_graph(session, {name: value.numpy() for name, value in inputs.items()})[OUTPUT]
        for position, value in zip(run, values, strict=True):
            outputs[position] = value[: lengths[position]] if loaded.model.per_token else value
    return outputs if loaded.model.per_token else np.stack(outputs)


def model_bytes(model: ir.Model) -> int:
    """Return the size of the graph's constants in bytes, which is nearly the size of the graph's file."""
    constants = (value.const_value for value in model.graph.initializers.values())
    return sum(constant.nbytes for constant in constants if constant is not None)


def open_session(model: ir.Model | Path) -> Any:
    """Return an ONNX Runtime session for a graph in memory or in a file.

    Raises:
        ExportError: ONNX Runtime refuses the graph; the message has its reason.
    """
    if isinstance(model, Path):
        return _open(model)
    with temporary_folder() as folder:
        path = folder / "model.onnx"
        ir.save(model, path, external_data="model.data" if model_bytes(model) > _IN_ONE_FILE else None)
        return _open(path)


def _open(path: Path) -> Any:
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime as ort
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    options = ort.SessionOptions()
    options.intra_op_num_threads = usable_threads()
    options.log_severity_level = 4  # fatal only: failures here arrive as exceptions
    try:
        return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except (state.Fail, state.InvalidGraph, state.InvalidArgument, state.NotImplemented) as error:
        reason = " ".join(str(error).split())
        raise ExportError(f"ONNX Runtime refuses the graph: {reason}") from error
