"""Imports run downwards only: ftool -> ftool_export -> ftool_runtime -> its three packages, and jinja2 for chats."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.paths import REPOSITORY

SOURCES = {
    "ftool": REPOSITORY / "toolchain" / "ftool",
    "ftool_export": REPOSITORY / "export" / "ftool_export",
    "ftool_runtime": REPOSITORY / "runtime" / "ftool_runtime",
}
FORBIDDEN = {"ftool": set(), "ftool_export": {"ftool"}, "ftool_runtime": {"ftool", "ftool_export"}}
CHAT_TEMPLATE = SOURCES["ftool_runtime"] / "chat" / "template.py"  # the one file that needs the extra [chat]
RUNTIME_MAY_IMPORT = {"ftool_runtime", "numpy", "onnxruntime", "tokenizers"} | sys.stdlib_module_names


def imports(file: Path) -> Iterator[tuple[int, str]]:
    """Line and top-level package of every absolute import in a file, those inside functions included."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.partition(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module.partition(".")[0]


@pytest.mark.parametrize("package", SOURCES)
def test_no_package_imports_from_above(package: str) -> None:
    upward = [
        f"{file.relative_to(REPOSITORY)}:{line} imports {name}"
        for file in SOURCES[package].rglob("*.py")
        for line, name in imports(file)
        if name in FORBIDDEN[package]
    ]
    assert not upward


def test_the_runtime_imports_its_three_packages_and_the_standard_library_alone() -> None:
    foreign = [
        f"{file.relative_to(REPOSITORY)}:{line} imports {name}"
        for file in SOURCES["ftool_runtime"].rglob("*.py")
        for line, name in imports(file)
        if name not in RUNTIME_MAY_IMPORT and (file, name) != (CHAT_TEMPLATE, "jinja2")
    ]
    assert not foreign


def test_jinja2_is_imported_only_when_a_chat_needs_it() -> None:
    tree = ast.parse(CHAT_TEMPLATE.read_text(encoding="utf-8"))
    at_once = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert "jinja2" not in {name for node in at_once for name in (alias.name for alias in node.names)}
    assert any(name == "jinja2" for _, name in imports(CHAT_TEMPLATE))


def test_every_package_holds_files_to_check() -> None:
    assert all(list(folder.rglob("*.py")) for folder in SOURCES.values())
