"""Measure embeddings in 4 bits: the error of a table by width of block, and bundles of a trained model beside 8 bits.

    python -m benchmarks.embedding_bits FOLDER [--precisions int8 w8] [--widths 16 32 64 128] [--rounds 9]

FOLDER is a trained model folder, which is only read. Every bundle must pass the gate, and is then compared with torch
on the test split. Times are this process's CPU time for texts of the test split, one at a time on one thread, in rounds
in which the bundles take turns.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import ftool_runtime as ft
from benchmarks.commands import write_result
from ftool.export import examples_for, export_settings
from ftool.machine import describe_machine
from ftool.recipe.recipe import Recipe
from ftool.terminal import format_table
from ftool.workspace import ModelFolder
from ftool_export.gate import judge
from ftool_export.graph.graphs import Graphs
from ftool_export.passes import PassSettings
from ftool_export.passes.matching import constant
from ftool_export.passes.quantize_blocks import quantize_in_nibbles, signed_levels
from ftool_export.passes.quantize_embeddings import quantizable_tables
from ftool_export.pipeline import capture_source, export

_ROWS = 4_000  # rows of a table, taken at random, whose error is measured
_TEXTS = 50  # texts in a round


def table_errors(graphs: Graphs, widths: Sequence[int]) -> list[dict[str, Any]]:
    """Return the relative error of rows of the largest table, and the table's size, for each width of blocks."""
    tables = quantizable_tables(graphs.models["model"], PassSettings())
    table = max(
        (array for one in tables if (array := constant(one)) is not None), key=lambda array: array.size
    )
    rows = table[np.random.default_rng(0).choice(len(table), min(_ROWS, len(table)), replace=False)]
    found = []
    for width in widths:
        levels, scale = quantize_in_nibbles(rows.T, width)
        stored = (signed_levels(levels, 4) * scale[..., None]).reshape(len(rows), -1)[:, : rows.shape[1]]
        errors = np.linalg.norm(stored - rows, axis=1) / np.maximum(np.linalg.norm(rows, axis=1), 1e-12)
        size = len(table) * (table.shape[1] / 2 + 4 * scale.shape[1]) / 1e6
        shares = {f"p{share}": float(np.quantile(errors, share / 100)) for share in (50, 99)}
        found.append({"width": width, "mb": size, **shares})
    return found


def measure(
    folder: Path, work: Path, precisions: Sequence[str], rounds: int
) -> tuple[Graphs, dict[str, Any]]:
    """Export the model in each precision with embeddings in 8 and 4 bits; return its fp32 graphs and the figures."""
    recipe = Recipe.read(folder / "recipe.toml")
    loaded = recipe.row.load(ModelFolder(folder).require_run())
    validation, test = (examples_for(recipe, loaded, split) for split in ("validation", "test"))
    graphs = capture_source(loaded, validation.inputs, PassSettings())
    models, found = {}, {}
    for precision in precisions:
        for bits in (8, 4):
            name = f"{precision}, embeddings in {bits} bits"
            changed: dict[str, Any] = {"precision": precision, "embedding_bits": bits}
            settings = export_settings(replace(recipe.export, **changed), work / name, None)
            report = export(settings, loaded, validation, captured=graphs)
            if report.bundle is None:
                raise SystemExit(f"{name}: the gate refused the bundle: {report.verdict}")
            models[name] = model = ft.load(report.bundle, threads=1)
            verdict = judge(loaded, model, test, precision=precision, max_drop=1, allow_drift=True)
            found[name] = {
                "mb": report.bytes / 1e6,
                "left_out": list(report.left_out),
                "validation": report.verdict.to_json(),
                "test": verdict.to_json(),
            }
    for name, milliseconds in cpu_times(models, test.inputs[:_TEXTS], rounds).items():
        found[name]["cpu_ms"] = milliseconds
    return graphs, found


def cpu_times(models: dict[str, Any], inputs: Sequence[Any], rounds: int) -> dict[str, float]:
    """Return the median over the rounds of the CPU milliseconds per text of each model."""
    times: dict[str, list[float]] = {name: [] for name in models}
    for number in range(rounds + 1):  # the first one warms up
        for name in models if number % 2 else reversed(models):
            started = time.process_time()
            for given in inputs:
                models[name](given)
            times[name].append(1000 * (time.process_time() - started) / len(inputs))
    return {name: median(all_of[1:]) for name, all_of in times.items()}


def main() -> None:
    """Print both tables, and write benchmarks/results/embedding_bits_FOLDER.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--precisions", nargs="*", default=["int8", "w8"])
    parser.add_argument("--widths", type=int, nargs="*", default=[16, 32, 64, 128])
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        graphs, bundles = measure(options.folder, Path(work), options.precisions, options.rounds)
    errors = table_errors(graphs, options.widths)
    rows = [["block", "rows' error, p50", "p99", "table, MB"]]
    rows += [[f"{e['width']}", f"{e['p50']:.4f}", f"{e['p99']:.4f}", f"{e['mb']:.1f}"] for e in errors]
    print(format_table(rows))
    rows = [["", "torch", "bundle", "same answers", "MB", "CPU ms a text"]]
    for name, one in bundles.items():
        test = one["test"]
        scores = (f"{test['reference']:.4f}", f"{test['bundle']:.4f}", f"{test['agreement']:.2%}")
        rows.append([name, *scores, f"{one['mb']:.1f}", f"{one['cpu_ms']:.3f}"])
    print(format_table(rows))
    result = {"table": errors, "bundles": bundles, "machine": describe_machine()}
    write_result(f"embedding_bits_{options.folder.resolve().name}", result)


if __name__ == "__main__":
    main()
