"""A disk that fills up while a checkpoint is written: one class of error, whichever library met it."""

import errno
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from ftool_export.bundle.disk import disk_errors
from ftool_export.checkpoints.classifier import load_classifier

LIMIT = 2_000  # bytes a file may have


@contextmanager
def small_files() -> Iterator[None]:
    """Writing past the limit fails with EFBIG, as past the end of a disk it does with ENOSPC."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def test_a_checkpoint_that_does_not_fit_is_an_os_error_that_names_the_folder(
    bert: Path, tmp_path: Path
) -> None:
    loaded = load_classifier(bert)
    with pytest.raises(OSError, match="File too large") as caught, small_files(), disk_errors(tmp_path):
        loaded.save(tmp_path)
    assert caught.value.errno == errno.EFBIG


def test_a_tokenizer_that_does_not_fit_is_one_too(bert: Path, tmp_path: Path) -> None:
    backend = load_classifier(bert).tokenizer.backend_tokenizer
    backend.add_tokens([f"word{number}" for number in range(500)])
    with pytest.raises(OSError, match="File too large"), small_files(), disk_errors(tmp_path):
        backend.save(str(tmp_path / "tokenizer.json"))


def test_a_trainers_state_that_does_not_fit_is_one_too(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=str(tmp_path)), small_files(), disk_errors(tmp_path):
        torch.save(torch.zeros(10_000), tmp_path / "optimizer.pt")


def test_other_errors_pass_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="something else"), disk_errors(tmp_path):
        raise ValueError("something else")
