"""Attention without a mask becomes ONNX's own operator, and gives the same outputs."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from tests.helpers.graphs import check, graph, numbers

from ftool_export.graph.guards import count_operators
from ftool_export.passes.standard_attention import StandardAttention


def attention(inputs: str = "x, keys, keys", attributes: str = "") -> ir.Model:
    """Return an attention of two heads of width 8, in which `inputs` are of MultiHeadAttention."""
    return graph(f"""encoder (float[batch, time, 16] x, float[batch, other, 16] keys, int32[batch, other] mask,
        float[16] bias, float[batch, 2, time, other] scores) => (float[batch, time, 16] y) {{
        y = com.microsoft.MultiHeadAttention <num_heads: int = 2{attributes}> ({inputs})
    }}""")


def feeds(queries: int = 5) -> dict[str, np.ndarray]:
    """Return two rows of five keys, and queries."""
    return {
        "x": numbers(2, queries, 16),
        "keys": numbers(2, 5, 16),
        "mask": np.ones((2, 5), dtype=np.int32),
        "bias": numbers(48)[:16],
        "scores": numbers(2, 2, queries, 5),
    }


@pytest.mark.parametrize("queries", [5, 1])
@pytest.mark.parametrize("attributes", ["", ", scale: float = 0.7"])
def test_outputs_stay_the_same(attributes: str, queries: int, tmp_path: Path) -> None:
    model = check(StandardAttention(), attention(attributes=attributes), tmp_path, **feeds(queries))
    assert count_operators(model) == {"Attention": 1}


@pytest.mark.parametrize(
    ("inputs", "attributes"),
    [
        ("x, keys, keys, bias", ""),
        ("x, keys, keys, , mask", ""),
        ("x, keys, keys, , , scores", ""),
        ("x", ""),
        ("x, x, x", ", unidirectional: int = 1"),
    ],
)
def test_attention_with_a_mask_or_a_bias_or_an_order_is_left_alone(inputs: str, attributes: str) -> None:
    assert not StandardAttention()(attention(inputs, attributes)).modified
