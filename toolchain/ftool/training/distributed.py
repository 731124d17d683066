"""Several processes under torchrun: who writes, and who waits."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from accelerate import PartialState

from ftool.training.hardware import device_name


def process_count() -> int:
    """How many processes train together; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main_process() -> bool:
    """Whether this process writes run/ and prints."""
    return int(os.environ.get("RANK", "0")) == 0


@contextmanager
def main_process_first() -> Iterator[None]:
    """The main process runs the block before the others do, which then find its work done."""
    if process_count() == 1:
        yield
        return
    on_cpu = device_name() == "cpu"
    state = PartialState(cpu=on_cpu, backend="gloo") if on_cpu else PartialState()
    with state.main_process_first():
        yield
