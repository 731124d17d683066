"""`load`: from a bundle's folder to a model that answers."""

from pathlib import Path
from typing import Any

from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.errors import BundleError
from ftool_runtime.models.tasks import TASKS
from ftool_runtime.session.onnx_session import Device, Profile, SessionSettings
from ftool_runtime.session.threads import resolve_threads


def load(
    folder: Path | str,
    *,
    device: Device = "cpu",
    threads: int | None = None,
    profile: Profile = "desktop",
) -> Any:
    """Load the bundle in `folder`. Nothing is fetched: all that a model needs is in its bundle.

    Args:
        folder: the bundle, a folder with an `ftool.json`.
        device: "cpu"; "cuda", which fails where there is no usable NVIDIA GPU; or "auto", which takes CUDA
            where it is to be had and the bundle was made for it, and the CPU otherwise. `info()` says which.
        threads: CPU threads to use; None: the least of the CPUs this process may run on, its CPU quota and
            the physical cores.
        profile: "desktop" for programs that answer now and then: no CPU time is used between calls.
            "throughput" for programs that answer without a pause: threads spin for the next call.

    Returns:
        A model, complete and checked: a TextClassifier, a Seq2SeqGenerator or a TextGenerator, as the bundle's task
        has it. Use it as a context manager, or call `close()`.

    Raises:
        BundleError: the folder is no bundle, a damaged one, or from a newer ftool.
        DeviceError: the device is not there, or the bundle was not made for it.
        InputError: an unknown device or profile, or a number of threads that makes no sense.
        RuntimeMissingError: onnxruntime is not installed.
    """
    settings = SessionSettings(device=device, threads=resolve_threads(threads), profile=profile)
    folder = Path(folder)
    manifest = Manifest.read(folder)
    if manifest.task not in TASKS:
        raise BundleError(
            f"{folder} is for the task {manifest.task!r}, and this runtime knows {', '.join(TASKS)}; "
            "upgrade ftool-runtime"
        )
    return TASKS[manifest.task].open(folder, manifest, settings)
