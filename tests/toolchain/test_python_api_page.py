"""The code of docs/python-api.md and of the notebook runs, with a tiny base model in place of minilm."""

import ast
import json
import logging
import re
from pathlib import Path
from typing import Any

import pandas
import pytest
from tests.helpers.paths import REPOSITORY

from ftool.bases import NamedBase

PAGE = REPOSITORY / "docs" / "python-api.md"
NOTEBOOK = REPOSITORY / "examples" / "notebook" / "quickstart.ipynb"


@pytest.fixture
def workplace(tiny_base: Path, topics: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, but for bank.csv; minilm is a tiny model."""
    monkeypatch.setattr(NamedBase, "installed", lambda self: tiny_base)
    monkeypatch.chdir(tmp_path)
    table = pandas.read_csv(topics / "train.csv").rename(columns={"text": "body", "label": "queue"})
    table.to_csv("bank.csv", index=False)
    return tmp_path


def run_block(code: str, names: dict[str, Any], place: str) -> Any:
    """Run a block of code, and return the value of its last line if that is an expression, as notebooks do."""
    tree = ast.parse(code)
    last = tree.body[-1]
    if not isinstance(last, ast.Expr):
        return exec(compile(tree, place, "exec"), names)
    exec(compile(ast.Module(tree.body[:-1], []), place, "exec"), names)
    return eval(compile(ast.Expression(last.value), place, "eval"), names)


def test_the_blocks_of_the_page_run(workplace: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) > 6
    names: dict[str, Any] = {"logging": logging}
    for number, block in enumerate(blocks, start=1):
        run_block(block, names, f"python-api.md, block {number}")
    assert {"recipe.toml", "data", "run", "bundle", "reports"} <= {
        path.name for path in (workplace / "models" / "bank").iterdir()
    }


def test_the_notebook_runs(workplace: Path) -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    names: dict[str, Any] = {}
    values = [
        run_block("".join(cell["source"]), names, f"cell {number}")
        for number, cell in enumerate(cells, start=1)
        if cell["cell_type"] == "code"
    ]
    assert list(values[-1].columns) == ["label", "score"]
    assert names["parity"].passed


def test_the_page_names_what_there_is() -> None:
    import ftool

    text = PAGE.read_text(encoding="utf-8")
    errors = {name for name in ftool.__all__ if name.endswith("Error")}
    assert errors <= set(re.findall(r"\w+Error\b", text))
    assert set(re.findall(r"\bftool\.(\w+)", text)) <= {*ftool.__all__, "ftool_runtime"}
