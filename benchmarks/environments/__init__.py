"""Environments of other projects' packages, set up once each: Python's from NAME.txt, Node's from node/package.json."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

FILES = Path(__file__).resolve().parent
PLACE = Path("models/environments")  # the default folder of environments
_FINISHED = ".installed"


def environment(name: str | None, place: Path) -> Path:
    """Return the Python of the environment `name`, which is set up in `place` if it is missing; None is this Python.

    Its packages are those of NAME.txt in this folder. Ends this program if they can't be installed.
    """
    if name is None:
        return Path(sys.executable)
    folder = place.absolute() / name
    python = folder / "bin" / "python"
    commands = (
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [str(python), "-m", "pip", "install", "--quiet", "--no-compile", "-r", str(FILES / f"{name}.txt")],
    )
    _set_up(folder, commands)
    return python


def node_environment(place: Path) -> Path:
    """Return the folder node_modules with the packages of node/package.json, which is set up in `place` if missing.

    Ends this program if npm is missing or the packages can't be installed.
    """
    folder = place.absolute() / "node"
    if not (folder / _FINISHED).exists():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(FILES / "node" / "package.json", folder / "package.json")
    npm = shutil.which("npm") or sys.exit("npm is missing: install Node.js 20 or later")
    _set_up(
        folder,
        (
            [
                npm,
                "install",
                "--prefix",
                str(folder),
                "--ignore-scripts",
                "--silent",
                "--no-fund",
                "--no-audit",
            ],
        ),
    )
    return folder / "node_modules"


def _set_up(folder: Path, commands: Sequence[Sequence[str]]) -> None:
    """Run `commands`, unless they have succeeded before; ends this program if one fails."""
    finished = folder / _FINISHED
    if finished.exists():
        return
    print(f"setting up {folder.name}", flush=True)
    for command in commands:
        if subprocess.run(command, check=False).returncode:
            sys.exit(
                f"the environment {folder.name} was not set up: the last command was {' '.join(command)}"
            )
    finished.touch()
