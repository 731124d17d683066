"""What type checkers find in programs that use the runtime."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.helpers.paths import REPOSITORY


@pytest.mark.parametrize(
    ("given", "wrong", "complaint"),
    [
        ("answer.label", "answer.lable", '"Classification" has no attribute "lable"'),
        ("answer.score", "answer[0].score", 'Value of type "Classification" is not indexable'),
    ],
)
def test_mypy_finds_a_wrong_name_in_the_snippet_of_the_readme(
    given: str, wrong: str, complaint: str, tmp_path: Path
) -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    (snippet,) = (
        part for part in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "answer.label" in part
    )
    right, broken = tmp_path / "right.py", tmp_path / "broken.py"
    right.write_text(snippet, encoding="utf-8")
    assert given in snippet
    broken.write_text(snippet.replace(given, wrong), encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", str(right), str(broken)]
    environment = os.environ | {
        "MYPYPATH": str(REPOSITORY / "runtime"),
        "MYPY_CACHE_DIR": str(tmp_path / "cache"),
    }
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=tmp_path, env=environment)
    assert "broken.py" in done.stdout
    assert complaint in done.stdout
    assert "right.py" not in done.stdout
