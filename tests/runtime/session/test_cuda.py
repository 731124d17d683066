"""Answers on an NVIDIA GPU equal those on the CPU. Skipped without a GPU."""

from pathlib import Path

import numpy as np
import pytest

import ftool_runtime as ft
from ftool_runtime.session.onnx_session import import_onnxruntime

pytestmark = pytest.mark.cuda

TEXTS = ["turn the lights off", "play", "set a timer for ten minutes"]


@pytest.fixture(scope="module")
def on_gpu(shared_bundle: Path) -> ft.TextClassifier:
    if "CUDAExecutionProvider" not in import_onnxruntime().get_available_providers():
        pytest.skip("the installed onnxruntime has no CUDA support (needs onnxruntime-gpu)")
    if not any(Path("/dev").glob("nvidia[0-9]*")) and not Path("C:/Windows/System32/nvcuda.dll").exists():
        pytest.skip("this machine has no NVIDIA GPU")
    return ft.TextClassifier.load(shared_bundle, device="cuda")


def test_the_gpu_is_what_runs(on_gpu: ft.TextClassifier) -> None:
    assert on_gpu.info()["device"] == "cuda"


def test_auto_takes_the_gpu(on_gpu: ft.TextClassifier, shared_bundle: Path) -> None:
    with ft.TextClassifier.load(shared_bundle, device="auto") as model:
        assert model.info()["device"] == "cuda"


def test_the_gpu_answers_as_the_cpu_does(on_gpu: ft.TextClassifier, model: ft.TextClassifier) -> None:
    # TF32 would round inputs to 10 bits; the provider's default leaves float32 products alone on tiny matrices
    np.testing.assert_allclose(on_gpu.logits(TEXTS), model.logits(TEXTS), rtol=1e-3, atol=1e-3)
