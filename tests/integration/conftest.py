"""One run of `ftool demo` that every test of the whole way looks at."""

from pathlib import Path
from typing import Any

import pytest
from tests.helpers.cli import succeeds, told


@pytest.fixture(scope="session")
def intents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder of builtin:intents with a recipe that trains the head alone, which takes seconds."""
    folder = tmp_path_factory.mktemp("models") / "intents"
    succeeds("new", folder, "--from", "intents", "--set", "train.method=head")
    return folder


@pytest.fixture(scope="session")
def demo(intents: Path) -> dict[str, Any]:
    """What `ftool demo --json` printed."""
    return told("demo", intents)


@pytest.fixture(scope="session")
def intents_bundle(intents: Path, demo: dict[str, Any]) -> Path:
    """The int8 bundle that the demo left."""
    return intents / "bundle"
