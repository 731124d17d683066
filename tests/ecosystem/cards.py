"""Run the code of bundles' model cards, each block with its program, in the environments of tests/ecosystem.

    python -m tests.ecosystem.cards [--work FOLDER] [--environments FOLDER] [--bundles NAME ...]

Every block must end without an error and print something; of a classifier, the label that ftool_runtime gives. Exit
status 1 means that one did not.
"""

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from benchmarks.environments import PLACE, environment, node_environment

import ftool_runtime as ft
from ftool_export.bundle.how_to_run import Snippet, snippets
from tests.ecosystem.bundles import BUNDLES, bundle

# The environment of a program, as in benchmarks/environments; of others this Python.
ENVIRONMENTS: Final = {
    name: name for name in ("sentence-transformers", "fastembed", "onnxruntime-genai", "optimum-onnx")
}
OFFLINE: Final = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


def main() -> None:
    """Run the snippets of the chosen bundles, and print a line on each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("models/ecosystem"))
    parser.add_argument("--environments", type=Path, default=PLACE)
    parser.add_argument("--bundles", nargs="+", choices=BUNDLES, default=list(BUNDLES))
    options = parser.parse_args()
    failed = 0
    for name in options.bundles:
        folder = bundle(name, options.work)
        label = expected_label(folder)
        with tempfile.TemporaryDirectory() as place:
            here = Path(place) / "path" / "to" / "this"
            here.mkdir(parents=True)
            (here / "folder").symlink_to(folder)
            for snippet in snippets(ft.Manifest.read(folder)):
                done = run(snippet, Path(place), options.environments)
                good = done.returncode == 0 and (label in done.stdout if label else bool(done.stdout))
                failed += not good
                print(f"{name}, {snippet.program}: {'runs' if good else 'FAILED'}", flush=True)
                if not good:
                    print(done.stdout, done.stderr, sep="\n", flush=True)
    sys.exit(f"{failed} snippets failed" if failed else 0)


def expected_label(folder: Path) -> str | None:
    """Return the label that ftool_runtime gives the snippets' text; None for a bundle of another kind."""
    with ft.load(folder) as model:
        return model("a text").label if isinstance(model, ft.TextClassifier) else None


def run(snippet: Snippet, place: Path, environments: Path) -> subprocess.CompletedProcess[str]:
    """Run a snippet in the folder `place`."""
    if snippet.language == "js":
        script = node_environment(environments).parent / "card.mjs"  # beside the modules that it imports
        script.write_text(snippet.code, encoding="utf-8")
        command = ["node", str(script)]
    elif snippet.language == "sh":
        command = [sys.executable, *shlex.split(snippet.code)[1:]]
    else:
        python = environment(ENVIRONMENTS.get(snippet.program), environments)
        command = [str(python), "-c", snippet.code]
    return subprocess.run(
        command, cwd=place, env={**os.environ, **OFFLINE}, check=False, capture_output=True, text=True
    )


if __name__ == "__main__":
    main()
