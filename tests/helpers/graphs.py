"""Write small ONNX graphs as text, run them, and compare their outputs before and after a graph pass."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort

_HEAD = '<ir_version: 10, opset_import: ["" : 20, "com.microsoft" : 1]>\n'


def graph(body: str, **constants: np.ndarray) -> ir.Model:
    """Return a model from a graph in ONNX's text form; `constants` are its initializers by name."""
    model = ir.from_onnx_text(_HEAD + body)
    values = {value.name: value for node in model.graph for value in node.inputs if value is not None}
    for name, array in constants.items():
        values[name].const_value = ir.tensor(array, name=name)
        values[name].shape, values[name].dtype = ir.Shape(array.shape), ir.DataType.from_numpy(array.dtype)
        model.graph.register_initializer(values[name])
    return model


def run(model: ir.Model, folder: Path, **feeds: np.ndarray) -> list[np.ndarray]:
    """Run the model on the CPU with the inputs `feeds`, and return the outputs. The model is saved in `folder`."""
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
    """Apply a pass to the model, and return the new model.

    Checks that the pass changes the model, that the outputs for `feeds` stay equal within `atol`, and that a second
    application of the pass changes nothing.
    """
    before = run(model, folder, **feeds)
    result = graph_pass(model)
    assert result.modified
    for array, expected in zip(run(result.model, folder, **feeds), before, strict=True):
        np.testing.assert_allclose(array, expected, atol=atol)
    assert not graph_pass(result.model).modified
    return result.model


def numbers(*shape: int) -> np.ndarray:
    """Return standard normal numbers, float32, which are always the same for a given shape."""
    return np.random.default_rng(sum(shape)).standard_normal(shape, dtype=np.float32)
