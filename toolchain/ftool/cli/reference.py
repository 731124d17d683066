"""Write docs/cli.md, the reference of the command line, from the output of `--help`.

python -m ftool.cli.reference docs/cli.md            write it
python -m ftool.cli.reference --check docs/cli.md    exit 1 if it is not up to date
"""

import sys
from pathlib import Path

import click

from ftool.cli.group import COMMANDS, load_command, main
from ftool_runtime.atomic import replacing

_WIDTH = 100

_INTRODUCTION = """\
# ftool on the command line

<!-- Written by `python -m ftool.cli.reference docs/cli.md`; change the commands instead. -->

Every command takes a model folder (see [models](../models/README.md)), the current one by default, and prints text
for people; with `--json` it prints only one JSON object on standard output. Progress and logs go to standard error.

| exit status | meaning |
|---|---|
| 0 | done |
| 1 | a check failed: parity, accuracy, verification, a costly adaptation, an incomplete installation |
| 2 | a wrong call or bad input: one line, `Error: …`, on standard error; `--debug` adds the traceback |
| 130 | Ctrl-C; nothing is left half-written |
| 141 | the reader of the output closed it, as `head` does |

Shells complete commands, options and values (`--task`, `--base`, `--precision`, `--data`, `--set`, folders), once
they know ftool:

    eval "$(_FTOOL_COMPLETE=bash_source ftool)"        # in ~/.bashrc; zsh_source in ~/.zshrc
    _FTOOL_COMPLETE=fish_source ftool | source         # in ~/.config/fish/config.fish
"""


def reference() -> str:
    """Return the reference page: the output of `--help` for ftool and for each command, in the usual order of use."""
    sections = [_INTRODUCTION, _section(main, "ftool")]
    sections += [_section(load_command(name), f"ftool {name}") for name in COMMANDS]
    return "\n".join(sections)


def _section(command: click.Command, name: str) -> str:
    settings = command.context_settings or main.context_settings
    context = click.Context(
        command, info_name=name, terminal_width=_WIDTH, max_content_width=_WIDTH, **settings
    )
    return f"## {name}\n\n```\n{command.get_help(context)}\n```\n"


@click.command()
@click.option("--check", is_flag=True, help="Change nothing; exit 1 if the page is not up to date.")
@click.argument("page", type=click.Path(dir_okay=False, path_type=Path))
def write_reference(page: Path, *, check: bool) -> None:
    """Write the reference of the command line to the file PAGE."""
    text = reference()
    if check:
        if not page.is_file() or page.read_text(encoding="utf-8") != text:
            click.echo(f"{page} is out of date: run python -m ftool.cli.reference {page}", err=True)
            sys.exit(1)
        return
    with replacing(page) as file:
        file.write(text)


if __name__ == "__main__":
    write_reference()
