"""The hardware that training runs on: device, bfloat16, threads, and processes under torchrun."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from accelerate import PartialState

from ftool.errors import TrainingError
from ftool_runtime.session.threads import resolve_threads


def has_bf16() -> bool:
    """Return whether the training device supports bfloat16 arithmetic without emulation."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    found = torch.cpu.get_capabilities()
    return any(bool(found.get(name)) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def use_bf16(setting: Literal["auto"] | bool) -> bool:
    """Return whether to train in bfloat16: `setting`, or for "auto" whether the device supports bfloat16.

    Raises TrainingError if `setting` is true and the device does not support bfloat16.
    """
    if setting is True and not has_bf16():
        raise TrainingError("train.bf16 is true, and this machine has no bfloat16 arithmetic; set it to auto")
    return has_bf16() if setting == "auto" else setting


def use_threads(count: int | None) -> None:
    """Set the number of torch's threads to `count`; None means all usable cores.

    Under torchrun, None keeps the number that torchrun set. Raises InputError unless `count` is a whole number from 1
    to four times the number of logical CPUs.
    """
    if count is not None or int(os.environ.get("WORLD_SIZE", "1")) == 1:
        torch.set_num_threads(resolve_threads(count))


def device_name() -> str:
    """Return torch's name of the device that training runs on."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def process_count() -> int:
    """Return the number of processes that train together; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main_process() -> bool:
    """Return whether this process is the one that writes run/ and prints; always true without torchrun."""
    return int(os.environ.get("RANK", "0")) == 0


@contextmanager
def main_process_first() -> Iterator[None]:
    """Run the block in the main process first, so that the other processes then find the results on disk."""
    if process_count() == 1:
        yield
        return
    on_cpu = device_name() == "cpu"
    state = PartialState(cpu=on_cpu, backend="gloo") if on_cpu else PartialState()
    with state.main_process_first():
        yield
