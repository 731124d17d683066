"""Every `ftool` command line in README, docs and examples: the command exists, and takes these options and choices."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import pytest
from tests.helpers.paths import REPOSITORY

from ftool.cli.group import COMMANDS, load_command

PAGES = sorted(
    [
        REPOSITORY / "README.md",
        *(page for page in (REPOSITORY / "docs").rglob("*.md") if page.parent.name != "adr"),
        *(REPOSITORY / "examples").glob("*/README.md"),
    ]
)
PLACEHOLDER = re.compile(r"…|\.\.\.")  # stands for further arguments


class Line(NamedTuple):
    page: Path
    number: int
    arguments: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page.relative_to(REPOSITORY)}:{self.number}"


def lines(page: Path) -> Iterator[Line]:
    """The command lines in the code blocks of a page; a line that ends in a backslash goes on in the next one."""
    text, fenced = page.read_text(encoding="utf-8").splitlines(), False
    for number, line in enumerate(text, start=1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        code = line.strip().removeprefix("$ ")
        if not (fenced or line.startswith("    ")) or not re.match(r"ftool [a-z]", code):
            continue
        following = number
        while code.endswith("\\"):
            code = code.removesuffix("\\") + text[following].strip()
            following += 1
        words = shlex.split(code.partition("  # ")[0].partition(" | ")[0].partition(" > ")[0], comments=True)
        yield Line(page, number, tuple(words[1:]))


LINES = [line for page in PAGES for line in lines(page)]


def test_the_pages_have_many_commands() -> None:
    assert len(LINES) > 100
    assert {line.arguments[0] for line in LINES} >= COMMANDS.keys()


@pytest.mark.parametrize("line", LINES, ids=str)
def test_a_documented_command_line_is_one_that_ftool_takes(line: Line) -> None:
    name, *arguments = line.arguments
    command = load_command(name)
    # click keeps the help option of a command's first context, so it is the one that users get.
    context = click.Context(command, info_name=name, help_option_names=["-h", "--help"])
    given, _, order = command.make_parser(context).parse_args(
        [word for word in arguments if not PLACEHOLDER.fullmatch(word)]
    )
    for parameter in set(order):
        value = given.get(parameter.name or "")
        if (
            isinstance(parameter.type, click.Choice)
            and isinstance(value, str)
            and not PLACEHOLDER.search(value)
        ):
            parameter.type.convert(value, parameter, context)
