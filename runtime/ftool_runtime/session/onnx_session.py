"""`OnnxSession`: a graph loaded into onnxruntime, with the requested device, threads and profile."""

import contextlib
import logging
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from ftool_runtime.errors import (
    BundleError,
    DeviceError,
    InputError,
    RuntimeMissingError,
    TimeLimitError,
    is_one_of,
)
from ftool_runtime.limits import DEFAULT_LIMITS, Limits
from ftool_runtime.session.deadline import current_deadline
from ftool_runtime.session.worker_threads import WorkerThreads, thread_ids

logger = logging.getLogger(__name__)

Device = Literal["cpu", "cuda", "auto"]
Profile = Literal["desktop", "throughput"]

DEVICES: Final = ("cpu", "cuda", "auto")
PROFILES: Final = ("desktop", "throughput")

_CUDA: Final = "CUDAExecutionProvider"
_CPU: Final = "CPUExecutionProvider"
_WHOLE_TYPES: Final = ("tensor(int64)", "tensor(int32)")
_NUMBER_TYPES: Final = ("tensor(float)", "tensor(float16)")
_LOG_SEVERITY: Final = {
    "cpu": 4,  # fatal: errors arrive as exceptions, and the log would show names in a graph as they are
    "cuda": 3,  # error: only the log says which library of CUDA is missing
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """The device, threads and profile with which a graph is run.

    Attributes:
        device: "cpu", "cuda", or "auto", which takes CUDA if it is available.
        threads: the number of threads that share the work of an operator.
        profile: "desktop" lets idle threads sleep as soon as a run ends; "throughput" keeps them spinning until the
            next run.
        limits: how much a call may cost.
    """

    device: Device
    threads: int
    profile: Profile
    limits: Limits = DEFAULT_LIMITS

    def __post_init__(self) -> None:
        if not is_one_of(self.device, DEVICES):
            raise InputError(f"device must be one of {', '.join(DEVICES)}, got {self.device!r}")
        if not is_one_of(self.profile, PROFILES):
            raise InputError(f"profile must be one of {', '.join(PROFILES)}, got {self.profile!r}")


def import_onnxruntime() -> Any:
    """Import onnxruntime with telemetry off. Raises RuntimeMissingError, which says what to install."""
    # Since 1.29, onnxruntime sends telemetry by default, and a forked child that has only imported it hangs at exit.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        if error.name != "onnxruntime":
            raise
        raise RuntimeMissingError(
            "onnxruntime is not installed: `pip install ftool-runtime[cpu]`, "
            "or `ftool-runtime[gpu]` for NVIDIA GPUs (one of the two, not both)"
        ) from error
    except ImportError as error:
        raise RuntimeMissingError(f"onnxruntime is installed but can't be loaded: {error}") from error
    return onnxruntime


class OnnxSession:
    """A graph that is loaded into onnxruntime. Thread-safe."""

    def __init__(self, path: Path, settings: SessionSettings, allowed_devices: tuple[str, ...]) -> None:
        """Load the graph at `path`.

        Args:
            path: the ONNX file; external weights are in the same folder.
            settings: device, threads and profile.
            allowed_devices: the devices that the graph was exported for, from the manifest.

        Raises:
            DeviceError: the device is not available, or the graph was not exported for it.
            BundleError: onnxruntime can't load the graph.
            RuntimeMissingError: onnxruntime is not installed.
        """
        self._onnxruntime = import_onnxruntime()
        self._errors = _error_types(self._onnxruntime)
        self.settings = settings
        self._timed = settings.limits.call_seconds is not None
        self.device = _choose_device(self._onnxruntime, settings.device, allowed_devices)
        before = thread_ids()
        self._session = self._open(path)
        started = thread_ids() - before if self.device == "cpu" else ()
        self._workers = WorkerThreads(started, expected=settings.threads - 1)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        self.input_names = tuple(node.name for node in inputs)
        self.output_names = tuple(node.name for node in outputs)
        self.shapes: Mapping[str, tuple[int | str | None, ...]] = {
            node.name: tuple(node.shape) for node in (*inputs, *outputs)
        }
        self.types: Mapping[str, str] = {node.name: node.type for node in (*inputs, *outputs)}

    def check_types(self, path: Path, whole: Iterable[str], numbers: Iterable[str]) -> None:
        """Raise BundleError, which names the file `path`, if an input or output has another type than the runtime's.

        Those named in `whole` must hold whole numbers, and those in `numbers` floating-point numbers.
        """
        for names, types in ((whole, _WHOLE_TYPES), (numbers, _NUMBER_TYPES)):
            for name in names:
                if self.types[name] not in types:
                    raise BundleError(
                        f"{path}: {name} is a {self.types[name]}, and this runtime takes {' or '.join(types)}; export "
                        "the bundle again"
                    )

    def run(self, output: str, feeds: Mapping[str, NDArray[np.int64]]) -> NDArray[np.float32]:
        """Run the graph on `feeds`, its inputs by name, and return the output named `output`.

        Raises BundleError if the graph fails, DeviceError if a GPU fails, and TimeLimitError if the time is over.
        """
        result: NDArray[np.float32] = self.run_all((output,), feeds)[0]
        return result

    def run_all(self, outputs: Sequence[str], feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """Run the graph on `feeds`, its inputs by name, and return the outputs named in `outputs`, in order.

        Raises BundleError if the graph fails, DeviceError if a GPU fails, and TimeLimitError if the time is over.
        """
        try:
            with self._workers:
                results: list[NDArray[Any]] = self._session.run(outputs, feeds, self._run_options())
        except self._errors as error:
            raise self._failed(error) from error
        return results

    def binding(self) -> Any:
        """Return a new onnxruntime IOBinding for `run_bound`, for inputs and outputs in fixed buffers."""
        return self._session.io_binding()

    def value(self, array: NDArray[Any]) -> Any:
        """Return an OrtValue that shares the memory of `array`, which must be contiguous."""
        return self._onnxruntime.OrtValue.ortvalue_from_numpy(array)

    def run_bound(self, binding: Any) -> None:
        """Run the graph with the inputs and outputs of `binding`.

        Raises BundleError if the graph fails, DeviceError if a GPU fails, and TimeLimitError if the time is over.
        """
        try:
            with self._workers:
                self._session.run_with_iobinding(binding, self._run_options())
        except self._errors as error:
            raise self._failed(error) from error

    def _run_options(self) -> Any:
        """Return the RunOptions of the call's deadline; None without one, for onnxruntime's defaults."""
        deadline = current_deadline() if self._timed else None
        return None if deadline is None else deadline.options

    def _failed(self, error: Exception) -> BundleError | DeviceError | TimeLimitError:
        deadline = current_deadline() if self._timed else None
        if deadline is not None and deadline.expired:
            return deadline.error()
        if self.device == "cuda":
            return DeviceError(f"the run on the GPU failed: {_first_line(error)}")
        return BundleError(f"the model's graph failed: {_first_line(error)}; run `verify` on it")

    def _open(self, path: Path) -> Any:
        try:
            return self._open_on_device(path)
        except DeviceError as error:
            if self.settings.device != "auto":
                raise
            logger.warning("device='auto' runs on the CPU: %s", error)
            self.device = "cpu"
            return self._open_on_device(path)

    def _open_on_device(self, path: Path) -> Any:
        providers = [_CUDA, _CPU] if self.device == "cuda" else [_CPU]
        try:
            session = self._onnxruntime.InferenceSession(
                str(path), _options(self._onnxruntime, self.settings, self.device), providers=providers
            )
        except self._errors as error:
            if self.device == "cuda":
                raise DeviceError(f"CUDA can't run this model: {_first_line(error)}") from error
            raise BundleError(f"onnxruntime can't load {path}: {_first_line(error)}; run `verify`") from error
        # If CUDA can't start, onnxruntime only warns and returns a session on the CPU.
        if session.get_providers()[0] != providers[0]:
            raise DeviceError(
                "onnxruntime has CUDA support but could not start it: the driver, CUDA or cuDNN is missing "
                "or has another version; its log on standard error says which"
            )
        session.disable_fallback()
        return session


def _choose_device(onnxruntime: Any, device: Device, allowed: tuple[str, ...]) -> Literal["cpu", "cuda"]:
    if device == "cpu":
        return "cpu"
    missing = _why_no_cuda(onnxruntime, allowed)
    if missing is None:
        with contextlib.redirect_stdout(sys.stderr):  # onnxruntime prints the libraries that it can't find
            onnxruntime.preload_dlls()
        return "cuda"
    if device == "cuda":
        raise DeviceError(missing)
    logger.info("device='auto' runs on the CPU: %s", missing)
    return "cpu"


def _why_no_cuda(onnxruntime: Any, allowed: tuple[str, ...]) -> str | None:
    if "cuda" not in allowed:
        return (
            f"this bundle was exported for {', '.join(allowed)}, not for cuda; "
            "export it with `--device cuda --precision fp16`, or fp32"
        )
    if _CUDA not in onnxruntime.get_available_providers():
        return (
            "the installed onnxruntime has no CUDA support: uninstall onnxruntime, "
            "then `pip install ftool-runtime[gpu]`"
        )
    return None


def _options(onnxruntime: Any, settings: SessionSettings, device: Literal["cpu", "cuda"]) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _LOG_SEVERITY[device]
    if settings.profile == "desktop":
        # Threads spin briefly for the next operator within a run, but not after the run. Unlimited spinning doubles a
        # run's time if other programs need the cores (runtime/README.md).
        options.add_session_config_entry("session.intra_op.spin_duration_us", "20")
        options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def _error_types(onnxruntime: Any) -> tuple[type[Exception], ...]:
    """Return the exception classes of onnxruntime, from its module, since they have no common base class."""
    state = vars(onnxruntime.capi.onnxruntime_pybind11_state)
    own = [kind for kind in state.values() if isinstance(kind, type) and issubclass(kind, Exception)]
    return (*own, RuntimeError, ValueError)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]
