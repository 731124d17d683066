"""Embedding tables in 8 and in 4 bits: vectors, sizes, and the tables that are left alone."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from tests.helpers.graphs import graph, numbers, run

from ftool_export.errors import ExportError
from ftool_export.graph.guards import count_operators
from ftool_export.passes import PassSettings
from ftool_export.passes.quantize_embeddings import QuantizeEmbeddings, quantizable_tables, saved_bytes

EIGHT = PassSettings(smallest=1, smallest_table=1)
FOUR = PassSettings(smallest=1, smallest_table=1, embedding_bits=4)
SIZES = np.logspace(-4, 1, 9, dtype=np.float32)[:, None]  # rows of very different size


def lookup(width: int) -> str:
    return (
        f"""table (int64[batch, time] ids) => (float[batch, time, {width}] y) {{ y = Gather (table, ids) }}"""
    )


def constants(model: ir.Model) -> dict[str, np.ndarray]:
    values = model.graph.initializers.items()
    return {name: value.const_value.numpy() for name, value in values if value.const_value is not None}


def test_8_bits_have_a_scale_a_row(tmp_path: Path) -> None:
    ids = np.arange(9).reshape(3, 3)
    model = graph(lookup(16), table=numbers(9, 16) * SIZES)
    before = run(model, tmp_path, ids=ids)[0]
    result = QuantizeEmbeddings(EIGHT)(model)
    after = run(result.model, tmp_path, ids=ids)[0]
    step = np.abs(before).max(axis=-1, keepdims=True) / 127
    assert (np.abs(after - before) <= step / 2 * 1.001).all()
    assert constants(result.model)["table.int8"].dtype == np.int8


@pytest.mark.parametrize("width", [64, 48, 16])  # blocks of 32: two, one and a half, a half
def test_4_bits_have_a_scale_a_block_of_a_row(tmp_path: Path, width: int) -> None:
    table = numbers(9, width) * SIZES
    model = QuantizeEmbeddings(FOUR)(graph(lookup(width), table=table)).model
    assert not QuantizeEmbeddings(FOUR)(model).modified
    assert count_operators(model) == {"GatherBlockQuantized": 1}
    stored = constants(model)
    levels, scale = stored["table.nibble_rows"], stored["table.scale"]
    assert (levels.dtype, levels.shape) == (np.uint8, (9, width // 2))
    signed = np.stack([levels & 15, levels >> 4], axis=-1).reshape(9, width).astype(np.float32) - 8
    expected = signed * np.repeat(scale, 32, axis=1)[:, :width]
    ids = np.array([[8, 0, 3], [1, 1, 5]])
    vectors = run(model, tmp_path, ids=ids)[0]
    np.testing.assert_array_equal(vectors, expected[ids])
    error = np.linalg.norm(expected - table, axis=1) / np.linalg.norm(table, axis=1)
    assert (error < 0.12).all()  # normal numbers in blocks of 32: about 0.08
    np.testing.assert_array_equal(run(model, tmp_path, ids=ids[1:])[0][0], vectors[1])


def test_every_row_of_a_table_of_many_rows_is_kept(tmp_path: Path) -> None:
    table = numbers(8_200, 32)  # more than are quantised at once
    model = QuantizeEmbeddings(FOUR)(graph(lookup(32), table=table)).model
    ids = np.array([[0, 8_191, 8_192, 8_199]])
    error = run(model, tmp_path, ids=ids)[0] - table[ids]
    assert (np.linalg.norm(error, axis=2) < 0.12 * np.linalg.norm(table[ids], axis=2)).all()


@pytest.mark.parametrize("width", [64, 48, 16])
def test_4_bits_save_as_many_bytes_as_they_are_said_to(width: int) -> None:
    model = graph(lookup(width), table=numbers(9, width))
    (table,) = quantizable_tables(model, EIGHT)
    said = saved_bytes(table)
    sizes = [
        sum(array.nbytes for array in constants(QuantizeEmbeddings(settings)(model.clone()).model).values())
        for settings in (EIGHT, FOUR)
    ]
    assert sizes[0] - sizes[1] == said


def test_an_odd_width_does_not_fit_into_4_bits() -> None:
    with pytest.raises(ExportError, match=r"table has an odd width of 15.*use 8 bits"):
        QuantizeEmbeddings(FOUR)(graph(lookup(15), table=numbers(9, 15)))


@pytest.mark.parametrize("settings", [EIGHT, FOUR])
def test_a_table_that_is_also_a_weight_is_left_alone(settings: PassSettings) -> None:
    body = """tied (int64[batch, time] ids) => (float[batch, time, 16] y)
    { x = Gather (table, ids)  y = MatMul (x, table) }"""
    assert not QuantizeEmbeddings(settings)(graph(body, table=numbers(16, 16))).modified


def test_bits_are_8_or_4() -> None:
    with pytest.raises(ExportError, match="embedding_bits must be 8 or 4, got 2"):
        PassSettings(embedding_bits=2)
