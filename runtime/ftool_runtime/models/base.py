"""`Model`: base class of all loaded models, with calls, streams and inspection."""

import contextlib
import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

from ftool_runtime.bundle.info import Loaded, describe
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.errors import BundleError, InputError, naming_bundle
from ftool_runtime.limits import DEFAULT_LIMITS, Limits, limits_of
from ftool_runtime.session.deadline import time_limit
from ftool_runtime.session.encoder_engine import Outputs
from ftool_runtime.session.onnx_session import Device, Profile, SessionSettings
from ftool_runtime.session.threads import resolve_threads
from ftool_runtime.text.encode import Tokens

In = TypeVar("In")  # one input, such as a text or a mapping of several texts
Out = TypeVar("Out")  # the answer to one input


class Engine(Loaded, Protocol):
    """The interface of an engine, which holds a bundle's loaded graphs."""

    def close(self) -> None:
        """Release the graphs and their threads."""


class Model(ABC, Generic[In, Out]):
    """A loaded model. Several threads can call it at the same time.

    Load a model with `load`, and use it as a context manager or call `close`, which releases the graphs and their
    threads. A loaded model does not read the bundle's files again.

    A call with one input returns one answer; a call with many inputs returns a list of answers in the same order. An
    answer is independent of the other inputs of the call.
    """

    tasks: ClassVar[tuple[str, ...]]  # the tasks whose bundles this class runs, as Hugging Face names them
    call_options: ClassVar[tuple[str, ...]] = ()  # the options of a call for which `predict` has flags
    at_once: ClassVar[int | None] = (
        None  # the largest number of inputs in memory at once; None for all of a call
    )

    def __init__(self, folder: Path, engine: Engine) -> None:
        """Make a model from `engine`, which runs the bundle in `folder`."""
        self._folder = folder
        self.__engine = engine
        self._limits = engine.settings.limits

    @classmethod
    def load(
        cls,
        folder: Path | str,
        *,
        device: Device = "cpu",
        threads: int | None = None,
        profile: Profile = "desktop",
        limits: Limits | None = None,
    ) -> Self:
        """Load the bundle in `folder`, which must be for a task of this class.

        Arguments and errors are the same as for `ftool_runtime.load`; a bundle of another task raises BundleError.
        """
        settings = SessionSettings(
            device=device,
            threads=resolve_threads(threads),
            profile=profile,
            limits=limits_of(limits),
        )
        folder = Path(folder)
        manifest = Manifest.read(folder)
        settings.limits.check_bundle(folder, manifest.total_bytes)
        if not cls.runs(manifest):
            raise BundleError(
                f"{folder} is a bundle for {describe_task(manifest)}, which {cls.__name__} does not run; "
                "load it with ftool_runtime.load"
            )
        with naming_bundle(folder):
            return cls.open(folder, manifest, settings)

    @classmethod
    def runs(cls, manifest: Manifest) -> bool:
        """Return whether this class runs bundles with this manifest."""
        return manifest.task in cls.tasks

    @classmethod
    @abstractmethod
    def open(cls, folder: Path, manifest: Manifest, settings: SessionSettings) -> Self:
        """Load the bundle in `folder`, given its manifest. Raises the errors of `ftool_runtime.load`."""

    @property
    def input_fields(self) -> tuple[str, ...]:
        """The names of an input's texts. An input with several texts is a mapping from these names to texts."""
        return ("text",)

    @abstractmethod
    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """Return the answer to one input, or a list of answers to several inputs."""

    def stream(self, inputs: Iterable[In], *, batch_size: int = 64, **options: Any) -> Iterator[Out]:
        """Yield the answers to any number of inputs, in order, with at most `batch_size` inputs in memory.

        Inputs are read as answers are consumed. `options` are the options of a call. A wrong option raises InputError
        before any input is read. Reading answers raises the errors of a call; their `row` counts from the start of the
        stream.
        """
        return self.predict_iter(inputs, batch_size=batch_size, **options)

    def predict_iter(self, inputs: Iterable[In], *, batch_size: int = 64, **options: Any) -> Iterator[Out]:
        """Yield the answers to any number of inputs; an older name for `stream`."""
        return itertools.chain.from_iterable(self.predict_batches(_cut(inputs, batch_size), **options))

    def predict_batches(self, batches: Iterable[Sequence[In]], **options: Any) -> Iterator[list[Out]]:
        """Yield a list of answers for each list of inputs in `batches`; the lists can have any length.

        `options` and errors are the same as for `stream`.
        """
        settled = self._settle(**options)  # raises for a wrong option before the first batch is read
        lists = _iterator(batches, "batches", "lists of texts")
        return self._batches((list(_iterator(batch, "texts of a batch")) for batch in lists), settled)

    def encode(self, inputs: Iterable[In], **options: Any) -> list[list[Tokens]]:
        """Return, for each input, the rows of tokens that the graph gets, including special tokens.

        `options` and errors are those of a call.
        """
        settled = self._settle(**options)
        return [self._rows(one) for one in self._encode_all(self._listed(inputs), settled)]

    @abstractmethod
    def outputs(self, inputs: Iterable[In]) -> Outputs:
        """Return the graph's outputs for every row of `inputs`, in order. Raises the errors of a call."""

    def info(self) -> dict[str, Any]:
        """Return a summary of the model and of its device and threads, as JSON values."""
        return describe(self._folder, self.__engine)

    def close(self) -> None:
        """Release the graphs and their threads. Calls in progress finish; later calls raise ClosedError."""
        self.__engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @abstractmethod
    def _settle(self, *_: Any, **options: Any) -> Any:
        """Return a call's options, checked and completed, before any input is read. Raises InputError."""

    @abstractmethod
    def _encode(self, given: In, row: int, options: Any, /) -> Any:
        """Return one input, at position `row` of its call or stream, encoded as rows of tokens.

        Raises InputError for an input that can't be encoded.
        """

    def _encode_all(self, inputs: Sequence[In], options: Any, first_row: int = 0) -> list[Any]:
        return [self._encode(given, row, options) for row, given in enumerate(inputs, first_row)]

    def _rows(self, encoded: Any) -> list[Tokens]:
        """Return the rows of tokens in a result of `_encode`; by default the result is the only row."""
        return [encoded]

    @abstractmethod
    def _run(self, encoded: Sequence[Any], first_row: int, options: Any, /) -> Iterable[Any]:
        """Run the graphs on encoded inputs and return the outputs for each input.

        `first_row` is the position of the first input in the call or stream, for errors.
        """

    @abstractmethod
    def _decode(self, given: In, encoded: Any, outputs: Any, options: Any, /) -> Out:
        """Return the answer to one input, made from the graph's outputs."""

    def _decode_all(
        self, inputs: Sequence[In], encoded: Sequence[Any], outputs: Iterable[Any], options: Any
    ) -> list[Out]:
        """Return the answers to several inputs, in order, made from the graph's outputs."""
        return [
            self._decode(given, one, found, options)
            for given, one, found in zip(inputs, encoded, outputs, strict=True)
        ]

    def _one(self, given: In, options: Any) -> Out:
        return self._answer([given], options)[0]

    def _listed(self, inputs: Iterable[In]) -> list[In]:
        """Return the inputs of a call as a list. Raises the errors of `listed`, and InputError for too many inputs."""
        return listed(inputs, limits=self._limits)

    def _many(self, inputs: Iterable[In], options: Any) -> list[Out]:
        if self.at_once:
            batches: Iterable[list[In]] = _lists(
                bounded(_iterator(inputs, "texts"), self._limits), self.at_once
            )
        else:
            batches = [self._listed(inputs)]
        with time_limit(self._limits.call_seconds):
            return [answer for answers in self._batches(batches, options) for answer in answers]

    def _batches(self, batches: Iterable[Sequence[In]], options: Any) -> Iterator[list[Out]]:
        first_row = 0
        for batch in batches:
            yield self._answer(batch, options, first_row)
            first_row += len(batch)

    def _answer(self, inputs: Sequence[In], options: Any, first_row: int = 0) -> list[Out]:
        with time_limit(self._limits.call_seconds), naming_bundle(self._folder):
            encoded = self._encode_all(inputs, options, first_row)
            return self._decode_all(inputs, encoded, self._run(encoded, first_row, options), options)


def listed(
    inputs: Iterable[In], what: str = "texts", *, limits: Limits = DEFAULT_LIMITS, kinds: str = "strings"
) -> list[In]:
    """Return `inputs` as a list; `what` and `kinds` are the nouns for them and for what each must be, in errors.

    Raises InputError for a single text, bytes, a mapping, a table of columns (a DataFrame) or a non-iterable, and for
    more inputs than `limits` allow.
    """
    return list(bounded(_iterator(inputs, what, kinds), limits))


def bounded(inputs: Iterator[In], limits: Limits) -> Iterator[In]:
    """Yield `inputs`. Raises InputError when there are more than `limits` allow in a call."""
    for row, given in enumerate(inputs):
        limits.check_texts(row)
        yield given


def _cut(inputs: Iterable[In], batch_size: int) -> Iterator[list[In]]:
    """Return an iterator of lists of up to `batch_size` inputs, which are read as the lists are consumed.

    The call itself, before any input is read, raises InputError for a wrong `batch_size`, or if `inputs` is a single
    text, bytes, a mapping, a table of columns (a DataFrame) or not iterable.
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise InputError(f"batch_size must be a whole number of at least 1, got {batch_size!r}")
    return _lists(_iterator(inputs, "texts"), batch_size)


def _lists(inputs: Iterator[In], batch_size: int) -> Iterator[list[In]]:
    while batch := list(itertools.islice(inputs, batch_size)):
        yield batch


def _iterator(inputs: Iterable[In], what: str, kinds: str = "strings") -> Iterator[In]:
    """Return an iterator over several inputs. Raises InputError for anything else.

    `what` and `kinds` are the nouns for the inputs and for what each must be, in the error.
    """
    kind = type(inputs).__name__
    if (columns := _column_names(inputs)) is not None:
        named = f", such as [{columns[0]!r}]" if columns else ""
        raise InputError(
            f"{what} must be {kinds} in a list or another iterable, got a {kind}, a table; "
            f"give one of its columns{named}"
        )
    if not isinstance(inputs, str | bytes | Mapping):
        with contextlib.suppress(TypeError):
            return iter(inputs)
    raise InputError(f"{what} must be {kinds} in a list or another iterable, got {kind}")


def _column_names(inputs: object) -> list[str] | None:
    """Return the names of the columns of a DataFrame (pandas, polars, …) or an Arrow table; None for another object.

    Iterating over such a table gives the names or the columns, not the rows.
    """
    if not any(hasattr(type(inputs), name) for name in ("__dataframe__", "columns", "itercolumns")):
        return None
    columns: Any = getattr(inputs, "column_names", getattr(inputs, "columns", ()))
    return [str(column) for column in columns] if isinstance(columns, Iterable) else []


def describe_task(manifest: Manifest) -> str:
    """Return the task of a bundle as text for errors."""
    return f"{manifest.task} with numbers as answers" if manifest.regression else manifest.task
