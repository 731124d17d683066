"""The inputs of products are measured: the largest value of each channel and the channels' products, over all texts."""

import numpy as np
import torch

from ftool_export.graph.activations import input_statistics
from ftool_export.graph.graphs import Graphs
from ftool_export.passes import PassSettings
from ftool_export.passes.matching import constant_matmuls


def test_statistics_are_what_torch_computes(source: Graphs, tiny: PassSettings, texts: list[str]) -> None:
    found = input_statistics(source.models, source.loaded, texts, tiny.smallest)
    layer = source.loaded.model.get_submodule("encoder.bert.encoder.layer.0.output.dense")
    seen: list[np.ndarray] = []
    hook = layer.register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0][0].numpy())  # (tokens, inputs)
    )
    with torch.inference_mode():
        for row in source.loaded.tokenize(texts):
            source.loaded.model(**source.loaded.batch([row]))
    hook.remove()
    products = {
        node.metadata_props["layer"]: node for node in constant_matmuls(source.models["model"], tiny.smallest)
    }
    weight = products["encoder.bert.encoder.layer.0.output.dense"].inputs[1]
    assert weight is not None
    rows = np.concatenate(seen)
    one = found[str(weight.name)]
    np.testing.assert_allclose(one.peaks, np.abs(rows).max(axis=0), rtol=1e-4)
    np.testing.assert_allclose(one.gram, rows.T @ rows, rtol=1e-3, atol=1e-3 * np.abs(one.gram).max())


def test_every_product_of_size_is_measured_and_the_graph_left_alone(
    source: Graphs, tiny: PassSettings, texts: list[str]
) -> None:
    outputs = len(source.models["model"].graph.outputs)
    found = input_statistics(source.models, source.loaded, texts[:1], tiny.smallest)
    weights = {
        node.inputs[1].name
        for node in constant_matmuls(source.models["model"], tiny.smallest)
        if node.inputs[1]
    }
    assert set(found) == weights
    assert len(source.models["model"].graph.outputs) == outputs
