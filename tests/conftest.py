"""What every test shares: no model hub, no telemetry, a cache of its own, and where the real data lies."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# CI judges a change, so it tries the same examples every time; elsewhere new ones are looked for.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("search", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "search")

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public data sets that stands beside the checkout; tests that need it skip without it."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the data sets in {folder}")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Feature caches written by a test never reach the user's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FTOOL_CACHE", str(tmp_path_factory.mktemp("ftool-cache")))
        yield
