"""Run `ftool` commands inside the test's own process."""

import json
from typing import Any

from click.testing import CliRunner, Result

from ftool.cli import main


def ftool(*arguments: object, stdin: str | bytes | None = None) -> Result:
    """Return what the command printed, and its exit status."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments], input=stdin)


def succeeds(*arguments: object) -> Result:
    """Run a command that must exit with 0."""
    result = ftool(*arguments)
    assert result.exit_code == 0, result.output
    return result


def told(*arguments: object, status: int = 0) -> dict[str, Any]:
    """Return the JSON object that the command prints with --json."""
    result = ftool(*arguments, "--json")
    assert result.exit_code == status, result.output
    report: dict[str, Any] = json.loads(result.stdout)
    return report
