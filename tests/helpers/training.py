"""Compare the weights that training runs saved, and interrupt a training on purpose."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from ftool.training.checkpoints import MarkComplete


def weights_in(folder: Path) -> dict[str, torch.Tensor]:
    """Return all tensors in the safetensors files below `folder`, by the file's path and the tensor's name."""
    return {
        f"{path.relative_to(folder)}:{name}": tensor
        for path in folder.rglob("*.safetensors")
        for name, tensor in load_file(path).items()
    }


def same_weights(first: Path, second: Path) -> bool:
    """Return whether the safetensors files below two folders have the same tensors, bit for bit."""
    left, right = weights_in(first), weights_in(second)
    assert left, f"{first} holds no weights"
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


@contextmanager
def interrupted_after(saves: int) -> Iterator[None]:
    """Raise KeyboardInterrupt in the training in the `with` block right after `saves` checkpoints were saved."""
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
