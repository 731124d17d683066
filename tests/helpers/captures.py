"""Capture each network only once per test run, because PyTorch's exporter takes seconds for a network."""

import copyreg
import hashlib
import io
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx_ir as ir
import pytest
import torch
from transformers import PretrainedConfig

from ftool_export.capture.encoder import capture_encoder
from ftool_export.capture.generator import capture_generator
from ftool_export.capture.torch_export import Captured
from ftool_export.graph import graphs
from tests.helpers.shared import BuiltOnce

Capture = Callable[..., Captured]

# What models and configurations keep that no graph holds: names, and what a first forward notes about the network.
_APART = ("name_or_path", "_name_or_path", "id2label", "label2id", "reads_padding")

_CAPTURES = {"capture_encoder": capture_encoder, "capture_generator": capture_generator}


@contextmanager
def remembered_captures(built_once: BuiltOnce) -> Iterator[None]:
    """Make exports in the `with` block capture each network only once; later exports load its graphs from files.

    Two networks count as the same if their class, weights and settings are equal. The steps after the capture (probes,
    guards, passes) always run. Tests of the capture itself use `fresh_captures`.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name, capture in _CAPTURES.items():
            patch.setattr(graphs, name, _remembered(capture, built_once))
        yield


@contextmanager
def fresh_captures() -> Iterator[None]:
    """Make exports in the `with` block capture every network anew, as they do for users."""
    with pytest.MonkeyPatch.context() as patch:
        for name, capture in _CAPTURES.items():
            patch.setattr(graphs, name, capture)
        yield


def _remembered(capture: Capture, built_once: BuiltOnce) -> Capture:
    def captured(*arguments: Any) -> Captured:
        try:
            key = _key(*arguments)
        except (
            AttributeError,
            TypeError,
            pickle.PicklingError,
        ):  # it holds functions defined inside functions
            return capture(*arguments)
        fresh: list[Captured] = []

        def build(folder: Path) -> None:
            fresh.append(capture(*arguments))
            for name, model in fresh[0].models.items():
                ir.save(model, folder / f"{name}.onnx")
            (folder / "captured").write_bytes(pickle.dumps(replace(fresh[0], models={})))

        folder = built_once(f"captures/{key}", build)
        if fresh:
            return fresh[0]
        found: Captured = pickle.loads((folder / "captured").read_bytes())
        return replace(found, models={path.stem: ir.load(path) for path in sorted(folder.glob("*.onnx"))})

    return captured


def _key(*arguments: Any) -> str:
    """Return a digest of all values in the arguments, including the weights of networks."""
    content = io.BytesIO()
    _Digester(content).dump(arguments)
    return hashlib.sha256(content.getvalue()).hexdigest()[:32]


class _Digester(pickle.Pickler):
    """Pickles the arguments of a capture for a digest; attributes that are named in _APART are left out.

    A tensor is written as a digest of its numbers and the index of its first occurrence, so that networks with tied
    weights and networks with equal but separate weights have different digests.
    """

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self._places: dict[int, int] = {}

    def persistent_id(self, found: Any) -> Any:
        if not isinstance(found, torch.Tensor):
            return None
        place = self._places.setdefault(id(found), len(self._places))
        numbers = found.detach().contiguous().view(torch.uint8) if found.dim() else found.detach().reshape(1)
        return (
            place,
            str(found.dtype),
            tuple(found.shape),
            hashlib.sha256(numbers.numpy().tobytes()).hexdigest(),
        )

    def reducer_override(self, found: Any) -> Any:
        if not isinstance(found, torch.nn.Module | PretrainedConfig):
            return NotImplemented
        state = {name: value for name, value in vars(found).items() if name not in _APART}
        if all(
            hook.__module__.startswith("transformers.") for hook in state.get("_forward_hooks", {}).values()
        ):
            state = {
                name: value for name, value in state.items() if "_hooks" not in name
            }  # they collect outputs
        return copyreg.__newobj__, (type(found),), state  # type: ignore[attr-defined]
