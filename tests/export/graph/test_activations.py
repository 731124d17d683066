"""Activations are measured: the largest value of each input channel, over all texts and all users of a weight."""

import numpy as np
import torch

from ftool_export.graph.activations import activation_peaks
from ftool_export.graph.graphs import Graphs
from ftool_export.passes import PassSettings
from ftool_export.passes.matching import constant_matmuls


def test_peaks_are_what_torch_computes(source: Graphs, tiny: PassSettings, texts: list[str]) -> None:
    peaks = activation_peaks(
        source.models["model"], source.loaded, source.loaded.tokenize(texts), tiny.smallest
    )
    layer = source.loaded.model.get_submodule("encoder.bert.encoder.layer.1.output.dense")
    seen: list[np.ndarray] = []
    hook = layer.register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0].abs().amax(dim=(0, 1)).numpy())
    )
    with torch.inference_mode():
        for row in source.loaded.tokenize(texts):
            source.loaded.model(**source.loaded.batch([row]))
    hook.remove()
    products = {
        node.metadata_props["layer"]: node for node in constant_matmuls(source.models["model"], tiny.smallest)
    }
    weight = products["encoder.bert.encoder.layer.1.output.dense"].inputs[1]
    assert weight is not None
    np.testing.assert_allclose(peaks[str(weight.name)], np.max(seen, axis=0), rtol=1e-4)


def test_every_product_of_size_is_measured_and_the_graph_left_alone(
    source: Graphs, tiny: PassSettings, texts: list[str]
) -> None:
    outputs = len(source.models["model"].graph.outputs)
    peaks = activation_peaks(
        source.models["model"], source.loaded, source.loaded.tokenize(texts[:1]), tiny.smallest
    )
    weights = {
        node.inputs[1].name
        for node in constant_matmuls(source.models["model"], tiny.smallest)
        if node.inputs[1]
    }
    assert set(peaks) == weights
    assert len(source.models["model"].graph.outputs) == outputs
