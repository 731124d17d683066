"""Make terminal.svg: the output of real commands as a picture of a terminal.

    python docs/images/terminal.py docs/images/terminal.svg "ftool export models/reminders" \\
        "ftool parity models/reminders" "ftool predict models/reminders 'wake me tomorrow at half past six'"

Runs the commands here, one after another, and draws what they print. The picture of README is of the last three steps
of docs/site/pages/tutorials/entities.md. Raises CalledProcessError if a command fails.
"""

import subprocess
import sys
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DEFAULT_TERMINAL_THEME
from rich.text import Text

_SVG = """<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
font-size: {char_height}px; line-height: {line_height}px }} {styles}</style>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect width="{terminal_width}" height="{terminal_height}"/></clipPath>{lines}</defs>
{chrome}<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">{backgrounds}
<g class="{unique_id}-matrix">{matrix}</g></g></svg>
"""


def main() -> None:
    """Run the commands and write the picture."""
    file, *commands = sys.argv[1:]
    console = Console(record=True, width=100, file=StringIO(), force_terminal=True)
    for command in commands:
        done = subprocess.run(
            command, shell=True, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        console.print(Text(f"$ {command}", style="bold blue"))
        console.print(Text(done.stdout.rstrip() + "\n"))
    text = console.export_svg(title="ftool", theme=DEFAULT_TERMINAL_THEME, code_format=_SVG)
    Path(file).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
