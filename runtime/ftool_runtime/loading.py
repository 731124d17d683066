"""`load`: load a bundle of any task, as an object of the model class for that task."""

from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, overload

from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.errors import BundleError, InputError, is_one_of, naming_bundle, nearest
from ftool_runtime.limits import Limits, limits_of
from ftool_runtime.models.base import Model, describe_task
from ftool_runtime.session.onnx_session import Device, Profile, SessionSettings
from ftool_runtime.session.threads import resolve_threads

if TYPE_CHECKING:
    from ftool_runtime.bundle.signature import TrustedKey
    from ftool_runtime.models.classifier import TextClassifier
    from ftool_runtime.models.embedder import Embedder
    from ftool_runtime.models.reader import Reader
    from ftool_runtime.models.regressor import TextRegressor
    from ftool_runtime.models.seq2seq_generator import Seq2SeqGenerator
    from ftool_runtime.models.tagger import TokenTagger
    from ftool_runtime.models.text_generator import TextGenerator

# For a new kind of model, add one file and one row here. A class is imported when none before it runs the bundle: a
# classifier's first answer does not wait for the classes of generators.
MODELS: Final = (
    ("classifier", "TextClassifier"),
    ("regressor", "TextRegressor"),
    ("regressor", "MultiRegressor"),
    ("tagger", "TokenTagger"),
    ("reader", "Reader"),
    ("embedder", "Embedder"),
    ("seq2seq_generator", "Seq2SeqGenerator"),
    ("text_generator", "TextGenerator"),
)
_own: list[type[Model[Any, Any]]] = []


def register(kind: type[Model[Any, Any]]) -> None:
    """Let `load` return models of your own class `kind`, for bundles of the tasks in `kind.tasks`."""
    _own.append(kind)


def unregister(kind: type[Model[Any, Any]]) -> None:
    """Undo `register` for the class `kind`."""
    _own.remove(kind)


@overload
def load(
    folder: Path | str,
    *,
    task: Literal["text-classification"],
    device: Device = "cpu",
    threads: int | None = None,
    profile: Profile = "desktop",
    trusted_keys: "Sequence[TrustedKey] | None" = None,
    limits: Limits | None = None,
) -> "TextClassifier": ...


@overload
def load(
    folder: Path | str,
    *,
    task: Literal["text-ranking"],
    device: Device = "cpu",
    threads: int | None = None,
    profile: Profile = "desktop",
    trusted_keys: "Sequence[TrustedKey] | None" = None,
    limits: Limits | None = None,
) -> "TextRegressor": ...


@overload
def load(
    folder: Path | str,
    *,
    task: Literal["token-classification"],
    device: Device = "cpu",
    threads: int | None = None,
    profile: Profile = "desktop",
    trusted_keys: "Sequence[TrustedKey] | None" = None,
    limits: Limits | None = None,
) -> "TokenTagger": ...


@overload
def load(
    folder: Path | str,
    *,
    task: Literal["question-answering"],
    device: Device = "cpu",
    threads: int | None = None,
    profile: Profile = "desktop",
    trusted_keys: "Sequence[TrustedKey] | None" = None,
    limits: Limits | None = None,
) -> "Reader": ...


@overload
def load(
    folder: Path | str,
    *,
    task: Literal["feature-extraction"],
    device: Device = "cpu",
    threads: int | None = None,
    profile: Profile = "desktop",
    trusted_keys: "Sequence[TrustedKey] | None" = None,
    limits: Limits | None = None,
) -> "Embedder": ...


@overload
def load(
    folder: Path | str,
    *,
    task: Literal["summarization", "translation"],
    device: Device = "cpu",
    threads: int | None = None,
    profile: Profile = "desktop",
    trusted_keys: "Sequence[TrustedKey] | None" = None,
    limits: Limits | None = None,
) -> "Seq2SeqGenerator": ...


@overload
def load(
    folder: Path | str,
    *,
    task: Literal["text-generation"],
    device: Device = "cpu",
    threads: int | None = None,
    profile: Profile = "desktop",
    trusted_keys: "Sequence[TrustedKey] | None" = None,
    limits: Limits | None = None,
) -> "TextGenerator": ...


@overload
def load(
    folder: Path | str,
    *,
    task: None = None,
    device: Device = "cpu",
    threads: int | None = None,
    profile: Profile = "desktop",
    trusted_keys: "Sequence[TrustedKey] | None" = None,
    limits: Limits | None = None,
) -> Model[Any, Any]: ...


def load(
    folder: Path | str,
    *,
    task: str | None = None,
    device: Device = "cpu",
    threads: int | None = None,
    profile: Profile = "desktop",
    trusted_keys: "Sequence[TrustedKey] | None" = None,
    limits: Limits | None = None,
) -> Model[Any, Any]:
    """Load the bundle in `folder`. Nothing is downloaded: a bundle holds everything that its model needs.

    Args:
        folder: the bundle, a folder with an `ftool.json`.
        task: the task that the bundle must be for. Type checkers then know the class of the model and its answers.
            None for any task; answers are then `Any` to a type checker.
        device: "cpu"; "cuda", which fails without a usable NVIDIA GPU; or "auto", which takes CUDA if it is available
            and the bundle was made for it, and the CPU otherwise. `info()` says which device is used.
        threads: the number of CPU threads. None for the smallest of three numbers: the CPUs that this process may run
            on, its CPU quota, and the physical cores.
        profile: "desktop" for programs that answer occasionally: no CPU time is used between calls.
            "throughput" for programs that answer without a pause: threads spin until the next call.
        trusted_keys: public Ed25519 keys, as paths of files or as texts in PEM or OpenSSH format. One of them must have
            signed the bundle (`ftool sign`), and every file is hashed. None accepts any bundle.

    Returns:
        A model of the class that runs the bundle's task: a TextClassifier, TextRegressor, MultiRegressor, TokenTagger,
        Reader, Embedder, Seq2SeqGenerator or TextGenerator. Use it as a context manager, or call `close()`.

    Raises:
        BundleError: the folder is not a bundle, or the bundle is damaged, for another task or from a newer ftool; or
            `task` is "text-classification" and the bundle answers with numbers (use `TextRegressor.load` for one
            number, `MultiRegressor.load` for several).
            SignatureError, which is one too, if no trusted key has signed the bundle.
        DeviceError: the device is not available, or the bundle was not made for it.
        InputError: the task, device or profile is unknown, the number of threads is too small or too large, a key can't
            be read, or the bundle is larger than `limits` allow.
        RuntimeMissingError: onnxruntime is not installed, or there are keys and cryptography is not.
    """
    expected = None if task is None else _class_for(task)
    settings = SessionSettings(
        device=device,
        threads=resolve_threads(threads),
        profile=profile,
        limits=limits_of(limits),
    )
    folder = Path(folder)
    if trusted_keys is not None:
        from ftool_runtime.bundle.signature import check_trusted  # needed only with keys

        check_trusted(folder, trusted_keys, settings.limits)
    manifest = Manifest.read(folder)
    settings.limits.check_bundle(folder, manifest.total_bytes)
    kind = next((kind for kind in _kinds() if kind.runs(manifest)), None)
    if kind is None:
        raise BundleError(
            f"{folder} is for the task {manifest.task!r}, and this runtime knows {', '.join(_tasks())}; "
            "upgrade ftool-runtime"
        )
    if task is not None and (manifest.task != task or kind is not expected):
        raise BundleError(
            f"{folder} is a bundle for {describe_task(manifest)}, not for {task!r}; "
            f"load it with ftool_runtime.{kind.__name__}.load, or leave out task"
        )
    with naming_bundle(folder):
        return kind.open(folder, manifest, settings)


def _kinds() -> Iterator[type[Model[Any, Any]]]:
    """Yield the classes of models, ours before those that apps have registered."""
    for module, name in MODELS:
        yield getattr(import_module(f"ftool_runtime.models.{module}"), name)
    yield from _own


def _class_for(task: str) -> type[Model[Any, Any]]:
    """Return the first class that runs bundles of a task, which is the class that `load` promises to type checkers.

    Raises InputError for an unknown task.
    """
    found = next((kind for kind in _kinds() if is_one_of(task, kind.tasks)), None)
    if found is None:
        near = nearest(task, _tasks())
        hint = f"; did you mean {near!r}?" if near else ""
        raise InputError(f"task must be one of {', '.join(_tasks())}, got {task!r}{hint}")
    return found


def _tasks() -> list[str]:
    return list(dict.fromkeys(task for kind in _kinds() for task in kind.tasks))
