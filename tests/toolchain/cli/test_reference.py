"""docs/cli.md equals the output of --help."""

from pathlib import Path

from click.testing import CliRunner
from tests.helpers.paths import REPOSITORY

from ftool.cli.group import COMMANDS
from ftool.cli.reference import reference, write_reference

PAGE = REPOSITORY / "docs" / "cli.md"


def test_the_documented_help_is_what_the_commands_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), f"run: python -m ftool.cli.reference {PAGE}"


def test_the_reference_holds_every_command_in_the_order_of_use() -> None:
    text = reference()
    places = [text.index(f"\n## ftool {name}\n") for name in COMMANDS]
    assert places == sorted(places)


def test_check_tells_an_outdated_page_from_an_up_to_date_one(tmp_path: Path) -> None:
    page = tmp_path / "cli.md"
    assert CliRunner().invoke(write_reference, ["--check", str(page)]).exit_code == 1
    assert not page.exists()
    assert CliRunner().invoke(write_reference, [str(page)]).exit_code == 0
    assert CliRunner().invoke(write_reference, ["--check", str(page)]).exit_code == 0
    page.write_text(page.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    outdated = CliRunner().invoke(write_reference, ["--check", str(page)])
    assert outdated.exit_code == 1
    assert "run python -m ftool.cli.reference" in outdated.stderr
