"""Settings and fixtures of all tests: no model hub, no telemetry, a separate cache; which files share a worker."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.helpers.paths import SHARED_DATA
from tests.helpers.shared import BuiltOnce, built_once

# CI judges a change, so it tries the same examples every time; elsewhere new ones are looked for.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("search", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "search")

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

# Files of a line run in one worker, one after another: they capture the same networks, which takes seconds for each.
TOGETHER = (
    (
        "tests/export/architectures/test_generators.py",
        "tests/export/test_generator_pipeline.py",
        "tests/export/graph/test_generator_guards.py",
    ),
    ("tests/integration/test_whole_way.py",),
    ("tests/toolchain/training/test_generation_training.py",),
    ("tests/toolchain/training/test_training.py",),
    ("tests/integration/test_generation_way.py",),
    ("tests/toolchain/training/test_embedder_training.py",),
    (
        "tests/export/architectures/test_encoders.py",
        "tests/export/graph/test_guards.py",
        "tests/export/graph/test_sensitivity.py",
        "tests/export/test_pipeline.py",
    ),
    ("tests/export/architectures/test_encoder_grid.py",),
    ("tests/toolchain/tasks/test_embedder_bundles.py",),
    ("tests/integration/test_languages.py",),
)
TESTS = Path(__file__).parent
EXPORTING = {"export", "integration", "toolchain"}  # the rooms whose tests export
PLACES = {file: (line, place) for line, files in enumerate(TOGETHER) for place, file in enumerate(files)}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files of TOGETHER, which take longest, so that no worker is left with one at the end."""
    last = (len(TOGETHER), 0)
    items.sort(key=lambda item: PLACES.get(item.nodeid.partition("::")[0], last))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep a file's tests in one worker, and those of files that stand together."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    def scope(nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return TOGETHER[PLACES[file][0]][0] if file in PLACES else file

    scheduler = LoadFileScheduling(config, log)
    scheduler._split_scope = scope
    return scheduler


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public data sets that stands beside the checkout; tests that need it skip without it."""
    folder = SHARED_DATA
    if not folder.is_dir():
        pytest.skip(f"needs the data sets in {folder}")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Feature caches written by a test never reach the user's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FTOOL_CACHE", str(tmp_path_factory.mktemp("ftool-cache")))
        yield


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> BuiltOnce:
    """Build folders that all workers share; a test that changes one copies it first."""
    return built_once(tmp_path_factory)


@pytest.fixture(scope="session", autouse=True)
def _captures(request: pytest.FixtureRequest) -> Iterator[None]:
    """Exports of one and the same network share its capture."""
    if not EXPORTING.intersection(item.path.relative_to(TESTS).parts[0] for item in request.session.items):
        yield
        return
    from tests.helpers.captures import remembered_captures  # imports torch

    with remembered_captures(request.getfixturevalue("made_once")):
        yield


@pytest.fixture(scope="session")
def save_tiny_bert() -> Callable[..., None]:
    """Saves a random BERT of one of transformers' classes into a folder, with a tokenizer of the word pieces given."""
    from tests.helpers.tiny_bert import save_tiny_bert as save  # imports torch when it is called

    return save
