"""`load`: from a bundle's folder to a model that answers."""

from pathlib import Path
from typing import Any, Final

from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.errors import BundleError
from ftool_runtime.models.base import Model
from ftool_runtime.models.classifier import TextClassifier
from ftool_runtime.models.embedder import Embedder
from ftool_runtime.models.reader import Reader
from ftool_runtime.models.regressor import TextRegressor
from ftool_runtime.models.seq2seq_generator import Seq2SeqGenerator
from ftool_runtime.models.tagger import TokenTagger
from ftool_runtime.models.text_generator import TextGenerator
from ftool_runtime.session.onnx_session import Device, Profile, SessionSettings
from ftool_runtime.session.threads import resolve_threads

MODELS: Final[tuple[type[Model[Any, Any]], ...]] = (  # a new kind of model takes one file and one row here
    TextClassifier,
    TextRegressor,
    TokenTagger,
    Reader,
    Embedder,
    Seq2SeqGenerator,
    TextGenerator,
)


def load(
    folder: Path | str,
    *,
    device: Device = "cpu",
    threads: int | None = None,
    profile: Profile = "desktop",
) -> Any:
    """Load the bundle in `folder`. Nothing is fetched: a bundle holds everything that its model needs.

    Args:
        folder: the bundle, a folder with an `ftool.json`.
        device: "cpu"; "cuda", which fails without a usable NVIDIA GPU; or "auto", which takes CUDA if it is available
            and the bundle was made for it, and the CPU otherwise. `info()` says which.
        threads: CPU threads to use; None: the least of the CPUs this process may run on, its CPU quota and
            the physical cores.
        profile: "desktop" for programs that answer now and then: no CPU time is used between calls.
            "throughput" for programs that answer without a pause: threads spin for the next call.

    Returns:
        A model, complete and checked, of the class that runs the bundle's task: a TextClassifier, TextRegressor,
        TokenTagger, Reader, Embedder, Seq2SeqGenerator or TextGenerator. Use it as a context manager, or call
        `close()`. Type checkers can not know the class, so that answers are `Any`; `TextClassifier.load(folder)` and
        so on return that class, and refuse a bundle of another task.

    Raises:
        BundleError: the folder is not a bundle, or the bundle is damaged or from a newer ftool.
        DeviceError: the device is not available, or the bundle was not made for it.
        InputError: an unknown device or profile, or a number of threads that makes no sense.
        RuntimeMissingError: onnxruntime is not installed.
    """
    settings = SessionSettings(device=device, threads=resolve_threads(threads), profile=profile)
    folder = Path(folder)
    manifest = Manifest.read(folder)
    kind = next((kind for kind in MODELS if kind.runs(manifest)), None)
    if kind is None:
        known = dict.fromkeys(task for kind in MODELS for task in kind.tasks)
        raise BundleError(
            f"{folder} is for the task {manifest.task!r}, and this runtime knows {', '.join(known)}; "
            "upgrade ftool-runtime"
        )
    return kind.open(folder, manifest, settings)
