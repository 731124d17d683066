"""Measure the disk space of ftool and each of its extras, installed into a fresh environment, one extra at a time.

python -m benchmarks.extras

Modules are not compiled, as by `make install`. On Linux, PyPI's torch brings gigabytes of CUDA; the differences between
the rows are the same with PyTorch's CPU build.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from ftool.terminal import format_table

ROOT = Path(__file__).parent.parent
EXTRAS = (
    "minilm",
    "generate",
    "embed",
    "data-checks",
    "search",
    "documents",
    "excel",
    "approximate",
    "ray",
    "all",
)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = Path(folder) / "bin" / "python"
        empty = megabytes(python)
        install(python, "runtime[cpu]")
        runtime = megabytes(python)
        install(python, "runtime[cpu]", ".")
        base = megabytes(python)
        present = packages(python)
        rows = [["installed", "MB", "packages"]]
        rows.append(["ftool-runtime[cpu]", f"{runtime - empty:,.0f}", ""])
        rows.append(["ftool", f"{base - empty:,.0f}", str(len(present))])
        torch = folder_megabytes(python, "torch")
        rows.append(["  of which torch", f"{torch:,.0f}", ""])
        for extra in EXTRAS:
            install(python, "runtime[cpu]", f".[{extra}]")
            added = packages(python) - present
            rows.append(
                [f"ftool[{extra}], beyond ftool", f"{megabytes(python) - base:,.1f}", str(len(added))]
            )
            if added:
                subprocess.run([python, "-m", "pip", "uninstall", "--quiet", "--yes", *added], check=True)
    print(format_table(rows))


def install(python: Path, *editable: str) -> None:
    flags = [part for one in editable for part in ("--editable", one)]
    command = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-compile",
        "--constraint",
        "constraints.txt",
        *flags,
    ]
    subprocess.run(command, check=True, cwd=ROOT)


def packages(python: Path) -> set[str]:
    command = [python, "-m", "pip", "list", "--format", "json"]
    found = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    return {one["name"] for one in found}


def megabytes(python: Path) -> float:
    return sum(path.lstat().st_size for path in site_packages(python).rglob("*") if not path.is_dir()) / 1e6


def folder_megabytes(python: Path, name: str) -> float:
    folder = site_packages(python) / name
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir()) / 1e6


def site_packages(python: Path) -> Path:
    return next((python.parent.parent / "lib").glob("python*/site-packages"))


if __name__ == "__main__":
    main()
