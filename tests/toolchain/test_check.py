"""`ftool check`: ONNX files as torch's exporter and onnxruntime's quantiser write them, whole and with each fault."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from tests.helpers.cli import ftool, told
from tests.helpers.tiny_models import TinyModels
from tests.helpers.torch_onnx import CLASSIFIER, OUTPUTS, export
from torch import nn


@pytest.fixture(params=OUTPUTS)
def task(request: pytest.FixtureRequest) -> str:
    return request.param


def run_of(folder: Path) -> Path:
    return folder / "run"


def test_a_faithful_export_passes(trained: TinyModels, task: str, tmp_path: Path) -> None:
    folder = trained[task]
    file = export(run_of(folder), task, tmp_path / "model.onnx")

    report = told("check", file, "--checkpoint", folder)

    assert report["passed"], report
    assert report["precision"] == "fp32"
    assert report["examples"] > 0
    assert report["faults"] == []
    assert report["equal_weights"] is None or report["equal_weights"][0] == report["equal_weights"][1]


def test_another_task_than_the_model_folder_s_is_refused(trained: TinyModels, tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(b"")
    result = ftool("check", file, "--checkpoint", trained[CLASSIFIER], "--task", "token-classification")
    assert result.exit_code == 2
    assert "--task token-classification: the model in" in result.output


def test_outputs_in_float16_are_read(trained: TinyModels, task: str, tmp_path: Path) -> None:
    folder = trained[task]
    file = export(run_of(folder), task, tmp_path / "model.onnx", half=True)

    report = told("check", file, "--checkpoint", folder)

    assert report["passed"], report
    assert report["precision"] == "fp16"


def test_a_model_folder_s_own_split_is_used(trained: TinyModels, tmp_path: Path) -> None:
    folder = trained[CLASSIFIER]
    file = export(run_of(folder), CLASSIFIER, tmp_path / "model.onnx")

    counts = {
        split: told("check", file, "--checkpoint", folder, "--split", split)["examples"]
        for split in ("test", "train")
    }

    assert counts == {"test": 36, "train": 120}
    assert ftool("check", file, "--checkpoint", folder, "--split", "bogus").exit_code == 2


@pytest.mark.parametrize("inside", [True, False])
def test_columns_are_not_ignored(trained: TinyModels, tmp_path: Path, inside: bool) -> None:
    folder = trained[CLASSIFIER]
    file = export(run_of(folder), CLASSIFIER, tmp_path / "model.onnx")

    result = ftool(
        "check", file, "--checkpoint", folder if inside else run_of(folder), "--label-column", "nonsense"
    )

    assert result.exit_code == 2
    assert ("nonsense" if inside else "--data") in result.stderr


def test_another_number_of_labels_names_the_checkpoint(trained: TinyModels, tmp_path: Path) -> None:
    file = export(run_of(trained[CLASSIFIER]), CLASSIFIER, tmp_path / "model.onnx")
    model = onnx.load(file)
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 4
    onnx.save(model, file)

    report = told("check", file, "--checkpoint", trained[CLASSIFIER], status=1)

    assert any("has 4 numbers, and the checkpoint gives 3" in fault for fault in report["faults"])


def test_integers_of_32_bits_and_old_names_are_converted(trained: TinyModels, tmp_path: Path) -> None:
    folder = trained[CLASSIFIER]
    file = export(run_of(folder), CLASSIFIER, tmp_path / "model.onnx", dtype=torch.int32)
    model = onnx.load(file)
    for old, new in (("attention_mask", "input_mask"), ("token_type_ids", "segment_ids")):
        _rename_input(model, old, new)
    onnx.save(model, file)

    assert told("check", file, "--checkpoint", folder)["passed"]


def _rename_input(model: onnx.ModelProto, old: str, new: str) -> None:
    for value in model.graph.input:
        value.name = new if value.name == old else value.name
    for node in model.graph.node:
        node.input[:] = [new if name == old else name for name in node.input]


def test_weights_of_another_training_fail(trained: TinyModels, tmp_path: Path) -> None:
    def train_on(network: nn.Module) -> None:
        with torch.no_grad():
            for weight in network.parameters():
                weight.add_(0.05 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))

    folder = trained[CLASSIFIER]
    file = export(run_of(folder), CLASSIFIER, tmp_path / "model.onnx", change=train_on)

    report = told("check", file, "--checkpoint", folder, status=1)

    assert "max_difference" in {check["name"] for check in report["checks"] if not check["passed"]}
    assert any("differ from torch" in fault for fault in report["faults"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fixed": True}, "fixed axes (batch=2, sequence=9)"),
        ({"inputs": ("input_ids",)}, "takes no attention_mask"),
    ],
)
def test_what_the_graph_can_not_read_is_named(
    trained: TinyModels, tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    folder = trained[CLASSIFIER]
    file = export(run_of(folder), CLASSIFIER, tmp_path / "model.onnx", **options)

    report = told("check", file, "--checkpoint", folder, status=1)

    assert any(words in fault for fault in report["faults"]), report["faults"]


@pytest.fixture
def quantised(trained: TinyModels, tmp_path: Path) -> Callable[..., Path]:
    def quantise(**options: Any) -> Path:
        whole = export(run_of(trained[CLASSIFIER]), CLASSIFIER, tmp_path / "whole.onnx")
        file = tmp_path / "quantised.onnx"
        quantize_dynamic(whole, file, weight_type=QuantType.QInt8, **options)
        return file

    return quantise


def test_weights_that_overflow_elsewhere_and_shared_scales_are_faults(
    trained: TinyModels, quantised: Callable[..., Path]
) -> None:
    report = told("check", quantised(), "--checkpoint", trained[CLASSIFIER], status=1)

    assert report["precision"] == "int8-rows"
    assert any("reduce_range=True" in fault for fault in report["faults"])
    assert any("other texts of its batch" in fault for fault in report["faults"])


def test_seven_bits_do_not_overflow(trained: TinyModels, quantised: Callable[..., Path]) -> None:
    report = told("check", quantised(reduce_range=True), "--checkpoint", trained[CLASSIFIER], status=1)

    assert not any("reduce_range" in fault for fault in report["faults"])


def test_not_a_number_is_a_fault(trained: TinyModels, tmp_path: Path) -> None:
    folder = trained[CLASSIFIER]
    file = export(run_of(folder), CLASSIFIER, tmp_path / "model.onnx")
    model = onnx.load(file)
    bias = next(one for one in model.graph.initializer if list(one.dims) == [3])  # of three labels
    bias.CopyFrom(numpy_helper.from_array(np.full_like(numpy_helper.to_array(bias), np.nan), bias.name))
    onnx.save(model, file)

    report = told("check", file, "--checkpoint", folder, status=1)

    assert any("finite" in fault for fault in report["faults"])


@pytest.mark.parametrize(("content", "words"), [(b"not onnx", "not an ONNX file"), (None, "is not a file")])
def test_other_files_are_refused(
    trained: TinyModels, tmp_path: Path, content: bytes | None, words: str
) -> None:
    file = tmp_path / "model.onnx"
    if content is not None:
        file.write_bytes(content)

    result = ftool("check", file, "--checkpoint", trained[CLASSIFIER])

    assert result.exit_code == 2
    assert words in result.stderr
    assert str(file) in result.stderr


def test_a_name_that_is_not_text_is_refused(trained: TinyModels, tmp_path: Path) -> None:
    file = export(run_of(trained[CLASSIFIER]), CLASSIFIER, tmp_path / "model.onnx")
    file.write_bytes(file.read_bytes().replace(b"Softmax", b"S\xffftmax"))

    result = ftool("check", file, "--checkpoint", trained[CLASSIFIER])

    assert result.exit_code == 2
    assert f"{file} is not an ONNX file, or is damaged" in result.stderr


def test_it_is_timed_beside_torch_and_a_bundle(exported: TinyModels, tmp_path: Path) -> None:
    folder = exported[CLASSIFIER]
    file = export(run_of(folder), CLASSIFIER, tmp_path / "model.onnx")

    report = told("check", file, "--checkpoint", folder, "--bench", "--against", folder / "bundle")

    assert set(report["bench"]["engines"]) == {"model.onnx", "torch-fp32", "ftool-int8"}


def test_a_generators_graph_is_refused_with_what_to_do(trained: TinyModels, tmp_path: Path) -> None:
    result = ftool("check", tmp_path / "decoder.onnx", "--checkpoint", trained["translation"])

    assert result.exit_code == 2
    assert "this checkpoint writes texts" in result.stderr
    assert "ftool export --checkpoint" in result.stderr
