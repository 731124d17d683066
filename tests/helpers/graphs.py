"""ONNX graphs small enough to read: written as text, run, and held against themselves before a pass."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort

_HEAD = '<ir_version: 10, opset_import: ["" : 20, "com.microsoft" : 1]>\n'


def graph(body: str, **constants: np.ndarray) -> ir.Model:
    """Return a model from ONNX's text form, with initializers beside."""
    model = ir.from_onnx_text(_HEAD + body)
    values = {value.name: value for node in model.graph for value in node.inputs if value is not None}
    for name, array in constants.items():
        values[name].const_value = ir.tensor(array, name=name)
        values[name].shape, values[name].dtype = ir.Shape(array.shape), ir.DataType.from_numpy(array.dtype)
        model.graph.register_initializer(values[name])
    return model


def run(model: ir.Model, folder: Path, **feeds: np.ndarray) -> list[np.ndarray]:
    """Return the model's outputs on the CPU; the model is saved in `folder`."""
    path = folder / "model.onnx"
    ir.save(model, path)
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    return list(session.run(None, feeds))


def check(
    graph_pass: ir.passes.InPlacePass,
    model: ir.Model,
    folder: Path,
    atol: float = 1e-6,  # float32, numbers of about 1, sums in another order
    **feeds: np.ndarray,
) -> ir.Model:
    """Apply a pass; the result must compute the same, and a second run change nothing."""
    before = run(model, folder, **feeds)
    result = graph_pass(model)
    assert result.modified
    for array, expected in zip(run(result.model, folder, **feeds), before, strict=True):
        np.testing.assert_allclose(array, expected, atol=atol)
    assert not graph_pass(result.model).modified
    return result.model


def numbers(*shape: int) -> np.ndarray:
    """Return standard normal float32, the same for the same shape."""
    return np.random.default_rng(sum(shape)).standard_normal(shape, dtype=np.float32)
