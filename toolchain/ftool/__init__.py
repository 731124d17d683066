"""Fine-tune, export, verify and time text models.

import ftool

run = ftool.train("bank.csv", base="minilm")
bundle = run.export()
bundle.predict("my card has not arrived").label
"""

from typing import Any

# The public names by module, imported on first use: torch is imported when a model is trained, not with this package.
# Type checkers read the same names in __init__.pyi.
_LATER = {
    "ftool.api": ("Bundle", "Run", "open", "train"),
    "ftool.bench.report": ("BenchReport",),
    "ftool.errors": (
        "BaseError",
        "BenchError",
        "DataError",
        "GateError",
        "ModelFolderError",
        "RecipeError",
        "TrainingError",
    ),
    "ftool.evaluation.results": ("Evaluation", "TrainReport"),
    "ftool.ladder.frontier": ("Frontier",),
    "ftool.recipe.recipe": ("Recipe",),
    "ftool_export.errors": ("CheckpointError", "ExportError"),
    "ftool_export.report": ("ExportReport", "ParityReport"),
    "ftool_runtime.bundle.verify": ("VerifyReport",),
    "ftool_runtime.errors": ("BundleError", "FtoolError", "InputError", "RuntimeMissingError"),
}
_MODULE_OF = {name: module for module, names in _LATER.items() for name in names}

__all__ = sorted([*_MODULE_OF, "__version__"])


def __getattr__(name: str) -> Any:
    import importlib

    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("ftool")
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
