"""The desktop example frozen by PyInstaller: one folder without torch, whose app answers as the bundle does."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.helpers.paths import REPOSITORY

import ftool_runtime as ft

pytest.importorskip("PyInstaller", reason="this environment has no PyInstaller")
pytest.importorskip("PySide6.QtWidgets", reason="this environment has no Qt")
EXAMPLE = REPOSITORY / "examples" / "desktop"


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory, bundles: Path) -> Path:
    """The folder that `pyinstaller desktop.spec` writes."""
    folder = tmp_path_factory.mktemp("desktop")
    for path in [*EXAMPLE.glob("*.py"), EXAMPLE / "desktop.spec"]:
        shutil.copy(path, folder)
    shutil.copytree(bundles, folder / "bundles")
    done = subprocess.run(
        [sys.executable, "-m", "PyInstaller", "--noconfirm", "--log-level", "WARN", "desktop.spec"],
        cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "PYINSTALLER_CONFIG_DIR": str(folder / "cache")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "dist" / "Assistant"


def test_the_frozen_app_answers_without_torch(frozen: Path, display: str, bundles: Path) -> None:
    with ft.TextClassifier.load(bundles / "classify") as model:
        answer = model("play music")
    expected = answer.label.capitalize() if answer.score >= 0.35 else "Not sure"
    outside = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    start = time.monotonic()
    done = subprocess.run(
        [frozen / "Assistant", "--self-test", "play music"],
        capture_output=True, text=True, check=False, timeout=60, env={**outside, "DISPLAY": display},
    )  # fmt: skip
    seconds = time.monotonic() - start
    assert (done.returncode, done.stdout) == (0, f"{expected}\n"), done.stderr
    files = [path for path in frozen.rglob("*") if path.is_file()]
    megabytes = sum(path.stat().st_size for path in files if not path.is_symlink()) / 1e6
    print(
        f"{megabytes:.0f} MB, {seconds:.2f} s from the start of the process to its end after the first answer"
    )
    assert not [path for path in files if path.name.startswith(("libtorch", "torch"))]
    assert megabytes < 400
    assert seconds < 30  # 0.5 s on an idle machine


def test_the_frozen_app_has_all_three_views(frozen: Path, display: str) -> None:
    for name, text in (("--ask", "are messages kept"), ("--write", "play music")):
        place = {"--ask": "ask/kb.db", "--write": "write"}[name]
        shipped = frozen / "_internal" / "bundles" / place
        done = subprocess.run(
            [frozen / "Assistant", name, shipped, "--self-test", text],
            capture_output=True, text=True, check=False, timeout=60, env={**os.environ, "DISPLAY": display},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()
