"""Weights that runs left behind, and a training that is interrupted on purpose."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from ftool.training.checkpoints import MarkComplete


def weights_in(folder: Path) -> dict[str, torch.Tensor]:
    """Return every tensor of every safetensors file below `folder`, by file and name."""
    return {
        f"{path.relative_to(folder)}:{name}": tensor
        for path in folder.rglob("*.safetensors")
        for name, tensor in load_file(path).items()
    }


def same_weights(first: Path, second: Path) -> bool:
    """Tell whether two folders hold the same tensors, bit for bit."""
    left, right = weights_in(first), weights_in(second)
    assert left, f"{first} holds no weights"
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


@contextmanager
def interrupted_after(saves: int) -> Iterator[None]:
    """Press Ctrl-C right after that many checkpoints; the training inside must end by it."""
    made = 0

    class Interrupt(MarkComplete):
        def on_save(self, *arguments: Any, **options: Any) -> None:
            nonlocal made
            super().on_save(*arguments, **options)
            made += 1
            if made == saves:
                raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ftool.training.loop.MarkComplete", Interrupt)
        with pytest.raises(KeyboardInterrupt):
            yield
