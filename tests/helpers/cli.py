"""Run `ftool` commands inside the test's own process."""

import json
from typing import Any

from click.testing import CliRunner, Result

from ftool.cli import main


def ftool(*arguments: object, stdin: str | bytes | None = None) -> Result:
    """Run `ftool` with the arguments, and return its output and exit status."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments], input=stdin)


def succeeds(*arguments: object) -> Result:
    """Run `ftool` with the arguments, and check that the exit status is 0."""
    result = ftool(*arguments)
    assert result.exit_code == 0, result.output
    return result


def told(*arguments: object, status: int = 0) -> dict[str, Any]:
    """Run `ftool` with the arguments and --json, check the exit status, and return the JSON object that it prints."""
    result = ftool(*arguments, "--json")
    assert result.exit_code == status, result.output
    report: dict[str, Any] = json.loads(result.stdout)
    return report
