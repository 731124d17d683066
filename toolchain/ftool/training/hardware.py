"""What the machine gives to training: device, bfloat16 and threads."""

import os
from typing import Literal

import torch

from ftool.training.errors import TrainingError
from ftool_runtime.session.threads import resolve_threads


def has_bf16() -> bool:
    """Whether the device that training runs on has bfloat16 arithmetic of its own."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    found = torch.cpu.get_capabilities()
    return any(bool(found.get(name)) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def use_bf16(setting: Literal["auto"] | bool) -> bool:
    """The setting as a yes or no. Raises TrainingError where it is asked for and not there."""
    if setting is True and not has_bf16():
        raise TrainingError("train.bf16 is true, and this machine has no bfloat16 arithmetic; set it to auto")
    return has_bf16() if setting == "auto" else setting


def use_threads(count: int | None) -> None:
    """Have torch compute with `count` threads, or all usable ones for None.

    Under torchrun None leaves what torchrun gives each process. Raises InputError for a count out of reason.
    """
    if count is not None or int(os.environ.get("WORLD_SIZE", "1")) == 1:
        torch.set_num_threads(resolve_threads(count))


def device_name() -> str:
    """The device that training runs on, as torch names it."""
    return "cuda" if torch.cuda.is_available() else "cpu"
