"""Use examples/browser and examples/node as their READMEs say, and compare their answers with ftool_runtime's.

    python -m tests.ecosystem.browser [--work FOLDER] [--environments FOLDER] [--pictures FOLDER]

The page is typed into in headless Chromium. It must show ftool_runtime's labels for every text, and have asked no other
server for anything. Every text is typed faster than the model answers, so that its beginning is overtaken.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.commands import REPOSITORY
from benchmarks.environments import PLACE, node_environment

import ftool_runtime as ft
from tests.ecosystem.bundles import bundle

EXAMPLE: Final = REPOSITORY / "examples" / "browser"
SCRIPT: Final = Path(__file__).resolve().parent / "consumers" / "type_in_page.mjs"
TEXTS: Final = (
    "set a timer for ten minutes",
    "dim the screen a bit",
    "is it going to rain in Lisbon",
    "play jazz",
)


def main() -> None:
    """Place the page, type, and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("models/ecosystem"))
    parser.add_argument("--environments", type=Path, default=PLACE)
    parser.add_argument("--pictures", type=Path, help="a folder for pictures of the page")
    options = parser.parse_args()
    folder, modules = bundle("intents", options.work), node_environment(options.environments)
    subprocess.run(["node", EXAMPLE / "place.mjs", folder, modules], check=True)
    pictures = options.pictures.absolute() if options.pictures else ""
    with tempfile.TemporaryDirectory() as place:
        found = Path(place) / "found.json"
        spec = json.dumps({"site": str(EXAMPLE / "site"), "texts": TEXTS, "pictures": str(pictures)})
        subprocess.run(["node", SCRIPT, modules, spec, found], check=True)
        shown = json.loads(found.read_text(encoding="utf-8"))
    with ft.TextClassifier.load(folder) as model:
        expected = [
            [[one.label.replace("_", " "), f"{100 * one.score:.0f}%"] for one in answer.top]
            for answer in model(TEXTS, top_k=3)
        ]
    check_node(folder, modules, [answer[0] for answer in expected])
    for text, page, own in zip(TEXTS, shown["answers"], expected, strict=True):
        print(f"{text}: {page}")
        if page != own:
            sys.exit(f"the page shows {page} for {text!r}, and ftool_runtime answers {own}")
    if shown["elsewhere"]:
        sys.exit(f"the page asked for {shown['elsewhere']}, which is not beside it")
    print(
        f"the page shows ftool_runtime's answers; p50 {shown['milliseconds']:.1f} ms, {shown['files']} files"
    )


def check_node(folder: Path, modules: Path, expected: Sequence[Sequence[str]]) -> None:
    """Run examples/node beside the libraries, and compare its labels; ends this program if one differs."""
    script = Path(shutil.copy(REPOSITORY / "examples" / "node" / "classify.mjs", modules.parent))
    command = ["node", script, folder, *TEXTS]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    found = [[one["label"].replace("_", " "), f"{100 * one['score']:.0f}%"] for one in map(json.loads, lines)]
    if found != [list(one) for one in expected]:
        sys.exit(f"examples/node gives {found}, and ftool_runtime {expected}")
    print(f"examples/node gives ftool_runtime's {len(found)} answers")


if __name__ == "__main__":
    main()
