"""Loading a bundle: damaged bundles, devices, threads, profiles, and a machine without onnxruntime."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ftool_runtime as ft
from ftool_runtime.bundle.manifest import InputContract, Manifest, Precision
from ftool_runtime.session import onnx_session

BundleMaker = Callable[..., Path]


@pytest.mark.parametrize("name", ["onnx/model.onnx", "tokenizer.json", "golden.json"])
def test_a_truncated_file_is_named_with_both_sizes(bundle: Path, name: str) -> None:
    path = bundle / name
    content = path.read_bytes()
    path.write_bytes(content[:-3])
    with pytest.raises(
        ft.BundleError, match=rf"{name} is truncated: {len(content) - 3} bytes.*{len(content)}"
    ):
        ft.load(bundle)
    path.write_bytes(content + b"x")
    with pytest.raises(ft.BundleError, match="is too long"):
        ft.load(bundle)
    path.unlink()
    with pytest.raises(ft.BundleError, match="is missing"):
        ft.load(bundle)


@pytest.mark.parametrize("name", ["onnx/model.onnx", "tokenizer.json"])
def test_a_manifest_that_lists_no_model_is_refused(make_bundle: BundleMaker, name: str) -> None:
    folder = make_bundle()
    manifest = Manifest.read(folder)
    replace(manifest, files={kept: manifest.files[kept] for kept in manifest.files if kept != name}).write(
        folder
    )
    with pytest.raises(ft.BundleError, match=f"does not list {name}"):
        ft.load(folder)


def test_garbage_of_the_same_size_is_a_bundle_error(bundle: Path) -> None:
    for name in ("onnx/model.onnx", "tokenizer.json"):
        original = (bundle / name).read_bytes()
        (bundle / name).write_bytes(b"\xff" * len(original))
        with pytest.raises(ft.BundleError, match=name):
            ft.load(bundle)
        (bundle / name).write_bytes(original)


@pytest.mark.parametrize("seed", range(40))
def test_a_model_with_one_byte_altered_works_or_is_a_bundle_error(bundle: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    path = bundle / "onnx" / "model.onnx"
    content = bytearray(path.read_bytes())
    content[random.integers(len(content))] ^= 1 << random.integers(8)
    path.write_bytes(content)
    try:
        with ft.load(bundle, threads=1) as model:
            model("turn the lights off")
    except ft.BundleError as error:
        assert "\n" not in str(error)  # noqa: PT017  either outcome is right


def test_a_graph_that_takes_other_inputs_than_the_manifest_says_is_refused(
    make_bundle: BundleMaker, graph_of: Callable[..., bytes]
) -> None:
    contract = InputContract(names=("input_ids", "attention_mask", "token_type_ids"), max_length=16)
    with pytest.raises(
        ft.BundleError, match=r"has the inputs \['input_ids', 'attention_mask'\].*token_type_ids"
    ):
        ft.load(make_bundle(golden=False, input=contract))
    graph = graph_of(names=contract.names)
    with ft.load(make_bundle(graph=graph, input=contract)) as model:
        assert len(model(["play", "turn the lights off"])) == 2


def test_an_output_that_the_graph_lacks_is_refused(make_bundle: BundleMaker) -> None:
    with pytest.raises(ft.BundleError, match=r"the outputs \['logits'\].*'scores'"):
        ft.load(make_bundle(golden=False, output="scores"))


def test_a_length_that_the_special_tokens_fill_is_refused(make_bundle: BundleMaker) -> None:
    contract = InputContract(names=("input_ids", "attention_mask"), max_length=2)
    with pytest.raises(ft.BundleError, match=r"max_length is 2, and the special tokens alone take 2"):
        ft.load(make_bundle(golden=False, input=contract))


def test_a_task_that_this_runtime_does_not_know_is_refused(make_bundle: BundleMaker) -> None:
    with pytest.raises(ft.BundleError, match=r"'time-travel'.*knows text-classification.*upgrade"):
        ft.load(make_bundle(golden=False, task="time-travel"))


@pytest.mark.parametrize("threads", [0, -1, 100_000, 1.5, True, "2"])
def test_threads_that_make_no_sense_are_refused_with_the_number(shared_bundle: Path, threads: Any) -> None:
    with pytest.raises(ft.InputError, match=rf"threads must.*got {threads!r}"):
        ft.load(shared_bundle, threads=threads)


@pytest.mark.parametrize(("option", "value"), [("device", "tpu"), ("profile", "turbo")])
def test_an_unknown_device_or_profile_is_refused_with_those_there_are(
    shared_bundle: Path, option: str, value: str
) -> None:
    with pytest.raises(ft.InputError, match=rf"{option} must be one of .*got '{value}'"):
        ft.load(shared_bundle, **{option: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("profile", ["desktop", "throughput"])
def test_profiles_give_the_same_answers(shared_bundle: Path, model: ft.TextClassifier, profile: Any) -> None:
    with ft.TextClassifier.load(shared_bundle, profile=profile, threads=2) as other:
        np.testing.assert_array_equal(other.logits(["play music"]), model.logits(["play music"]))


def test_cuda_for_a_bundle_made_for_the_cpu_says_what_to_export(make_bundle: BundleMaker) -> None:
    folder = make_bundle(golden=False, precision=Precision(devices=("cpu",)))
    with pytest.raises(
        ft.DeviceError, match=r"exported for cpu, not for cuda; export it with `--device cuda"
    ):
        ft.load(folder, device="cuda")
    with ft.load(folder, device="auto") as model:
        assert model.info()["device"] == "cpu"


class _WithoutCuda:
    """The installed onnxruntime, except for what it says about CUDA."""

    def __init__(self, real: Any, providers: list[str]) -> None:
        self._real, self._providers = real, providers

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def get_available_providers(self) -> list[str]:
        return self._providers

    def preload_dlls(self) -> None:
        """Nothing to preload."""

    def InferenceSession(self, path: str, options: Any, providers: list[str]) -> Any:  # noqa: N802
        # what onnxruntime does where CUDA can't start: a warning, and a session on the CPU
        return self._real.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def test_cuda_that_onnxruntime_lacks_says_what_to_install(
    shared_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = onnx_session.import_onnxruntime()
    monkeypatch.setattr(
        onnx_session, "import_onnxruntime", lambda: _WithoutCuda(real, ["CPUExecutionProvider"])
    )
    with pytest.raises(ft.DeviceError, match=r"has no CUDA support.*ftool-runtime\[gpu\]"):
        ft.load(shared_bundle, device="cuda")
    with ft.load(shared_bundle, device="auto") as model:
        assert model.info()["device"] == "cpu"


def test_a_silent_fallback_to_the_cpu_is_an_error_unless_auto(
    shared_bundle: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = onnx_session.import_onnxruntime()
    providers = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnx_session, "import_onnxruntime", lambda: _WithoutCuda(real, providers))
    with pytest.raises(ft.DeviceError, match="could not start it"):
        ft.load(shared_bundle, device="cuda")
    with ft.load(shared_bundle, device="auto") as model:
        assert model.info()["device"] == "cpu"
    assert "runs on the CPU" in caplog.text


def test_a_machine_without_onnxruntime_says_which_extra_to_install(
    shared_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ft.RuntimeMissingError, match=r"ftool-runtime\[cpu\].*ftool-runtime\[gpu\]"):
        ft.load(shared_bundle)


def test_telemetry_is_off_before_onnxruntime_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ft.RuntimeMissingError):
        onnx_session.import_onnxruntime()
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"


FORKED = """
import os, sys
import ftool_runtime as ft
model = ft.load(sys.argv[1], threads=2)
child = os.fork()
if child == 0:
    if sys.argv[2] == "loads its own":
        with ft.load(sys.argv[1], threads=2) as own:
            own.outputs(["play"])
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
print(model.outputs(["play"]).shape)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("child", ["does nothing", "loads its own"])
def test_a_forked_process_ends_although_its_parent_has_a_model_with_threads(
    shared_bundle: Path, child: str
) -> None:
    command = [sys.executable, "-c", FORKED, str(shared_bundle), child]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            printed, _ = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    assert printed.startswith("(1, ")
