"""Run one consumer in its own environment: `python consumer.py NAME SPEC ANSWERS`.

NAME is a module of tests/ecosystem/consumers with

    PACKAGES                                                      the packages whose versions are reported
    answers(bundle, task, inputs, batch) -> answers as JSON

SPEC and ANSWERS are JSON files: the arguments of `answers`, and its result with the versions.
"""

import importlib.util
import json
import os
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"


def main() -> None:
    """Load the consumer, let it answer, and write its answers."""
    name, spec, found = sys.argv[1:]
    sys.path.pop(0)  # this folder, in which a consumer has the name of the package that it imports
    place = Path(__file__).with_name("consumers") / f"{name}.py"
    described = importlib.util.spec_from_file_location(f"consumer_{name}", place)
    assert described is not None
    assert described.loader is not None
    module = importlib.util.module_from_spec(described)
    described.loader.exec_module(module)
    answers = module.answers(**json.loads(Path(spec).read_text(encoding="utf-8")))
    result = {"versions": {package: _version(package) for package in module.PACKAGES}, "answers": answers}
    Path(found).write_text(json.dumps(result), encoding="utf-8")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


if __name__ == "__main__":
    main()
