"""`ftool export --graph`: a bundle of a graph that torch's exporter wrote, quantised and proved as ftool's own."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.helpers.cli import ftool, told
from tests.helpers.tiny_models import TinyModels
from tests.helpers.torch_onnx import CLASSIFIER, OUTPUTS, export
from torch import nn

from ftool_runtime.bundle.manifest import Manifest


def _bundle(run: Path, graph: Path, bundle: Path, task: str, *options: Any) -> Any:
    return ftool("export", "--checkpoint", run, "--graph", graph, "-o", bundle, "--task", task, *options)


@pytest.mark.parametrize("task", OUTPUTS)
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_bundle_is_made_of_another_tools_graph(
    trained: TinyModels, task: str, precision: str, tmp_path: Path
) -> None:
    run = trained[task] / "run"
    graph = export(run, task, tmp_path / "model.onnx")

    result = _bundle(run, graph, tmp_path / "bundle", task, "--precision", precision)

    assert result.exit_code == 0, result.stderr
    manifest = Manifest.read(tmp_path / "bundle")
    assert manifest.evidence["fp32_graph"]["exported_by"].startswith("pytorch")
    assert manifest.precision.name == precision
    assert told("parity", tmp_path / "bundle", "--checkpoint", run, "--graph", graph)["passed"]
    without = ftool("parity", tmp_path / "bundle", "--checkpoint", run)
    assert without.exit_code == 2
    assert "was made of a graph that pytorch" in without.stderr


def test_weights_of_another_training_are_refused(trained: TinyModels, tmp_path: Path) -> None:
    def train_on(network: nn.Module) -> None:
        with torch.no_grad():
            for weight in network.parameters():
                weight.add_(0.05 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))

    run = trained[CLASSIFIER] / "run"
    graph = export(run, CLASSIFIER, tmp_path / "model.onnx", change=train_on)

    result = _bundle(run, graph, tmp_path / "bundle", CLASSIFIER)

    assert result.exit_code == 2
    assert "reading the file" in result.stderr
    assert "differ from torch" in result.stderr
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("graph", "options", "words"),
    [
        ({"inputs": ("input_ids",)}, (), "takes no attention_mask"),
        ({"fixed": True}, (), "fixed axes (batch=2, sequence=9)"),
        ({"half": True}, (), "is in fp16 already: name the float32 file"),
        ({}, ("--precision", "auto"), "--graph is for one precision"),
        ({}, ("--layout", "standard"), "--layout standard needs outputs"),
    ],
)
def test_what_can_not_be_made_of_it_is_named(
    trained: TinyModels, graph: dict[str, Any], options: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    run = trained[CLASSIFIER] / "run"
    file = export(run, CLASSIFIER, tmp_path / "model.onnx", **graph)

    result = _bundle(run, file, tmp_path / "bundle", CLASSIFIER, *options)

    assert result.exit_code == 2
    assert words in result.stderr
    assert not (tmp_path / "bundle").exists()


def test_it_is_for_encoders_checkpoints(trained: TinyModels, tmp_path: Path) -> None:
    file = export(trained[CLASSIFIER] / "run", CLASSIFIER, tmp_path / "model.onnx")

    generator = _bundle(trained["translation"] / "run", file, tmp_path / "bundle", "translation")
    folder = ftool("export", trained[CLASSIFIER], "--graph", file)

    assert generator.exit_code == folder.exit_code == 2
    assert "this checkpoint writes texts" in generator.stderr
    assert "--graph is for --checkpoint" in folder.stderr
