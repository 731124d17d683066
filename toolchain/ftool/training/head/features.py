"""Cache the frozen encoder's features of texts on disk.

An entry is a float32 .npy file, read memory-mapped, whose name is a hash of everything that determines its content:
texts, weights, tokenizer, length, pooling and prefix. If any of these changes, a new entry is made, so no entry is
stale.
"""

import errno
import hashlib
import logging
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ftool.errors import TrainingError
from ftool.workspace import cache_folder
from ftool_export.checkpoints.classifier import LoadedClassifier, compute_features
from ftool_export.tokenizers.source import tokenizer_text
from ftool_runtime.atomic import replacing_path

log = logging.getLogger(__name__)

_FORMAT = "1"  # version of the key and the file; change it to ignore older entries


def cached_features(loaded: LoadedClassifier, texts: Sequence[Any]) -> np.ndarray:
    """Return the head's input for each text or pair, float32 (texts, hidden), memory-mapped and read-only.

    Raises TrainingError if the cache can't be written, for example because the disk is full.
    """
    path = cache_folder() / f"{features_key(loaded, texts)}.npy"
    shape = (len(texts), loaded.model.head.in_features)
    found = _read(path, shape)
    if found is not None:
        log.info("features of %d texts: read from %s", len(texts), path)
        return found
    began = time.monotonic()
    log.info("computing features of %d texts", len(texts))
    try:
        _write(path, loaded, texts, shape)
    except OSError as error:
        raise TrainingError(
            f"{path.parent}: features can't be written there ({error.strerror}); "
            "free some space, or set FTOOL_CACHE to another folder"
        ) from error
    log.info("features of %d texts: %.1f s", len(texts), time.monotonic() - began)
    written = _read(path, shape)
    if written is None:
        raise TrainingError(f"{path}: features were written but can't be read; check the disk")
    return written


def features_key(loaded: LoadedClassifier, texts: Sequence[Any]) -> str:
    """Return a hash of everything that the features depend on, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    model = loaded.model
    settings: tuple[Any, ...] = (
        _FORMAT,
        model.pooling,
        model.normalize,
        loaded.max_length,
        loaded.prefix,
        len(texts),
    )
    if texts and not isinstance(texts[0], str):
        settings = (*settings, "pairs")
    digest.update(repr(settings).encode())
    digest.update(tokenizer_text(loaded.tokenizer).encode())
    for name, tensor in sorted(model.encoder.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(np.ascontiguousarray(tensor.detach().cpu().numpy()).data)
    for given in texts:
        for text in [given] if isinstance(given, str) else given.values():
            data = text.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


def _read(path: Path, shape: tuple[int, int]) -> np.ndarray | None:
    try:
        features: np.ndarray = np.load(path, mmap_mode="r")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        log.warning("%s: not readable (%s); computing it again", path, error)
        return None
    if features.shape != shape or features.dtype != np.float32:
        log.warning("%s: has shape %s, not %s; computing it again", path, features.shape, shape)
        return None
    return features


def _write(path: Path, loaded: LoadedClassifier, texts: Sequence[Any], shape: tuple[int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing_path(path) as partial:
        rows = np.lib.format.open_memmap(partial, mode="w+", dtype=np.float32, shape=shape)
        _reserve(partial)
        compute_features(loaded, texts, out=rows)
        rows.flush()
        del rows  # Windows can't rename a mapped file


def _reserve(path: Path) -> None:
    """Reserve a sparse file's space, because writing through a memory map to a full disk would kill the process."""
    size = path.stat().st_size
    if not hasattr(os, "posix_fallocate"):
        if shutil.disk_usage(path.parent).free < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return
    with path.open("rb+") as file:
        os.posix_fallocate(file.fileno(), 0, size)
