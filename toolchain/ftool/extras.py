"""Extras: parts of ftool whose packages are installed on request, and the error that names the one to install."""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ftool_runtime.errors import RuntimeMissingError


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """An extra of ftool.

    Attributes:
        use: what needs it, as the subject of a sentence.
        modules: the modules of its packages, as they are imported.
    """

    use: str
    modules: tuple[str, ...]

    def missing(self) -> list[str]:
        """Return the modules that are not installed."""
        return [name for name in self.modules if importlib.util.find_spec(name) is None]


EXTRAS: Final[Mapping[str, Extra]] = {
    "approximate": Extra(use="an approximate index of passages", modules=("usearch",)),
    "data-checks": Extra(use="finding labels that are likely wrong", modules=("cleanlab",)),
    "documents": Extra(
        use="indexing PDF, Word, PowerPoint and Excel files", modules=("mammoth", "openpyxl", "pptx", "pypdf")
    ),
    "embed": Extra(use='training embedders, or with method "setfit",', modules=("sentence_transformers",)),
    "excel": Extra(use="data in Excel files", modules=("openpyxl",)),
    "generate": Extra(
        use="training or measuring models that write text", modules=("rouge_score", "sacrebleu", "trl")
    ),
    "ray": Extra(use="scoring on a cluster", modules=("ray",)),
    "sign": Extra(use="signing bundles", modules=("cryptography",)),
    "search": Extra(use="indexing HTML, Markdown and EPUB files", modules=("lxml", "markdown_it")),
}


def install(extra: str) -> str:
    """Return the command that installs an extra."""
    return f"pip install 'ftool[{extra}]'"


def require(extra: str) -> None:
    """Raise RuntimeMissingError, which names the extra's packages and the command, unless they are installed."""
    if missing := EXTRAS[extra].missing():
        raise RuntimeMissingError(
            f"{EXTRAS[extra].use} needs {' and '.join(missing)}, which ftool installs on request: {install(extra)}"
        )
