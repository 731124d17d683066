"""One run of `ftool demo` that every test of the whole way looks at."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ftool.cli import main


def ftool(*arguments: str | Path) -> Result:
    """What a command prints and its exit status."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="session")
def intents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder of builtin:intents with a recipe that trains the head alone, which takes seconds."""
    folder = tmp_path_factory.mktemp("models") / "intents"
    made = ftool("new", folder, "--from", "intents", "--set", "train.method=head")
    assert made.exit_code == 0, made.output
    return folder


@pytest.fixture(scope="session")
def demo(intents: Path) -> dict[str, Any]:
    """What `ftool demo --json` printed."""
    result = ftool("demo", intents, "--json")
    assert result.exit_code == 0, result.output
    report: dict[str, Any] = json.loads(result.stdout)
    return report


@pytest.fixture(scope="session")
def intents_bundle(intents: Path, demo: dict[str, Any]) -> Path:
    """The int8 bundle that the demo left."""
    return intents / "bundle"
