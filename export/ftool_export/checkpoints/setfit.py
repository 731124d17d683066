"""SetFit models: read the head, a logistic regression of scikit-learn in a pickled file, without unpickling anything.

model_head.pkl is a pickle with numpy arrays in joblib's format. Unpickling such a file can run any code. Here a reader
goes through the pickle's instructions, but every class and function that the file names becomes an empty record, unless
it is on a short list; any other name refuses the file.
"""

import pickle
import re
import struct
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ftool_export.checkpoints.files import find_file, first_line, read_json
from ftool_export.errors import CheckpointError

HEAD_FILE: Final = "model_head.pkl"
_SETTINGS: Final = "config_setfit.json"
_REGRESSION: Final = "LogisticRegression"
_WRAPPER, _PICKLED, _TYPE = "NumpyArrayWrapper", "_reconstruct", "dtype"
_NAMED: Final = {  # what the file may name; each becomes a record
    ("sklearn.linear_model._logistic", _REGRESSION),
    ("sklearn.linear_model.logistic", _REGRESSION),
    ("joblib.numpy_pickle", _WRAPPER),
    ("sklearn.externals.joblib.numpy_pickle", _WRAPPER),
    ("numpy._core.multiarray", _PICKLED),
    ("numpy.core.multiarray", _PICKLED),
    ("numpy", "ndarray"),
    ("numpy", _TYPE),
    ("numpy._core.multiarray", "scalar"),
    ("numpy.core.multiarray", "scalar"),
}
_PLAIN_TYPE: Final = re.compile(
    r"[fiu][1248]|b1|U\d{1,6}"
)  # of an array: numbers or texts, no Python objects


_LARGEST: Final = 2**30  # bytes of an array
_DAMAGE: Final = (
    pickle.UnpicklingError,
    EOFError,
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    MemoryError,
    struct.error,
)


@dataclass(frozen=True, kw_only=True)
class SetFitHead:
    """The head of a SetFit model.

    Attributes:
        linear: the layer from sentence vectors to logits, whose softmax is the regression's probabilities.
        labels: the labels in the order of the logits.
        normalize: whether sentence vectors are scaled to length 1 first.
    """

    linear: nn.Linear
    labels: tuple[str, ...]
    normalize: bool


def read_setfit_head(source: str) -> SetFitHead | None:
    """Return the head of a SetFit model; None if the folder or hub id has no model_head.pkl.

    Raises CheckpointError if the head is not a logistic regression of one label per text, or the file is damaged.
    """
    path = find_file(source, HEAD_FILE)
    if path is None:
        return None
    fields = _read_regression(path)
    weights, biases, classes = (_array(path, fields, name) for name in ("coef_", "intercept_", "classes_"))
    if weights.ndim != 2 or biases.shape != weights.shape[:1] or len(classes) != max(2, len(weights)):
        raise CheckpointError(
            f"{path}: its weights {weights.shape}, biases {biases.shape} and {len(classes)} classes don't fit each "
            "other; fetch or write the checkpoint again"
        )
    one_against_rest = "ovr" in str(fields.get("multi_class")) or fields.get("solver") == "liblinear"
    if len(weights) > 1 and one_against_rest:
        raise CheckpointError(
            f"{path}: its probabilities are those of one label against the rest (multi_class ovr), which a bundle "
            "can't give; train the model with scikit-learn's default, multinomial"
        )
    if len(weights) == 1:  # of two classes, only the second's: the first's logit is 0
        weights, biases = (np.concatenate([np.zeros_like(one), one]) for one in (weights, biases))
    linear = nn.Linear(weights.shape[1], len(weights))
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(weights.astype(np.float32)))
        linear.bias.copy_(torch.from_numpy(biases.astype(np.float32)))
    settings = read_json(source, _SETTINGS) or {}
    if not isinstance(settings, dict):
        raise CheckpointError(f'{source}/{_SETTINGS}: write an object such as {{"labels": ["no", "yes"]}}')
    return SetFitHead(
        linear=linear,
        labels=_labels(f"{source}/{_SETTINGS}", classes, settings.get("labels")),
        normalize=bool(settings.get("normalize_embeddings")),
    )


def _labels(path: str, classes: NDArray[Any], names: Any) -> tuple[str, ...]:
    """Return the labels of the classes; classes that are numbers may have names in the settings."""
    if not names or classes.dtype.kind not in "iub":
        return tuple(str(one) for one in classes.tolist())
    numbers = [int(one) for one in classes.tolist()]
    if not isinstance(names, list) or not all(0 <= number < len(names) for number in numbers):
        raise CheckpointError(
            f"{path}: labels are {str(names)[:80]}, but the head has the classes {str(numbers)[:80]}; name one label "
            "for each"
        )
    return tuple(str(names[number]) for number in numbers)


def _array(path: Path, fields: dict[str, Any], name: str) -> NDArray[Any]:
    found = fields.get(name)
    if not isinstance(found, np.ndarray):
        raise CheckpointError(f"{path}: its {_REGRESSION} has no array {name}, so it is not trained")
    return found


def _read_regression(path: Path) -> dict[str, Any]:
    """Return the attributes of the regression in the file. Raises CheckpointError if the file holds anything else."""
    try:
        with path.open("rb") as file:
            found = _Reader(file).load()
    except _RefusedError as error:
        raise CheckpointError(
            f"{path}: holds {error}; only a {_REGRESSION} of one label per text is read from a pickled file, because "
            "unpickling can run code; train a new head on its encoder: ftool train FOLDER --task text-classification "
            f"--base {path.parent} …, or take the encoder alone as an embedder: --task feature-extraction"
        ) from None
    except _DAMAGE as error:
        says = isinstance(error, ValueError) and str(error).strip()
        detail = first_line(error) if says else "damaged, compressed or no pickle"
        raise CheckpointError(f"{path}: could not be read ({detail}); save the model again") from error
    if not isinstance(found, _Record) or found.name != _REGRESSION:
        raise CheckpointError(f"{path}: holds no {_REGRESSION}; save the model again")
    return found.__dict__


class _RefusedError(Exception):
    """The file names a class or function that is not read."""


class _Record:
    """What stands for an object in the file: its class's name, the arguments and the attributes that the file gives."""

    name = ""

    def __new__(cls, *arguments: Any) -> "_Record":
        made = super().__new__(cls)
        made.__dict__["arguments"] = arguments
        return made

    def __init__(self, *arguments: Any) -> None:
        pass


class _Stateful(_Record):
    """What stands for an object whose state is a tuple: numpy's types, and arrays that joblib left to pickle."""

    def __setstate__(self, state: Any) -> None:
        self.__dict__["state"] = state

    def as_type(self) -> np.dtype[Any]:
        """Return the type of numbers or texts that this record of numpy.dtype stands for."""
        code, state = str(self.__dict__["arguments"][0]), self.__dict__.get("state", (3, "|"))
        if not _PLAIN_TYPE.fullmatch(code):
            raise _RefusedError(f"an array of the type {code[:40]!r}")
        return np.dtype(code).newbyteorder(state[1])

    def as_array(self) -> NDArray[Any]:
        """Return the array that this record of a pickled array stands for, of numbers or texts."""
        _, shape, kind, by_columns, content = self.__dict__["state"]
        if isinstance(content, list):
            if not all(isinstance(one, str | int | float) for one in content):
                raise _RefusedError("an array of Python objects")
            return np.array(content).reshape(shape)
        return _shaped(content, kind.as_type(), shape, by_columns=bool(by_columns))


_Unpickler: Any = pickle._Unpickler  # the one in Python, whose steps can be replaced; joblib uses it, too


class _Reader(_Unpickler):  # type: ignore[misc]
    """Goes through a pickle's instructions, makes records, and reads the arrays that joblib puts between them."""

    dispatch = _Unpickler.dispatch.copy()

    def __init__(self, file: BufferedReader) -> None:
        super().__init__(file)
        self._bytes = file

    def find_class(self, module: str, name: str) -> Any:
        """Return a new kind of record, so that the file can't change what others use."""
        if (module, name) not in _NAMED:
            raise _RefusedError(f"{module}.{name}")
        return type(name, (_Stateful if name in (_TYPE, _PICKLED) else _Record,), {"name": name})

    def persistent_load(self, pid: Any) -> Any:
        raise _RefusedError(f"a reference to {str(pid)[:40]!r}")

    def _build(self) -> None:
        super().load_build()
        found = self.stack[-1]
        if isinstance(found, _Record) and found.name == _WRAPPER:
            self.stack[-1] = self._read_array(found.__dict__)
        elif isinstance(found, _Stateful) and found.name == _PICKLED:
            self.stack[-1] = found.as_array()

    dispatch[pickle.BUILD[0]] = _build

    def _read_array(self, fields: dict[str, Any]) -> NDArray[Any]:
        if fields["dtype"].arguments[0] == "O8":  # texts as Python objects: joblib pickled the array here
            found = _Reader(self._bytes).load()
            if not isinstance(found, np.ndarray):
                raise _RefusedError("an array of Python objects")
            return found
        kind, shape = fields["dtype"].as_type(), tuple(int(size) for size in fields["shape"])
        if fields.get("numpy_array_alignment_bytes") is not None:
            self._bytes.read(self._bytes.read(1)[0])  # padding
        count = int(np.prod(shape, dtype=np.int64))
        content = self._bytes.read(min(count * kind.itemsize, _LARGEST))
        return _shaped(content, kind, shape, by_columns=fields.get("order") == "F")


def _shaped(content: bytes, kind: np.dtype[Any], shape: tuple[int, ...], *, by_columns: bool) -> NDArray[Any]:
    flat = np.frombuffer(content, dtype=kind, count=int(np.prod(shape, dtype=np.int64)))
    return flat.reshape(shape[::-1]).T if by_columns else flat.reshape(shape)
