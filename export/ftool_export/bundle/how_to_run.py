"""Snippets for a bundle's model card: how to run the bundle in each program that reads a bundle of its kind.

The code is in `snippets/`, one file for a program and a kind of model, such as
`optimum-onnx/question-answering.py.jinja`.
A program that has no file for a kind does not read bundles of that kind. `tests/ecosystem` runs every snippet.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ftool_export.architectures.supported import ENCODERS, GENERATORS
from ftool_runtime.bundle.manifest import Manifest

_PLACE: Final = Path(__file__).with_name("snippets")
_FOLDER: Final = "path/to/this/folder"  # of a bundle that is not published
_EVERY: Final = "any"  # in a file's name: for kinds of model without a file of their own
_LANGUAGES: Final = {"py": "python", "js": "js", "sh": "sh"}  # by the suffix of a file
# Precisions whose bundles tests/ecosystem has run in other libraries than ONNX Runtime.
_PRECISIONS: Final = ("fp32", "int8", "int8-rows", "w8")
_ARCHITECTURES: Final = frozenset(row.model_type for row in (*ENCODERS, *GENERATORS))
_NOT_IN_TRANSFORMERS_JS: Final = frozenset({"pegasus"})  # 4.3.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippet:
    """A way to run a bundle.

    Attributes:
        program: the name of the program that runs it.
        title: a heading.
        install: the command that installs the program.
        language: the name of the code's language in Markdown.
        code: the code.
    """

    program: str
    title: str
    install: str
    language: str
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program that reads bundles.

    Attributes:
        name: its name, which is its folder in `snippets/`.
        title: the heading of its snippet.
        install: the command that installs it.
        reads: whether it reads a bundle, if there is a file for the bundle's kind.
    """

    name: str
    title: str
    install: str
    reads: Callable[[Manifest], bool] = lambda manifest: True  # noqa: ARG005


def _on_cpu(manifest: Manifest) -> bool:
    return "cpu" in manifest.precision.devices


def _in_libraries(manifest: Manifest) -> bool:
    """Return whether libraries that know a bundle by its architecture read it, alone or in their own batches."""
    return manifest.precision.name in _PRECISIONS and manifest.architecture in _ARCHITECTURES


def _in_pipelines(manifest: Manifest) -> bool:
    """Return whether pipelines read a bundle: of classifiers, those that give one text labels."""
    if manifest.pairs or manifest.regression:
        return False
    return _in_libraries(manifest) and (manifest.has_labels or manifest.layout == "standard")


def _by_standard_layout(manifest: Manifest) -> bool:
    return _in_libraries(manifest) and manifest.layout == "standard"


def _in_transformers_js(manifest: Manifest) -> bool:
    pools = manifest.embedding is None or manifest.embedding.pooling != "last"
    return _in_pipelines(manifest) and pools and manifest.architecture not in _NOT_IN_TRANSFORMERS_JS


PROGRAMS: Final = (
    Program(
        name="ftool-runtime", title="Python, with ftool-runtime", install='pip install "ftool-runtime[cpu]"'
    ),
    Program(name="command-line", title="Command line", install='pip install "ftool-runtime[cpu]"'),
    Program(
        name="onnxruntime",
        title="Python, with ONNX Runtime alone",
        install="pip install onnxruntime tokenizers",
        reads=_on_cpu,
    ),
    Program(
        name="sentence-transformers",
        title="Python, with sentence-transformers",
        install='pip install "sentence-transformers[onnx]"',
        reads=_by_standard_layout,
    ),
    Program(
        name="fastembed",
        title="Python, with fastembed",
        install="pip install fastembed",
        reads=_by_standard_layout,
    ),
    Program(
        name="onnxruntime-genai",
        title="Python, with onnxruntime-genai",
        install="pip install onnxruntime-genai tokenizers",
        reads=_by_standard_layout,
    ),
    Program(
        name="optimum-onnx",
        title="Python, with optimum-onnx",
        install='pip install "optimum-onnx[onnxruntime]"',
        reads=_in_pipelines,
    ),
    Program(
        name="transformers.js",
        title="JavaScript, with transformers.js",
        install="npm install @huggingface/transformers",
        reads=_in_transformers_js,
    ),
)


def snippets(manifest: Manifest, repository: str | None = None) -> Iterator[Snippet]:
    """Yield a snippet for each program that reads the bundle, the one to prefer first.

    `repository` is the hub id of the published bundle; without one, snippets name a folder for the user to replace.
    """
    for program in PROGRAMS:
        file = _file(program.name, kind_of(manifest))
        if file is None or not program.reads(manifest):
            continue
        template = _environment().get_template(file.relative_to(_PLACE).as_posix())
        yield Snippet(
            program=program.name,
            title=program.title,
            install=program.install,
            language=_LANGUAGES[file.name.split(".")[-2]],
            code=template.render(manifest=manifest, **_places(repository)).strip(),
        )


def kind_of(manifest: Manifest) -> str:
    """Return the kind of model, which chooses the file of a snippet: its task, or the family of a generator."""
    return manifest.generation.family if manifest.generation else manifest.task


def _places(repository: str | None) -> dict[str, Any]:
    """Return what a snippet says about where the bundle is: an import, an expression in Python, and names."""
    download = "from huggingface_hub import snapshot_download\n" if repository else ""
    folder = json.dumps(repository or _FOLDER)
    return {
        "repository": repository,
        "download": download,
        "folder": f"snapshot_download({folder})" if repository else folder,
        "path": Path(repository).name if repository else _FOLDER,
    }


def _file(program: str, kind: str) -> Path | None:
    """Return the file of a program for a kind of model, or for all kinds; None if the program does not read them."""
    return next(
        (file for name in (kind, _EVERY) for file in sorted((_PLACE / program).glob(f"{name}.*.jinja"))), None
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_PLACE),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["literal"] = lambda value: json.dumps(value, ensure_ascii=False)
    return environment
