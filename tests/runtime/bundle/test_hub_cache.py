"""A bundle that huggingface_hub has downloaded is a folder of links to the cache's blobs, and runs from there."""

import os
import sys
from pathlib import Path

import pytest

import ftool_runtime as ft
from ftool_runtime.errors import BundleError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="huggingface_hub makes no links on Windows")


@pytest.fixture
def downloaded(bundle: Path, tmp_path: Path) -> Path:
    """The bundle as `snapshot_download` leaves it."""
    cache = tmp_path / "models--me--bundle"
    snapshot = cache / "snapshots" / "0123abcd"
    (cache / "blobs").mkdir(parents=True)
    for number, file in enumerate(sorted(path for path in bundle.rglob("*") if path.is_file())):
        blob = file.rename(cache / "blobs" / f"blob{number}")
        link = snapshot / file.relative_to(bundle)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))
    return snapshot


def test_a_downloaded_bundle_runs_and_is_verified(downloaded: Path) -> None:
    with ft.load(downloaded) as model:
        assert model("turn the lights off").label
    assert ft.verify(downloaded).passed


def test_a_link_to_anywhere_else_is_refused(downloaded: Path, tmp_path: Path) -> None:
    link = downloaded / "tokenizer.json"
    target = link.resolve()
    for place in (tmp_path / "tokenizer.json", downloaded.parent / "tokenizer.json"):
        target = target.rename(place)
        link.unlink()
        link.symlink_to(target)
        with pytest.raises(BundleError, match="leads out of the bundle"):
            ft.load(downloaded)
