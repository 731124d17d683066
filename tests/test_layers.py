"""Rules for the sources: imports follow the layers without cycles, only task rows name tasks, a name has one meaning.

The lists of exceptions in this file may only become shorter: an exception that is no longer needed is deleted.
"""

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.helpers.paths import REPOSITORY

PACKAGES = {"ftool": "toolchain", "ftool_export": "export", "ftool_runtime": "runtime"}
FORBIDDEN = {"ftool": set(), "ftool_export": {"ftool"}, "ftool_runtime": {"ftool", "ftool_export"}}
EXTRAS = {  # the libraries of the runtime's extras, each imported by one file and only when needed
    "jinja2": "ftool_runtime/chat/template.py",
    "cryptography": "ftool_runtime/bundle/signature.py",
    "usearch": "ftool_runtime/knowledge/approximate.py",
}
RUNTIME_MAY_IMPORT = {"ftool_runtime", "numpy", "onnxruntime", "tokenizers"} | sys.stdlib_module_names


@dataclass(frozen=True)
class Module:
    """A source file: `name` is dotted, `place` its path from the folder that holds its package."""

    name: str
    place: str
    path: Path

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.path.read_text(encoding="utf-8"))

    def imports(self) -> Iterator[tuple[int, str, str | None]]:
        """Line, module and imported name of every import, those in functions and for type checkers included."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name, None) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                module = "." * node.level + (node.module or "")
                yield from ((node.lineno, module, alias.name) for alias in node.names)


def _modules() -> Iterator[Module]:
    for package, folder in PACKAGES.items():
        root = REPOSITORY / folder
        for path in sorted((root / package).rglob("*.py")):
            place = path.relative_to(root)
            parts = place.with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            yield Module(name, place.as_posix(), path)


MODULES = {module.name: module for module in _modules()}


def test_every_package_holds_files_to_check() -> None:
    assert {module.name.partition(".")[0] for module in MODULES.values()} == set(PACKAGES)


# --- imports ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("package", PACKAGES)
def test_no_package_imports_from_above(package: str) -> None:
    assert not _imports_outside(package, lambda top, _: top not in FORBIDDEN[package])


def test_the_runtime_imports_only_its_three_packages_and_the_standard_library() -> None:
    def allowed(top: str, place: str) -> bool:
        return top in RUNTIME_MAY_IMPORT or EXTRAS.get(top) == place

    assert not _imports_outside("ftool_runtime", allowed)


@pytest.mark.parametrize(("library", "place"), EXTRAS.items())
def test_the_library_of_an_extra_is_imported_only_when_it_is_needed(library: str, place: str) -> None:
    module = MODULES[place.removesuffix(".py").replace("/", ".")]
    at_once = {node for node in module.tree.body if isinstance(node, ast.Import | ast.ImportFrom)}
    lines = {line for line, imported, _ in module.imports() if imported.partition(".")[0] == library}
    assert lines
    assert not lines & {node.lineno for node in at_once}


def test_imports_are_absolute() -> None:
    relative = [
        f"{module.place}:{line}: from {imported} import {name}"
        for module in MODULES.values()
        for line, imported, name in module.imports()
        if imported.startswith(".")
    ]
    assert not relative


def test_imports_form_no_circle() -> None:
    """Counts imports inside functions and under TYPE_CHECKING too: moving an import does not undo a circle."""
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for module in MODULES.values():
        needed = {needed for _, imported, name in module.imports() for needed in _module_of(imported, name)}
        sorter.add(module.name, *(needed - {module.name}))
    try:
        sorter.prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


# Packages whose `__init__` imports something, each with its reason.
INIT_MAY_IMPORT = {
    "ftool": "the public names",
    "ftool_runtime": "the public names",
    "ftool_runtime.knowledge": "the public names of knowledge bases",
    "ftool.cli": "the command's entry point",
    "ftool.distributed": "the public names",
    "ftool_export.passes": "the passes' shared shape",
}


def test_packages_import_nothing_by_themselves() -> None:
    importing = {
        module.name
        for module in MODULES.values()
        if module.path.name == "__init__.py" and any(module.imports())
    }
    assert importing == INIT_MAY_IMPORT.keys()


def _imports_outside(package: str, allowed: Callable[[str, str], bool]) -> list[str]:
    """The imports of a package whose top-level name is not allowed: `allowed(top, place)`."""
    return [
        f"{module.place}:{line} imports {imported}"
        for module in MODULES.values()
        if module.name.partition(".")[0] == package
        for line, imported, _ in module.imports()
        if not imported.startswith(".") and not allowed(imported.partition(".")[0], module.place)
    ]


def _module_of(imported: str, name: str | None) -> set[str]:
    """The module of ours that `import imported` or `from imported import name` needs, if any."""
    inner = f"{imported}.{name}"
    return {inner} if inner in MODULES else {imported} & MODULES.keys()


# --- names of tasks -----------------------------------------------------------------------------------------

TASKS = (
    "text-classification",
    "token-classification",
    "question-answering",
    "feature-extraction",
    "summarization",
    "translation",
    "text-generation",
)
_HYPHENATED = re.compile("|".join(rf"\b{task}\b" for task in TASKS if "-" in task))

# Files (or folders, ending in /) that may name a task.
MAY_NAME_TASKS = {
    "ftool/tasks/": "the rows of the toolchain",
    "ftool_runtime/models/": "the rows of the runtime: each class says which tasks' bundles it runs",
    "ftool_runtime/loading.py": "the types of `load`, one overload a task",
    "ftool_runtime/knowledge/models.py": "the two kinds of bundles that a knowledge base works with",
    "ftool_export/checkpoints/": "the rows of the export: one kind of checkpoint a file",
    "ftool_export/architectures/": "the tables of architectures, which say for each task what is supported",
    "ftool/data/columns.py": "usual names of columns, one of which is `translation`",
    "ftool/recipe/sections.py": "the default of a recipe that names no task",
}


def test_tasks_are_named_only_in_their_rows() -> None:
    named = [
        (module.place, line, text)
        for module in MODULES.values()
        for line, text in _texts(module.tree)
        if text in TASKS or _HYPHENATED.search(text)
    ]
    elsewhere = [one for one in named if not one[0].startswith(tuple(MAY_NAME_TASKS))]
    assert not elsewhere, "ask the task's row instead"
    unneeded = [place for place in MAY_NAME_TASKS if not any(one[0].startswith(place) for one in named)]
    assert not unneeded, "these name no task any more: take them out of MAY_NAME_TASKS"


def _texts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The string constants of a module with their lines, docstrings left out."""
    nodes = list(ast.walk(tree))
    bare = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}  # docstrings stand by themselves
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in bare:
            yield node.lineno, node.value


# --- names of files -----------------------------------------------------------------------------------------

# What a file's name means in every folder that has a file of that name. Commands (ftool/cli) are named after what they
# call and are not counted.
MEANINGS = {
    "base": "what a room's classes share",
    "chunks": "long texts split into parts that fit",
    "classification": "all about labels and numbers for a text",
    "classifier": "the classifier: loaded, as a network, or captured",
    "embedder": "the embedder: loaded, as a network, or captured",
    "embedding": "all about vectors of texts",
    "encoder": "what every model that only encodes has in common",
    "entities": "entities found in a text",
    "errors": "the exceptions of a package or room",
    "files": "the files that a room reads",
    "generation": "all about texts that are written",
    "generator": "the generator: loaded, or captured",
    "golden": "golden answers: written by the export, replayed by the runtime",
    "languages": "what depends on a text's language",
    "paths": "where files lie, and relative to what",
    "prompts": "what a text generator is given",
    "questions": "questions about a context",
    "ranking": "all about the order of documents for a query",
    "reader": "the reader, which answers questions",
    "report": "results for people and for --json",
    "results": "what a room hands back",
    "schema": "what a document may hold, as dataclasses or tables",
    "tagger": "the tagger, loaded",
    "tagging": "all about entities in texts",
    "tokens": "token ids of a text",
    "windows": "long texts cut into windows: by the runtime, and by transformers as its reference",
}


def test_a_name_that_folders_share_means_the_same_in_each() -> None:
    folders = defaultdict(list)
    for module in MODULES.values():
        if not module.path.name.startswith("__") and not module.place.startswith("ftool/cli/"):
            folders[module.path.stem].append(module.place)
    shared = {name: places for name, places in folders.items() if len(places) > 1}
    new = {name: places for name, places in shared.items() if name not in MEANINGS}
    assert not new, "say in MEANINGS what the name means in each, or choose another"
    assert not MEANINGS.keys() - shared.keys(), "no folders share these any more: take them out of MEANINGS"
