"""Type checkers find the right types in the documents' snippets, and errors in wrong programs that use the runtime."""

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.helpers.paths import REPOSITORY

DOCUMENTS = [
    "README.md",
    "runtime/README.md",
    "docs/feature-extraction.md",
    "docs/generation.md",
    "docs/question-answering.md",
    "docs/search.md",
    "docs/token-classification.md",
]
# Names that snippets take for granted.
GIVEN = """
import ftool_runtime as ft

article = book = context = first = second = page_one = page_two = "a text"
texts = questions = ["a text"]
batches = [texts]
"""


_NUMBERS = itertools.count()


def snippets(document: str) -> list[str]:
    """The Python of a document that uses the runtime."""
    text = (REPOSITORY / document).read_text(encoding="utf-8")
    found = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return [part for part in found if "ft." in part or "ftool_runtime" in part]


def complaints(programs: list[str], folder: Path) -> str:
    """What `mypy --strict` says of programs."""
    for path in folder.glob("program*.py"):
        path.unlink()
    for program in programs:  # new names, as mypy's cache goes by a file's name, size and time
        (folder / f"program{next(_NUMBERS)}.py").write_text(program, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "."]
    environment = os.environ | {
        "MYPYPATH": str(REPOSITORY / "runtime"),
        "MYPY_CACHE_DIR": str(folder / "cache"),
    }
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=folder, env=environment)
    return "\n".join(line for line in done.stdout.splitlines() if line.startswith("program"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("typing")  # one cache for all programs


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_snippets_of_the_documents_have_the_right_types(document: str, folder: Path) -> None:
    assert complaints([GIVEN + snippet for snippet in snippets(document)], folder) == ""


@pytest.mark.parametrize(
    ("given", "wrong", "complaint"),
    [
        ("answer.label", "answer.lable", '"Classification" has no attribute "lable"'),
        ("answer.score", "answer[0].score", 'Value of type "Classification" is not indexable'),
    ],
)
@pytest.mark.parametrize("loader", ["ft.TextClassifier.load(", 'ft.load(task="text-classification", folder='])
def test_mypy_finds_a_wrong_name_in_the_snippet_of_the_readme(
    given: str, wrong: str, complaint: str, loader: str, folder: Path
) -> None:
    (program,) = (part for part in snippets("README.md") if "answer.label" in part)
    program = program.replace("ft.TextClassifier.load(", loader)
    assert given in program
    assert loader in program
    assert complaint in complaints([program.replace(given, wrong)], folder)


KINDS = {
    'task="text-classification"': "TextClassifier",
    'task="token-classification"': "TokenTagger",
    'task="question-answering"': "Reader",
    'task="feature-extraction"': "Embedder",
    'task="summarization"': "Seq2SeqGenerator",
    'task="translation"': "Seq2SeqGenerator",
    'task="text-generation"': "TextGenerator",
    "": "Model[Any, Any]",
}


def test_load_has_the_type_of_the_task_that_it_is_asked_for(folder: Path) -> None:
    lines = [f'reveal_type(ft.load("bundle", {task}))' for task in KINDS]
    found = complaints(["\n".join(["import ftool_runtime as ft", "", *lines, ""])], folder)
    revealed = re.findall(r'Revealed type is "[\w.]*?\.(\w+(?:\[.*\])?)"', found.replace("typing.", ""))
    assert revealed == list(KINDS.values())
