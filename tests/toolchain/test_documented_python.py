"""Python in README, docs and examples: README's first block runs; elsewhere what is imported from ftool exists."""

import ast
import importlib
import re
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.helpers.paths import REPOSITORY
from tests.helpers.tiny_models import TinyModels

import ftool_runtime

README = REPOSITORY / "README.md"
PAGES = sorted(
    [
        README,
        REPOSITORY / "runtime" / "README.md",
        *(REPOSITORY / "docs").rglob("*.md"),
        *(REPOSITORY / "examples").glob("*/README.md"),
    ]
)
FENCED = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    page: Path
    number: int
    code: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(REPOSITORY)}-{self.number}"


BLOCKS = [
    Block(page, number, found[1])
    for page in PAGES
    for number, found in enumerate(FENCED.finditer(page.read_text(encoding="utf-8")))
]


def test_there_are_blocks_on_many_pages() -> None:
    assert len({block.page for block in BLOCKS}) > 5


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_it_is_python_and_what_it_imports_exists(block: Block) -> None:
    tree = ast.parse(block.code)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ftool"):
            module = importlib.import_module(str(node.module))
            assert all(hasattr(module, alias.name) for alias in node.names), ast.unparse(node)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "ft":
            assert hasattr(ftool_runtime, node.attr), ast.unparse(node)


def test_readme_s_first_block_runs(
    exported: TinyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "models" / "bank").mkdir(parents=True)
    (tmp_path / "models" / "bank" / "bundle").symlink_to(exported["text-classification"] / "bundle")
    monkeypatch.chdir(tmp_path)
    block = next(one for one in BLOCKS if one.page == README)

    exec(compile(block.code, str(block), "exec"), {})

    assert capsys.readouterr().out.strip()
